import errno
import os

import pytest

from full_disk import files_no_larger_than
from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.io.atomic import make_folder, writing


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def fail_halfway(temporary, error):
    temporary.write_text("half")
    raise error


def test_the_file_appears_only_when_complete(tmp_path):
    with writing(tmp_path / "map.h5") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".h5"
        assert not temporary.exists()
        temporary.write_text("new")
        assert not (tmp_path / "map.h5").exists()
    assert names(tmp_path) == ["map.h5"]
    assert (tmp_path / "map.h5").read_text() == "new"


def test_a_failure_keeps_the_former_file_and_leaves_no_litter(tmp_path):
    (tmp_path / "map.h5").write_text("former")
    with pytest.raises(ZeroDivisionError), writing(tmp_path / "map.h5") as temporary:
        fail_halfway(temporary, ZeroDivisionError())
    assert names(tmp_path) == ["map.h5"]
    assert (tmp_path / "map.h5").read_text() == "former"


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    with writing(tmp_path / "written") as temporary:
        temporary.write_text("")
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "real.txt").write_text("former")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    with writing(tmp_path / "link.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


@pytest.mark.parametrize("place", ["missing/map.h5", "file/map.h5"])
def test_a_missing_folder_is_said(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"map\.h5: its folder does not exist"), writing(tmp_path / place):
        pytest.fail("the block must not run")


def test_a_folder_is_no_file_name(tmp_path):
    with pytest.raises(UserError, match="it is a folder"), writing(tmp_path):
        pytest.fail("the block must not run")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "read-only"),
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
    ],
)
def test_what_the_system_refuses_becomes_one_sentence(tmp_path, number, words):
    (tmp_path / "a.ang").write_text("former")
    with pytest.raises(UserError, match=words) as told, writing(tmp_path / "a.ang") as temporary:
        fail_halfway(temporary, OSError(number, os.strerror(number)))
    assert str(told.value).endswith(".")
    assert "\n" not in str(told.value)
    assert names(tmp_path) == ["a.ang"]
    assert (tmp_path / "a.ang").read_text() == "former"


def test_a_folder_that_refuses_new_files_is_noticed_before_the_work(tmp_path, monkeypatch):
    def refuse(self, **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr("pathlib.Path.touch", refuse)
    with pytest.raises(UserError, match="permission denied"), writing(tmp_path / "map.h5"):
        pytest.fail("the block must not run")


def test_a_write_protected_file_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "map.h5").write_text("former")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(UserError, match="permission denied"), writing(tmp_path / "map.h5"):
        pytest.fail("the block must not run")


def test_an_unrelated_error_stays_what_it_is(tmp_path):
    with pytest.raises(OSError, match="strange"), writing(tmp_path / "map.h5"):
        raise OSError("strange")


def test_a_full_device_is_recognised():
    with pytest.raises(OSError, match="No space left") as full, open("/dev/full", "w") as device:
        device.write("x" * 100_000)
    assert full.value.errno == errno.ENOSPC


def test_a_full_disk_that_hdf5_reports_in_its_own_way_is_recognised(tmp_path):
    told = "Can't decrement id ref count (file write failed: errno = 28, error message = 'No space left on device')"
    with pytest.raises(UserError, match="the disk is full"), writing(tmp_path / "map.h5"):
        raise RuntimeError(told)


def test_a_file_that_outgrows_its_limit_is_recognised(tmp_path):
    (tmp_path / "map.bin").write_text("former")
    with (
        files_no_larger_than(1000),
        pytest.raises(UserError, match="larger than"),
        writing(tmp_path / "map.bin") as temporary,
    ):
        temporary.write_bytes(bytes(5000))
    assert names(tmp_path) == ["map.bin"]
    assert (tmp_path / "map.bin").read_text() == "former"


def test_folders_are_made_as_needed(tmp_path):
    assert make_folder(tmp_path / "a" / "b").is_dir()
    assert make_folder(tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_in_the_way_of_a_folder_is_said(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Cannot make the folder"):
        make_folder(tmp_path / place)
