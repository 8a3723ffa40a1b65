"""The benchmarks on tiny scans: the rows are there, ratios are quotients of rates, repeating repeats."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.optional import why_not
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.indexing.transformer.network import NetworkSettings, OrientationTransformer
from napari_4dstem_orient.samples.copper import copper_truth
from napari_4dstem_orient.workflow.run import quiet
from napari_4dstem_orient_evaluation.benchmarks import detecting, fresh, limits, mapping, suite
from napari_4dstem_orient_evaluation.benchmarks.measuring import (
    REFERENCE,
    Rate,
    Stopwatch,
    fits,
    linear_fit,
    sides_up_to,
)
from napari_4dstem_orient_evaluation.benchmarks.memory import peak_bytes
from napari_4dstem_orient_evaluation.benchmarks.report import findings_text, write_findings
from napari_4dstem_orient_evaluation.benchmarks.suite import Findings, Plan, run_benchmarks
from napari_4dstem_orient_evaluation.benchmarks.workloads import draw_pool, tile_disks, tile_scan

TINY = {
    "largest": 8,
    "runs": 1,
    "positions": 2,
    "memory_scans": (4,),
    "device": "cpu",
    "every": 48,
    "read_megabytes": 1,
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """Every part but the processes of their own, on a scan of 8²."""
    folder = tmp_path_factory.mktemp("benchmark")
    found = run_benchmarks(Plan(("maps", "patterns", "limits", "sizes"), **TINY), folder, quiet)
    assert not list(folder.iterdir())
    return found


@pytest.mark.py4dstem
def test_every_row_that_compares_with_py4dstem_is_there(found: Findings) -> None:
    rows = {(rate.job, rate.name) for rate in found.rates}
    methods = {*mapping.TRANSFORMERS, mapping.EVERYTHING, mapping.TEMPLATE, REFERENCE}
    assert {name for job, name in rows if job == "disks to map"} == methods
    assert {name for job, name in rows if job == "patterns to map"} == methods
    for pixels in (128, 256):
        for subpixel in detecting.SUBPIXEL:
            job = f"patterns to disks, {pixels}² px, {subpixel}"
            assert {(job, detecting.TORCH), (job, REFERENCE)} <= rows
    for steps in found.map_steps["8²"].values():
        assert set(steps) == set(mapping.STEPS)


@pytest.mark.py4dstem
def test_ratios_are_quotients_of_the_printed_rates(found: Findings) -> None:
    table = [line.strip("| ").split(" | ") for line in findings_text(found).splitlines() if "8² |" in line]
    table = [row for row in table if len(row) == 6 and row[-1] != "–" and "±" not in row[4]]
    slow = 0.0
    seen = 0
    for row in reversed(table):  # py4DSTEM's row is the last of its table
        rate, ratio = float(row[4]), float(row[5])
        slow = rate if row[1] == REFERENCE else slow
        assert ratio == pytest.approx(rate / slow, rel=0.01)
        seen += 1
    compared = [rate for rate in found.rates if rate.job != "patterns to disks, nothing else"]
    assert seen == len(compared) == len(found.rates) - 1


def test_scaled_seconds_stand_for_the_whole_scan() -> None:
    rates = [Rate("job", "fast", 64, 64, [2.0, 4.0]), Rate("job", REFERENCE, 64, 16, [4.0, 4.0])]
    assert rates[0].per_second == pytest.approx(64 / 3)
    assert rates[0].whole == pytest.approx((3.0, np.sqrt(2)))
    assert rates[1].whole == pytest.approx((16.0, 0.0))
    assert rates[0].ratio(rates) == pytest.approx(16 / 3)
    assert np.isnan(rates[0].ratio(rates[:1]))
    assert rates[0].to_dict(rates[:1])["ratio"] is None


def test_only_scans_of_one_size_compare() -> None:
    rates = [Rate("job", "fast", 64, 64, [1.0]), Rate("job", REFERENCE, 256, 16, [1.0])]
    assert np.isnan(rates[0].ratio(rates))


def test_linear_fit_finds_start_and_slope() -> None:
    sides = sides_up_to(64)
    assert sides == [8, 16, 32, 64]
    fit = linear_fit([side**2 for side in sides], [0.5 + side**2 / 200 for side in sides])
    assert fit["start"] == pytest.approx(0.5)
    assert fit["per_second"] == pytest.approx(200)
    assert fit["r_squared"] == pytest.approx(1)
    assert fit["largest_deviation"] < 1e-9
    rates = [
        Rate("job", name, n, min(n, 64), [float(n)]) for n in (64, 256, 1024) for name in ("a", REFERENCE)
    ]
    assert not fits(rates)  # of the larger scans only a part was run
    assert list(fits([Rate("job", "a", n, n, [float(n)]) for n in (64, 256, 1024)])) == ["job: a"]


@pytest.mark.parametrize("scan_shape", [(3, 5), (2, 2), (1, 1)])
def test_tiled_disks_repeat_the_lists(scan_shape: tuple[int, int], few_disks: BraggDisks) -> None:
    tiled = tile_disks(few_disks, scan_shape)
    assert tiled.scan_shape == scan_shape
    assert tiled.calibrated
    for flat, (row, col) in enumerate(np.ndindex(scan_shape)):
        expected = few_disks.at(*divmod(flat % 6, 3))
        np.testing.assert_array_equal(tiled.at(row, col), expected)


@pytest.mark.parametrize("scan_shape", [(3, 5), (1, 300), (130, 4), (2, 129)])
def test_tiled_scan_repeats_the_patterns(scan_shape: tuple[int, int]) -> None:
    patterns = np.arange(7, dtype=np.uint16)[:, None, None] * np.ones((1, 2, 3), np.uint16)
    scan = tile_scan(patterns, scan_shape, Calibration())
    assert scan.data.shape == (*scan_shape, 2, 3)
    assert scan.data.dtype == np.uint16
    shown = scan.data.compute(scheduler="synchronous")[..., 0, 0].ravel()
    np.testing.assert_array_equal(shown, np.arange(scan_shape[0] * scan_shape[1]) % 7)
    read = np.concatenate([block[:, 0, 0] for _, block in scan.batches(64)])
    np.testing.assert_array_equal(read, shown)


def test_finer_detector_shows_the_same_patterns() -> None:
    """Disks keep their places on the wavelength's scale: a block of pixels adds up to one coarse pixel."""
    coarse, fine = (draw_pool(pixels, every=48) for pixels in (128, 256))
    assert fine.patterns.shape == (len(coarse.patterns), 256, 256)
    assert fine.calibration.q_pixel == pytest.approx(coarse.calibration.q_pixel / 2)
    for pool in (coarse, fine):
        size = pool.patterns.shape[1]
        beam = np.unravel_index(pool.patterns.mean(axis=0).argmax(), (size, size))
        assert np.hypot(beam[0] - size / 2, beam[1] - size / 2) < 6 * size / 128
    assert fine.probe.radius == pytest.approx(2 * coarse.probe.radius, rel=0.1)
    total = [pool.patterns.sum(dtype=float) for pool in (coarse, fine)]
    assert total[1] == pytest.approx(total[0], rel=0.01)


