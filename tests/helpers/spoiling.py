"""How honest files are spoilt, at random but the same each time."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import h5py
import numpy as np
from safetensors import safe_open
from safetensors.torch import load_file, save_file

HOSTILE = (
    None, True, -1, 0, 2**31, 2**63, 10**30, -(2**70), 0.5, 1e300, -1e-300, float("nan"), float("inf"), "", "nan",
    "x" * 10_000, "\x00\n\x1b[31m", "\ud800", "../../etc/passwd", "/dev/zero", [], {}, [[]], [1, "a", None],
    {"a": {"b": []}}, [float("nan")] * 4, "__import__('os').system('true')",
)  # fmt: skip
TEXTS = (
    b"nan",
    b"-1",
    b"0",
    b"1e999",
    b"99999999999999999999",
    b"\xff\xfe",
    b"",
    b"\x00",
    b"'",
    b"?",
    b"\n\n",
)
EXTREMES = (
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    2**62,
    2**63,
    2**64 - 1,
)


def spoil(path: Path, random: np.random.Generator, pipe: Path) -> str:
    """Spoil a file in place and say how."""
    if path.is_dir():
        inner = sorted(one for one in path.rglob("*") if one.is_file())
        path = inner[random.integers(len(inner))]
    ways = [flipped, cut, stuffed, overwritten, retyped]
    if path.suffix in (".h5", ".hspy"):
        ways += [within_hdf5] * 7
    elif path.suffix == ".npz":
        ways += [within_npz] * 7
    elif path.suffix == ".safetensors":
        ways += [within_safetensors] * 4
    elif path.suffix in (".npy", ".zarray", ".cif", ".xml", ".hdr") or path.name.startswith(".z"):
        ways += [retyped] * 7
    way = ways[random.integers(len(ways))]
    return f"{way.__name__} {way(path, random, pipe) or ''}"


def place(content, random):
    """A place in a file, mostly near its beginning, where headers are."""
    end = max(1, len(content))
    return int(random.integers(min(end, 600) if random.random() < 0.7 else end))


def flipped(path, random, pipe):
    content = bytearray(path.read_bytes())
    for _ in range(random.integers(1, 9)):
        if content:
            content[place(content, random)] ^= int(random.integers(1, 256))
    path.write_bytes(content)


def cut(path, random, pipe):
    content = path.read_bytes()
    path.write_bytes(
        content[: place(content, random) if random.random() < 0.5 else int(random.integers(len(content)))]
    )


def stuffed(path, random, pipe):
    content, at = path.read_bytes(), place(path.read_bytes(), random)
    path.write_bytes(content[:at] + random.bytes(int(random.integers(1, 300))) + content[at:])


def overwritten(path, random, pipe):
    """With a number that is larger than any file."""
    content, at = bytearray(path.read_bytes()), place(path.read_bytes(), random)
    size = int(random.choice([1, 2, 4, 8]))
    value = EXTREMES[random.integers(len(EXTREMES))] % 2 ** (8 * size)
    content[at : at + size] = value.to_bytes(size, "little" if random.random() < 0.7 else "big")
    path.write_bytes(content)


def retyped(path, random, pipe):
    """Another number, word or nothing where a number or word stood."""
    content = path.read_bytes()
    found = list(re.finditer(rb"[\d.]+|[A-Za-z_]{2,}", content[:20_000]))
    for _ in range(random.integers(1, 4)):
        if found:
            one = found[random.integers(len(found))]
            content = content[: one.start()] + TEXTS[random.integers(len(TEXTS))] + content[one.end() :]
    path.write_bytes(content)


def hostile(told, random):
    """Put something hostile, or something under a hostile key, into nested plain values."""
    inner = (
        list(told.items())
        if isinstance(told, dict)
        else list(enumerate(told))
        if isinstance(told, list)
        else []
    )
    if not inner or random.random() < 0.1:
        return HOSTILE[random.integers(len(HOSTILE))]
    key, value = inner[random.integers(len(inner))]
    if random.random() < 0.15:
        del told[key]
    elif random.random() < 0.1 and isinstance(told, dict):
        told[str(HOSTILE[random.integers(len(HOSTILE))])] = value
    else:
        told[key] = hostile(value, random)
    return told


def rejson(text, random):
    told = json.loads(text)
    for _ in range(random.integers(1, 3)):
        told = hostile(told, random)
    text = json.dumps(told)
    return text if random.random() < 0.9 else text[: random.integers(len(text) + 1)]


def within_hdf5(path, random, pipe):
    names = []
    with h5py.File(path, "r+") as file:
        file.visit(names.append)
        name = names[random.integers(len(names))]
        one = file[name]
        kind = int(random.integers(14))
        text = isinstance(one, h5py.Dataset) and one.shape == () and h5py.check_string_dtype(one.dtype)
        if text and one.asstr()[()][:1] in "{[" and random.random() < 0.8:
            changed = rejson(one.asstr()[()], random)
            del file[name]
            file[name] = changed.encode("utf-8", "surrogatepass")
            return f"{name} json"
        if kind < 3 or (len(one.attrs) == 0 and kind < 5):
            attributes = one.attrs if len(one.attrs) else file.attrs
            keys = list(attributes) or ["format"]
            key = keys[random.integers(len(keys))]
            if key == "about" and random.random() < 0.8:
                changed = rejson(attributes[key], random).encode("utf-8", "surrogatepass")
            else:
                changed = (b"\xff", "x" * 5000, [1.0, 2.0], np.nan, 2**63, h5py.Empty("f"), one.ref)[
                    random.integers(7)
                ]
            with suppress(TypeError, OSError, RuntimeError):
                attributes[key] = changed
            return f"{name} attribute {key}"
        values = (
            one[()]
            if isinstance(one, h5py.Dataset) and one.dtype.kind in "fiu" and one.shape is not None
            else None
        )
        del file[name]
        if kind == 5:
            return f"{name} gone"
        replace(file, name, values, kind, random, pipe)
        return f"{name} replaced {kind}"


def replace(file, name, values, kind, random, pipe):
    if kind == 6:
        file.create_group(name)
    elif kind == 7:
        file[name] = "text" * int(random.integers(1, 1000))
    elif kind == 8:
        shape = tuple(int(size) for size in random.choice([0, 1, 2**10, 2**20, 2**40], random.integers(1, 6)))
        with suppress(ValueError, RuntimeError, OSError, OverflowError):
            packing = {"chunks": tuple(min(size, 16) or 1 for size in shape)} if random.random() < 0.8 else {}
            file.create_dataset(name, shape, random.choice(["f4", "u2", "i8", "f8", "u1"]), **packing)
    elif kind == 9:
        file[name] = h5py.SoftLink("/" + name)
    elif kind == 10:
        file[name] = h5py.ExternalLink(
            str(random.choice([str(pipe), "/dev/zero", "gone.h5", Path(file.filename).name])), "/"
        )
    elif kind == 11:
        file.create_dataset(name, (3, 4), h5py.vlen_dtype(np.float64))
    elif kind == 12:
        file[name] = np.zeros((3, 4), [("qx", "f8"), ("qy", "S3")])
    elif values is not None and np.size(values):
        values = np.array(values)
        wrong = [np.nan, np.inf, -1, 2, 1e30, 0]
        if values.dtype.kind in "iu":
            wrong = [0, 1, -1 if values.dtype.kind == "i" else 5, np.iinfo(values.dtype).max]
        values.flat[random.integers(values.size)] = wrong[random.integers(len(wrong))]
        file[name] = values if random.random() < 0.7 else values.ravel()[: max(1, values.size // 2)]


def within_npz(path, random, pipe):
    with np.load(path) as stored:
        whole = {name: stored[name] for name in stored}
    name = list(whole)[random.integers(len(whole))]
    values = whole[name]
    if values.dtype.kind == "U":
        whole[name] = np.array(rejson(str(values), random).encode("utf-8", "replace").decode())
    else:
        choices = [
            values * np.nan,
            values.astype("S3"),
            values[::-1],
            values[:-1],
            values - 10**9,
            values[None],
            values[:0],
        ]
        whole[name] = choices[random.integers(len(choices))]
    if random.random() < 0.1:
        del whole[name]
    np.savez(path, **whole)
    return name


def within_safetensors(path, random, pipe):
    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata() or {})
    tensors = load_file(path)
    if "network" in metadata.get("card", "") and random.random() < 0.75:
        metadata["card"] = rejson(metadata["card"], random)
    else:
        name = list(tensors)[random.integers(len(tensors))]
        kind = int(random.integers(4))
        if kind == 0:
            del tensors[name]
        elif kind == 1:
            tensors[name] = tensors[name].reshape(-1)[:-1].clone()
        elif kind == 2:
            tensors[name].view(-1)[0] = float(random.choice([np.nan, np.inf, -np.inf]))
        else:
            tensors[name] = tensors[name].double()[None].contiguous()
    with suppress(UnicodeError, TypeError):
        save_file(tensors, path, metadata)


@contextmanager
def pipe_in(folder: Path) -> Iterator[Path]:
    """A pipe that lets go, after some seconds, whoever waits at it: the case fails, and not the whole test."""
    pipe = folder / "pipe.h5"
    os.mkfifo(pipe)
    letting_go = subprocess.Popen(["sh", "-c", 'while sleep 6; do : 1<>"$0"; done', str(pipe)])
    yield pipe
    letting_go.kill()
    letting_go.wait()
