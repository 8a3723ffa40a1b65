"""CIFs as people and programs write them: every spelling of one crystal is that crystal."""

import os

import pytest
from typer.testing import CliRunner

from helpers.cif_files import OTHER, SALT, says, written
from helpers.spglib_settings import operations_of
from napari_4dstem_orient.cli import app
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.crystals.cif.read import inspect_cif, read_cif
from napari_4dstem_orient.crystals.library import crystals_in, find_phase

FIELD = "_publ_section_comment\n;\ndata_old was measured in 1999\nloop_\n_cell_length_a 3\n;\n"


def salted(old: str, new: str) -> str:
    assert old in SALT
    return SALT.replace(old, new)


@pytest.mark.parametrize(
    "content",
    [
        "\n" + SALT,
        "# CRYSTAL DATA\n\n#\n" + SALT,
        "   \n\t\n" + SALT,
        "data_global\n_journal_year 2020\n\n" + SALT,
        "global_\n_journal_year 2020\n\n" + SALT,
        SALT + "\ndata_pub\n_journal_year 2020\n",
        SALT + "\n#END\n\n\n",
        SALT.rstrip("\n"),
        "\ufeff" + SALT,
        SALT.encode("utf-16"),
        "\ufeff".encode("utf-16-be") + SALT.encode("utf-16-be"),
        SALT.replace("\n", "\r\n"),
        SALT.replace("\n", "\r"),
        SALT + "\x1a",
        salted("data_salt\n", "data_salt\n_publ_author 'Müller'\n").encode("latin-1"),
        salted("data_salt\n", "data_salt\n_publ_author 'Müller'\n"),
        salted("data_salt\n", "data_salt\n" + FIELD),
        salted("data_salt\n", "data_salt\n" + FIELD).replace("\n", "\r\n"),
        salted("data_salt", "DATA_salt").replace("loop_", "LOOP_"),
        salted("data_salt", "data_"),
        SALT.upper().replace("DATA_SALT", "data_salt"),
        salted("_cell_length_a 5.6402", "_cell_length_a\u00a05.6402(3) # Å"),
        salted("_cell_length_a 5.6402", "_cell_length_a\n  5.6402"),
        salted("_atom_site_", "_atom_site.").replace("_cell_", "_cell."),
        salted("_cell_angle_alpha 90\n", "_cell_angle_alpha ?\n"),
        salted("'F m -3 m'", '"F m -3 m"'),
        salted("'F m -3 m'", "Fm-3m"),
        salted("'F m -3 m'", "Fm3m"),
        salted("'F m -3 m'", "FM-3M"),
        salted("'F m -3 m'", "'F m -3 m (No. 225)'"),
        salted("data_salt\n", "data_salt\n_publ_author 'O'Neill, J.'\n_x \"a 'b' c\"\n"),
        salted("data_salt\n", "data_salt\nsave_frame\n_cell_length_a 9\nsave_\n"),
        salted("Na1 Na1+ 0 0 0\n", "Na1 Na1+\n 0.0(1) .0 -1\n# between\n"),
        salted("Cl1 Cl1- 0.5 0.5 0.5\n", "Cl1 Cl1- 0.50000(2) .5 5e-1\nloop_\n_geom_bond\n_geom_b\n. ?\n"),
        salted("loop_\n_atom_site_label", "_space_group_name_Hall '-F 4 2 3'\nloop_\n_atom_site_label"),
        salted("_symmetry_space_group_name_H-M 'F m -3 m'", "_space_group_name_Hall '-F 4 2 3'"),
        salted("_symmetry_space_group_name_H-M 'F m -3 m'", "_space_group_IT_number 225"),
    ],
)
def test_every_spelling_of_a_crystal_is_that_crystal(tmp_path, content):
    reading = inspect_cif(written(tmp_path, content))
    assert reading.phase.to_dict() == read_salt(tmp_path).to_dict()
    assert reading.notes == ("It lists no symmetry operations; those of F m -3 m were used.",)


def read_salt(tmp_path):
    phase = read_cif(written(tmp_path, SALT))
    assert phase.same_crystal(find_phase("NaCl"))
    return phase


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (salted("'F m -3 m'", "F m -3 m"), "'F m -3 m' lacks quotes"),
        (salted("'Na Cl'", "Na Cl"), "'Na Cl' lacks quotes"),
        (salted("data_salt\n", "data_salt\n_publ_author 'Smith, J\n"), "'Smith, J' lacks quotes"),
        (salted("data_salt\n", 'data_salt\n_title It\'s a "salt" [1]\n'), "lacks quotes"),
        ("From: a friend\nSubject: salt\n\n" + SALT, "text before its first data_ line"),
        (salted("data_salt", "data_salt from the sea"), None),
        (
            "#\\#CIF_2.0\n" + salted("data_salt\n", 'data_salt\n_a """two\nlines"""\n_b [1 2]\n'),
            "lacks quotes",
        ),
    ],
)
def test_what_people_do_to_the_grammar_is_mended_and_said(tmp_path, content, note):
    reading = inspect_cif(written(tmp_path, content))
    assert reading.phase.to_dict() == read_salt(tmp_path).to_dict()
    assert note is None or note in reading.notes[0]


BROKEN_LIST = "loop_\n_powder_d\n_powder_i\n3.2 1 2.8 ''\n1.9\n"