def test_operations_of_the_network_are_counted_as_torch_counts_them() -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    settings = NetworkSettings(width=16, heads=2, layers=2, feedforward=24, harmonics=3)
    network = OrientationTransformer(settings, 2.0)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # plain matrix products
        network(torch.rand(3, 10, 3), torch.ones(3, 10, dtype=torch.bool))
    assert counter.get_total_flops() == 3 * limits.network_operations(settings, 10)


def test_steps_give_the_map_that_the_whole_gives(few_disks: BraggDisks) -> None:
    from napari_4dstem_orient.crystals.library import find_phase

    disks = tile_disks(few_disks, (4, 6))
    indexer = mapping.make_methods(disks, find_phase("Cu"), 300.0, "cpu")[mapping.ALONE]
    assert isinstance(indexer, mapping.TransformerIndexer)
    whole = indexer.index(disks)
    reach, builder = indexer.reach(disks), indexer.builder(disks)
    for where in indexer.batches(disks):
        builder.enter(where, *indexer.answer(*indexer.read(disks, where, reach)))
    steps = builder.finish("transformer", {})
    np.testing.assert_array_equal(steps.phase_id, whole.phase_id)
    np.testing.assert_allclose(steps.rotation, whole.rotation, atol=1e-5)


def test_limits_compare_rates_of_one_unit(found: Findings) -> None:
    names = [limit.name for limit in found.limits]
    assert names == [*["reading a scan, file on disk"], *["reading a scan, file in memory"] * 2, "network"]
    for limit in found.limits:
        assert limit.share == pytest.approx(limit.reached / limit.limit)
        assert limit.share > 0


