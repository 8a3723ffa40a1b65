"""What the command line says where nothing can be indexed, and that atoms which share a site can be."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from helpers.command_line import refused, run
from napari_4dstem_orient.cli import app
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.crystals.misorientation import misorientation

MIXED = """data_x
_cell_length_a 3.615
_cell_length_b 3.615
_cell_length_c 3.615
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Fe1 Fe2+ 0 0 0 0.5
Fe2 Fe3+ 0 0 0 0.5
"""


@pytest.fixture
def asked(tmp_path: Path, small_scan) -> list[str]:
    """What is asked of a small scan of copper along [001]: the phase and the pixel size are still to be given."""
    np.save(tmp_path / "scan.npy", small_scan.data.compute())
    result = str(tmp_path / "result.h5")
    return ["map", str(tmp_path / "scan.npy"), "--voltage", "300", "--semiangle", "2", "-o", result]


@pytest.mark.parametrize("method", ["template", "transformer"])
def test_a_pixel_size_ten_times_too_small_is_said_by_both_methods(asked, tmp_path, method):
    said = "first reflection of Cu lies at 0.479 Å⁻¹; check the pixel size"
    refused(run(*asked, "--phase", "Cu", "--q-pixel", "0.005", "--method", method), said)
    assert not (tmp_path / "result.h5").exists()


def test_one_element_twice_on_a_site_is_mapped_as_one_alone(asked, tmp_path, copper):
    (tmp_path / "mixed.cif").write_text(MIXED)
    made = []
    for phase in (str(tmp_path / "mixed.cif"), "Cu"):
        chosen = ["--phase", phase, "--q-pixel", "0.05", "--method", "template", "--force"]
        done = CliRunner().invoke(app, [*asked, *chosen])
        assert done.exit_code == 0, done.output
        made.append(OrientationMap.load(tmp_path / "result.h5"))
    mixed, plain = made
    both = mixed.indexed & plain.indexed  # few disks: a neighbour's answer may be as good, and says so
    assert both.mean() > 0.4
    apart = misorientation(mixed.rotation[both], plain.rotation[both], copper)
    assert np.median(apart) < 0.1
    assert apart.max() < 2.5  # the atoms scatter a little differently: a neighbouring template may win