@pytest.mark.parametrize("place", ["data_salt\n", "loop_\n_atom_site_label\n"])
def test_a_broken_list_that_is_not_needed_is_passed_over(tmp_path, place):
    reading = inspect_cif(
        written(tmp_path, salted(place, place + BROKEN_LIST if place[0] == "d" else BROKEN_LIST + place))
    )
    assert reading.phase.to_dict() == read_salt(tmp_path).to_dict()
    assert "Its list _powder_* has too few values" in reading.notes[0]
    text = SALT + "data_powder\n" + BROKEN_LIST
    assert inspect_cif(written(tmp_path, text)).phase.name == "NaCl"


def test_quotes_may_reach_over_lines_and_letters_be_foreign(tmp_path):
    comment = "_cgraph_comments 'Crystal structure of\n\n   the salt\n'\n_volume 385\u0107386\n"
    reading = inspect_cif(written(tmp_path, salted("data_salt\n", "data_salt\n" + comment)))
    assert reading.phase.to_dict() == read_salt(tmp_path).to_dict()


def test_the_line_of_a_fault_is_that_of_the_file(tmp_path):
    text = salted("data_salt\n", "From me\n\ndata_salt\n_title It's salt\n" + BROKEN_LIST)
    line = text.split("\n").index("Cl1 Cl1- 0.5 0.5 0.5") + 2
    assert f"(line {line}: " in says(tmp_path, text + "'\n")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_or_a_folder_is_refused_before_it_is_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.cif")
    (tmp_path / "folder.cif").mkdir()
    for name, reason in (
        ("pipe.cif", "is a pipe"),
        ("folder.cif", "is a folder"),
        ("no.cif", "does not exist"),
    ):
        for read in (read_cif, crystals_in):
            with pytest.raises(UserError, match=rf"{name} {reason}"):
                read(tmp_path / name)


def test_moments_beside_ordinary_operations_are_left_out_and_said(tmp_path):
    moments = "loop_\n_atom_site_moment_label\n_atom_site_moment_crystalaxis_x\nNa1 1.0\n"
    reading = inspect_cif(written(tmp_path, SALT + moments))
    assert reading.phase.to_dict() == read_salt(tmp_path).to_dict()
    assert "magnetic moments were left out" in reading.notes[-1]


def test_operations_without_quotes_are_read(tmp_path):
    listed = "\n".join(operations_of(523))
    loop = f"loop_\n_symmetry_equiv_pos_as_xyz\n{listed}\n"
    assert ", " in listed
    text = salted("loop_\n_atom_site_label", loop + "loop_\n_atom_site_label")
    assert inspect_cif(written(tmp_path, text)).notes == ()


def test_one_crystal_of_several_is_chosen_by_the_name_of_its_block(tmp_path):
    told = says(tmp_path, SALT + OTHER)
    assert "holds 2 crystals (salt, other)" in told
    assert "c.cif::" in told
    path = tmp_path / "c.cif"
    assert find_phase(f"{path}::other").name == "MgO"
    assert find_phase(f"{path}::SALT").name == "NaCl"
    for wrong in ("sugar", "sal"):
        with pytest.raises(UserError, match=r"no single block .* choose one of salt, other"):
            find_phase(f"{path}::{wrong}")
    assert "file of its own" in says(tmp_path, SALT + SALT)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("Cl1 Cl1- 0.5 0.5 0.5\n", "Cl1 Cl1- 0.5 0.5\n", "broken CIF"),
        ("Cl1 Cl1- 0.5 0.5 0.5\n", "Cl1 Cl1- 0.5 0.5 0,5\n", "no coordinates for the atom Cl1"),
        ("Cl1 Cl1- 0.5 0.5 0.5\n", "Cl1 Cl1- 0.5 0.5 1e300\n", "no coordinates for the atom Cl1"),
        ("_cell_length_b 5.6402", "_cell_length_b 5.6402\n_cell_length_b 5.7", "_cell_length_b twice"),
        ("_cell_length_b 5.6402", "_cell_length_b 5,6402", "no possible unit cell"),
        ("_fract_", "_Cartn_", "in Å and not as fractions"),
        ("Na1 Na1+ 0 0 0\nCl1 Cl1- 0.5 0.5 0.5\n", "", "lists no atoms"),
        ("data_salt\n", "data_salt\n_cell_modulation_dimension 1\n", "modulated"),
        ("data_salt\n", "data_salt\n_space_group_magn.number_BNS 62.448\n", "magnetic"),
        ("'F m -3 m'", "?", "lists no symmetry operations"),
        (
            "'F m -3 m'",
            "'F m -3 m'\n_space_group_IT_number 221",
            "declares the space groups F m -3 m and 221",
        ),
        ("'F m -3 m'", "'P 63/m m c'", "no space group that fits its cell"),
        ("5.6402", "564.02", "picometres"),
        ("5.6402", "0.56402", "nanometres"),
        ("5.6402", "5640.2", "Å³ for each atom, which no crystal has: write"),
    ],
)
def test_what_is_wrong_with_a_cif_is_said(tmp_path, old, new, reason):
    assert reason in says(tmp_path, salted(old, new))


def test_the_command_line_says_what_is_odd_about_a_cif(tmp_path):
    path = written(tmp_path, salted("'Na Cl'", "?"))
    told = CliRunner().invoke(
        app, ["map", str(tmp_path / "no.npy"), "--phase", str(path), "-o", str(tmp_path / "r.h5")]
    )
    assert f"Note on {path}: It lists no symmetry operations" in told.output
    assert "It declares no formula" in told.output
