"""Whatever a file does, the user gets one sentence with its name, soon, and the program stays small.

As many cases for all kinds of files together as ``--fuzz`` says.
"""

import resource
import shutil
import time
import traceback

import numpy as np
import pytest

from helpers.foreign_files import KINDS
from helpers.spoiling import pipe_in, spoil
from napari_4dstem_orient.core.errors import LONGEST, UserError

SEED = 15
SECONDS = 5
FORGIVING = ("merlin notes",)
"""Spoilt, these only tell less."""
KIB = 2**20
"""A GiB: what the process may grow by."""


@pytest.fixture(scope="module")
def pipe(tmp_path_factory):
    with pipe_in(tmp_path_factory.mktemp("pipe")) as pipe:
        yield pipe


def test_honest_files_are_read(tmp_path):
    for number, (kind, (write, read)) in enumerate(KINDS.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            read(write(folder))
        except UserError as error:
            pytest.fail(f"{kind}: {error}")


@pytest.mark.filterwarnings("ignore")  # of libraries about what they read
@pytest.mark.parametrize("kind", KINDS)
def test_spoilt_files_end_in_one_sentence(kind, tmp_path, pipe, pytestconfig):
    write, read = KINDS[kind]
    (tmp_path / "honest").mkdir()
    path, wrong, refused = write(tmp_path / "honest"), [], 0
    read(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cases = -(-pytestconfig.getoption("fuzz") // len(KINDS))
    for case in range(cases):
        random = np.random.default_rng([SEED, list(KINDS).index(kind), case])
        folder = tmp_path / "spoilt"
        shutil.copytree(tmp_path / "honest", folder)
        spoilt = folder / path.name
        how, began = spoil(spoilt, random, pipe), time.perf_counter()
        try:
            read(spoilt)
        except UserError as error:
            refused += 1
            said = str(error)
            named = any(one.stem[:40] in said for one in folder.iterdir())
            if not (named and said.isprintable() and len(said) <= LONGEST):
                wrong.append(f"case {case} ({how}): says {said!r}")
        except Exception:
            wrong.append(f"case {case} ({how}): {traceback.format_exc(limit=-3)}")
        if (took := time.perf_counter() - began) > SECONDS:
            wrong.append(f"case {case} ({how}): took {took:.1f} s")
        shutil.rmtree(folder)
    assert not wrong, f"{len(wrong)} of {cases} cases\n" + "\n".join(wrong[:10])
    assert refused > cases // 20 or kind in FORGIVING
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < KIB
