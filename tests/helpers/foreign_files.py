"""Small honest files of every kind that the program reads, and what reads them, for ``test_fuzz``."""

import shutil
from importlib import import_module

import h5py
import numpy as np

from helpers.format_files import DATA, dm_file, mib, signal
from helpers.format_files import arina as arina_files
from helpers.made_maps import CU, some_map, sure
from helpers.zarr_files import make_array, make_group
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.resource_files import resource
from napari_4dstem_orient.crystals.cif.read import read_cif
from napari_4dstem_orient.detection.probe import probe_from_file, synthetic_probe
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.indexing.settings import TemplateSettings
from napari_4dstem_orient.indexing.transformer.checkpoint import load_model
from napari_4dstem_orient.indexing.verification.network import load_verifier
from napari_4dstem_orient.io.bragg_peaks import is_disk_file, load_disks
from napari_4dstem_orient.io.load import inspect, load
from napari_4dstem_orient.io.result import is_map_file, load_map, made_from
from napari_4dstem_orient.workflow.project import Project, is_project_file, load_project, save_project
from napari_4dstem_orient.workflow.reference import job_of
from napari_4dstem_orient.workflow.script import script_of
from napari_4dstem_orient.workflow.session import MapBy, Session, Stage
from napari_4dstem_orient.workflow.store import load_rows, save_rows

PATTERNS = np.arange(12 * 256, dtype=np.uint16).reshape(3, 4, 16, 16) % 1009


def read_scan(path):
    """All that a program does with a scan's file, down to its last pattern."""
    for look in (is_disk_file, is_map_file, is_project_file):
        look(path)
    facts = inspect(path).datasets[0]
    scan = load(path, facts.name or None, facts.scan_shape or facts.suggested_shape)
    scan.pattern(-1, -1)


def read_map(path):
    answer = load_map(path)
    made_from(path)
    assert answer.how_sure is not None
    assert answer.exploratory is not None


def read_project(path):
    read = load_project(path)
    if Stage.SCAN in read.state.results:
        read.state.results[Stage.SCAN].pattern(0, 0)
    Session().restore(read.state)
    script_of(read.state)


def npy(folder):
    np.save(folder / "a.npy", DATA)
    return folder / "a.npy"


def emd(folder):
    with h5py.File(folder / "a.h5", "w") as file:
        group = file.create_group("datacube_root/datacube")
        group.attrs["emd_group_type"] = "array"
        group.create_dataset("data", data=PATTERNS, chunks=(1, 2, 16, 16), compression="gzip")
        for axis, units in enumerate(("nm", "nm", "A^-1", "A^-1")):
            group[f"dim{axis}"] = np.array([0.0, 0.5])
            group[f"dim{axis}"].attrs["units"] = units
        bundle = file.create_group("datacube_root/metadatabundle/calibration")
        for name, value in {
            "Q_pixel_size": 0.02,
            "R_pixel_size": 2.0,
            "QR_rotation": 0.3,
            "QR_flip": False,
        }.items():
            bundle[name] = value
        bundle["Q_pixel_units"], bundle["R_pixel_units"] = "A^-1", "nm"
        bundle["a"], bundle["b"], bundle["theta"] = 1.0, 1.02, 0.1
        file["round"] = h5py.SoftLink("/round")
    return folder / "a.h5"


def peaks(folder):
    disk = np.dtype([("qx", "f8"), ("qy", "f8"), ("intensity", "f8")])
    with h5py.File(folder / "peaks.h5", "w") as file:
        lists = file.create_dataset("root/braggvectors/_v_uncal/data", (3, 4), h5py.vlen_dtype(disk))
        for place in np.ndindex(3, 4):
            lists[place] = np.ones(3 + place[1], disk)
        bundle = file.create_group("root/braggvectors/metadatabundle/_braggvectors_shape")
        bundle["Qshape"], bundle["Rshape"] = (64, 64), (3, 4)
        told = file.create_group("root/metadatabundle/calibration")
        told["Q_pixel_size"], told["Q_pixel_units"] = 0.02, "A^-1"
        told["qx0"], told["qy0"] = np.full((3, 4), 31.5), np.full((3, 4), 32.5)
    return folder / "peaks.h5"


def hspy(folder):
    path = folder / "a.hspy"
    import_module("rsciio.hspy").file_writer(str(path), signal(PATTERNS))
    return path


def zspy(folder):
    path = folder / "a.zspy"
    make_array(make_group(path, "Experiments/scan") / "data", PATTERNS, (3, 4, 16, 16))
    for axis, units in enumerate(("nm", "nm", "1/nm", "1/nm")):
        make_group(path, f"Experiments/scan/axis-{axis}", scale=0.5, units=units, size=4)
    microscope = "Experiments/scan/metadata/Acquisition_instrument/TEM"
    make_group(path, microscope, beam_energy=200.0, convergence_angle=1.2)
    return path


def zipped(folder):
    (folder / "inner").mkdir()
    packed = shutil.make_archive(str(folder / "packed"), "zip", zspy(folder / "inner"))
    return shutil.move(packed, folder / "a.zspy")


def merlin(folder):
    return mib(folder / "a.mib", DATA, "U16", 4)


def merlin_notes(folder):
    return merlin(folder).with_suffix(".hdr")