def test_files_hold_tables_provenance_and_a_picture(found: Findings, tmp_path: Path) -> None:
    text = write_findings(found, tmp_path)
    assert (tmp_path / "benchmark.md").read_text(encoding="utf-8") == text + "\n"
    assert "## Distance to the limit" in text
    saved = json.loads((tmp_path / "benchmark.json").read_text(encoding="utf-8"))
    assert saved["provenance"]["libraries"]["torch"]
    assert ("py4DSTEM was not installed" in text) == bool(why_not("py4DSTEM"))
    assert saved["provenance"]["plan"]["largest"] == 8
    assert saved["provenance"]["machine"]["processor"]
    assert len(saved["rates"]) == len(found.rates)
    assert (tmp_path / "benchmark.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell the peak this way")
def test_memory_is_that_of_a_process_of_its_own(tmp_path: Path) -> None:
    pool = draw_pool(128, every=48)
    ballast = np.ones(100_000_000)  # 0.8 GB here must not count there
    measured = fresh.measure_memory(pool, 6, "cpu", tmp_path)
    assert measured["scan"] == [6, 6, 128, 128]
    assert measured["scan bytes"] == 6 * 6 * 128 * 128 * 2
    assert (
        0 < measured["peak before"] <= measured["peak of detection"] <= measured["peak of detection and map"]
    )
    if sys.platform == "linux":
        assert measured["peak before"] < peak_bytes() - ballast.nbytes / 2
    assert not list(tmp_path.iterdir())
    text = findings_text(Findings({**provenance(), "plan": {"runs": 1, "positions": 1}}, memory=[measured]))
    assert "peak of detection and map" in text


def test_start_says_which_heavy_modules_come_in(few_disks: BraggDisks, tmp_path: Path) -> None:
    known = Calibration(voltage=300, q_pixel=0.05)
    opened = dict(list(fresh.panels().items())[-1:])
    assert opened or "DISPLAY" not in os.environ
    started = fresh.time_start(tile_disks(few_disks, (1, 3)), known, 1, tmp_path, opened)
    assert "torch" not in started["heavy modules imported"]
    assert len(started["import"]) == len(started["first map on the CPU"]) == 1
    for title in opened:
        assert started[f"panel {title}"][0] > [0.0, 0.0]
    facts = Findings({**provenance(), "plan": {"runs": 1, "positions": 1}}, start=started)
    rows = [line.split(" | ") for line in findings_text(facts).splitlines() if line.startswith("| import")]
    assert [float(cell.strip("| ")) for cell in rows[0][1:]] == pytest.approx(started["import"][0], rel=0.01)


def provenance() -> dict:
    facts = {**suite.environment(), "machine": suite.machine("cpu")}
    return {**facts, "patterns in the pool": 1, "disks in a pattern": 1.0}


def test_failure_in_a_process_of_its_own_says_why() -> None:
    with pytest.raises(UserError, match="no such luck"):
        fresh.in_fresh_process("-c", "raise SystemExit('no such luck')")


@pytest.mark.parametrize(
    ("wrong", "about"),
    [({"parts": ("nonsense",)}, "nonsense"), ({"largest": 4}, "8²"), ({"runs": 0}, "at least 1")],
)
def test_plan_that_cannot_be_run_is_refused(wrong: dict, about: str) -> None:
    with pytest.raises(UserError, match=about):
        Plan(**wrong)


def test_stopwatch_keeps_every_run_apart() -> None:
    watch = Stopwatch(torch.device("cpu"))
    assert watch.time("step", lambda: 3) == 3
    watch.time("step", lambda: 3)
    assert len(watch.seconds["step"]) == 2


def test_pool_is_the_film_without_vacuum() -> None:
    film = ~copper_truth().vacuum[::12]
    assert 0 < film.sum() < film.size
    assert len(draw_pool(128, every=12).patterns) == film.sum()
