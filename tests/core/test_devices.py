"""Batches on a device: what it has no memory for is done in parts."""

import numpy as np
import pytest
import torch

from napari_4dstem_orient.core.devices import each_batch, least_in_rows, sorted_rows


@pytest.mark.parametrize("threads", [1, 2])
def test_a_batch_too_large_for_the_device_comes_back_in_halves(threads):
    def compute(batch):
        if len(batch) > 3:
            raise torch.OutOfMemoryError("too much")
        return batch * 10

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = list(each_batch(compute, np.split(np.arange(17), [10]), torch.device("cpu")))
    finally:
        torch.set_num_threads(before)
    assert max(len(batch) for batch, _ in found) <= 3
    assert np.concatenate([batch for batch, _ in found]).tolist() == list(range(17))
    assert all((result == 10 * batch).all() for batch, result in found)


def test_a_single_pattern_that_is_too_large_is_an_error():
    def compute(batch):
        raise torch.OutOfMemoryError("too much")

    with pytest.raises(torch.OutOfMemoryError):
        list(each_batch(compute, [np.arange(4)], torch.device("cpu")))


@pytest.mark.parametrize("batches", [1, 3])
def test_each_batch_has_one_thread_because_rounding_depends_on_their_number(batches):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = list(
            each_batch(lambda _: torch.get_num_threads(), [np.arange(4)] * batches, torch.device("cpu"))
        )
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert [threads for _, threads in found] == [1] * batches


def test_rows_are_sorted_and_their_least_found_as_torch_does():
    values = torch.rand(3, 2, 40, generator=torch.Generator().manual_seed(0)).round(
        decimals=1
    )  # many are equal
    assert torch.equal(sorted_rows(values), values.sort(dim=-1).values)
    assert torch.equal(values.gather(-1, least_in_rows(values)[..., None])[..., 0], values.amin(-1))
    assert sorted_rows(values.swapaxes(0, 2)).shape == (40, 2, 3)  # whatever the strides