def blo(folder):
    header = np.zeros(1, import_module("napari_4dstem_orient.io.formats.blo")._HEADER)
    header["name"], header["magic"], header["patterns_at"], header["side"] = b"IMGBLO", 258, 512, 16
    header["columns"], header["rows"], header["voltage"], header["pixels"], header["camera"] = (
        4,
        3,
        200_000,
        900,
        1600,
    )
    header["step_x"] = header["step_y"] = 2.0
    record = np.zeros(12, np.dtype([("notes", "V6"), ("data", "u1", (16, 16))]))
    record["data"] = (PATTERNS % 251).reshape(12, 16, 16)
    (folder / "a.blo").write_bytes(header.tobytes().ljust(512, b"\0") + record.tobytes())
    return folder / "a.blo"


def dm4(folder):
    return dm_file(folder / "a.dm4", DATA, [(1.0, "nm"), (1.0, "nm"), (0.1, "1/nm"), (0.1, "1/nm")])


def dm3(folder):
    return dm_file(folder / "a.dm3", DATA, [(1.0, "nm"), (1.0, "nm"), (0.1, "1/nm"), (0.1, "1/nm")])


def empad(folder):
    record = np.zeros((12, 130, 128), np.float32)
    record[:, :128] = np.arange(128)
    record.tofile(folder / "a.raw")
    (folder / "a.xml").write_text(
        '<?xml version="1.0"?><root><raw_file filename="a.raw"/><pix_x>4</pix_x><pix_y>3</pix_y>'
        "<iom_measurements><high_voltage>3e5</high_voltage><calibrated_pixelsize>1e-10</calibrated_pixelsize>"
        '</iom_measurements><scan_parameters mode="acquire"><scan_resolution_x>4</scan_resolution_x>'
        "<scan_resolution_y>3</scan_resolution_y></scan_parameters></root>"
    )
    return folder / "a.xml"


def tvips(folder):
    import_module("rsciio.tvips").file_writer(
        str(folder / "a_000.tvips"),
        signal(DATA, scales=(1.0, 1.0, 1.0, 1.0)),
        max_file_size=2000,
        frame_header_extra_bytes=20,
        show_progressbar=False,
    )
    return folder / "a_000.tvips"


def mrc(folder):
    header = np.zeros(256, "<i4")
    header[:4] = 12, 10, 12, 6
    (folder / "a.mrc").write_bytes(header.tobytes() + DATA.tobytes())
    return folder / "a.mrc"


def arina(folder):
    return arina_files(folder, mask=True)


def result(folder):
    path = folder / "map.h5"
    sure(
        some_map((3, 4), (CU,), provenance={"input": "scan.h5", "exploratory": ["typed"], "accepted": {}})
    ).save(path)
    return path


def disks():
    rows = [np.array([[1.0, 2.0, 9.0], [0.5, -1.0, 3.0]], np.float32)] * 12
    return BraggDisks.from_lists((3, 4), rows, detector_shape=(64, 64), provenance={"source": "x"})


def kept(folder):
    save_rows(disks(), folder / "chunk.npz")
    return folder / "chunk.npz"


def project(folder):
    np.save(folder / "scan.npy", DATA)
    session, scan = Session(), load(folder / "scan.npy")
    probe = synthetic_probe(2.0, (16, 16))
    session.choose(
        probe=((0, 2), (1, None)),
        detection=DetectionSettings(),
        phases=(CU,),
        method="template",
        settings={"template": TemplateSettings()},
    )
    answer = some_map((3, 4), (CU,), method="template")
    session.put(Stage.SCAN, scan, job_of(scan))
    for stage, made in ((Stage.PROBE, probe), (Stage.DISKS, disks()), (MapBy("template"), answer)):
        session.put(stage, made, session.job_for(stage))
    session.set_pins([(1, 2)])
    layers = {
        "template map": {"visible": True, "opacity": 0.5, "contrast_limits": [0.0, 1.0], "colormap": "gray"}
    }
    save_project(Project(session.state, layers), folder / "a.4dorient.h5")
    return folder / "a.4dorient.h5"


def model(folder):
    return shutil.copy(resource("models", "fcc.safetensors"), folder / "fcc.safetensors")


def verifier(folder):
    return shutil.copy(resource("pre_verifier.safetensors"), folder / "pre_verifier.safetensors")


def cif(folder):
    return shutil.copy(resource("crystals", "TiO2.cif"), folder / "TiO2.cif")


def vacuum(folder):
    rows, cols = np.mgrid[:48, :48]
    np.save(folder / "vacuum.npy", (100.0 * (np.hypot(rows - 24, cols - 23) < 6)).astype(np.float32))
    return folder / "vacuum.npy"


KINDS = {
    "npy": (npy, read_scan),
    "emd": (emd, read_scan),
    "hspy": (hspy, read_scan),
    "zspy": (zspy, read_scan),
    "zipped": (zipped, read_scan),
    "merlin": (merlin, read_scan),
    "merlin notes": (merlin_notes, lambda path: read_scan(path.with_suffix(".mib"))),
    "blo": (blo, read_scan),
    "dm3": (dm3, read_scan),
    "dm4": (dm4, read_scan),
    "empad": (empad, read_scan),
    "tvips": (tvips, read_scan),
    "mrc": (mrc, read_scan),
    "arina": (arina, read_scan),
    "peaks": (peaks, load_disks),
    "result": (result, read_map),
    "kept": (kept, load_rows),
    "project": (project, read_project),
    "model": (model, load_model),
    "verifier": (verifier, lambda path: load_verifier("cpu", path)),
    "cif": (cif, read_cif),
    "vacuum": (vacuum, probe_from_file),
}
"""How to write an honest file of each kind into a folder, and what reads it."""
