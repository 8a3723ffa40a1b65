"""The text of a CIF: its data blocks and numbers, as they stand. gemmi knows the grammar, this what people do to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_4dstem_orient.core.errors import UserError, one_line
from napari_4dstem_orient.core.reading import reading

LARGEST = 10_000_000
"""Bytes; a longer file is not a crystal's CIF."""
MOST_ATTEMPTS = 20
"""Faults that are mended before a file is given up."""
BLOCK_AFTER = "::"
"""Between a file and the block of it that is meant."""

Column = Sequence[str | None]
"""Texts; None where the file says that it does not know."""

_ESSENTIAL = ("_cell_length", "_cell_angle", "_atom_site_", "_symmetry_", "_space_group_")
_PLACES = "_atom_site_fract_x"
_VALUE = re.compile(r"""('([^']|'(?=\S))*'|"([^"]|"(?=\S))*"|[^\s'"\#$_\[\]]\S*)\s*(\#.*)?""")
"""What may follow a name on its line."""


@dataclass(frozen=True)
class Block:
    """One data block of a CIF.

    Attributes
    ----------
    name : str
        What follows ``data_``.
    columns : dict of str to list
        Names, in lower case and with "_" for ".", to their values; of one that is in no loop, a list of one.
    notes : tuple of str
        What had to be mended before it could be read.
    """

    name: str
    columns: dict[str, list[str | None]]
    notes: tuple[str, ...] = ()

    def column(self, *names: str) -> Column:
        """Return the values under the first of these names that has any; of unknown ones if none has any."""
        there = [self.columns[name] for name in names if name in self.columns]
        return next((values for values in there if any(values)), there[0] if there else ())

    def text(self, *names: str) -> str | None:
        """Return the first value under the first of these names that has any."""
        return next((value for value in self.column(*names) if value), None)

    def has(self, *beginnings: str) -> bool:
        """Tell whether there is a value under a name that begins so."""
        return any(any(values) for name, values in self.columns.items() if name.startswith(beginnings))


def crystal_block(path: Path, wanted: str | None = None) -> Block:
    """Return the data block of a CIF that describes a crystal.

    Parameters
    ----------
    path : Path
    wanted : str, optional
        The name of the block, of a file that describes several crystals.

    Raises
    ------
    UserError
        If the file cannot be read, is not a CIF, or describes no crystal, or several of which none is chosen.
    """
    name, blocks = path.name, _blocks(path)
    crystals = [block for block in blocks if block.column(_PLACES)]
    if wanted is not None:
        crystals = [block for block in crystals if block.name.lower() == wanted.strip().lower()] or crystals
    names = ", ".join(block.name for block in crystals)
    if wanted is not None and names.lower() != wanted.strip().lower():
        raise UserError(
            f"{name} has no single block {wanted!r} with a crystal; choose one of {names or '(none)'}."
        )
    if not crystals and any(block.has("_atom_site_cartn_") for block in blocks):
        raise UserError(
            f"{name} gives its atoms in Å and not as fractions of the cell (a protein's CIF does); "
            "choose a CIF with _atom_site_fract_x, _y and _z."
        )
    if not crystals:
        raise UserError(
            f"{name} lists no atoms with fractional coordinates; choose a CIF of a crystal structure."
        )
    if len(crystals) > 1:
        how = f"choose one as {name}{BLOCK_AFTER}{crystals[0].name}"
        if len({block.name.lower() for block in crystals}) < len(crystals):
            how = "put the one you want into a file of its own"
        raise UserError(f"{name} holds {len(crystals)} crystals ({one_line(names, 200)}); {how}.")
    return crystals[0]


def crystal_names(path: Path) -> list[str]:
    """Return the names of the blocks of a CIF that describe crystals.

    Raises
    ------
    UserError
        If the file cannot be read or is not a CIF.
    """
    with reading(path, "a CIF") as file:
        return [block.name for block in _blocks(file) if block.column(_PLACES)]


def _blocks(path: Path) -> list[Block]:
    text, name = _decoded(path), path.name
    if not re.search(r"^\s*data_", text, flags=re.I | re.M):
        raise UserError(f"{name} is not a CIF (no data_ block in it); choose a crystal's .cif file.")
    return _parsed(text, name)


def _decoded(path: Path) -> str:
    """Return the file's text, in whatever encoding and with whatever line ends it was written."""
    raw = path.read_bytes() if path.stat().st_size < LARGEST else b"\0"
    utf_16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = raw.decode("utf-16" if utf_16 else "utf-8-sig")
    except UnicodeDecodeError:
        text = "\0" if utf_16 else raw.decode("latin-1")
    if "\0" in text:
        raise UserError(f"{path.name} is not a CIF (no data_ block in it); choose a crystal's .cif file.")
    # Spaces and minus signs of word processors, the mark for the end of a DOS file, and page breaks.
    table = str.maketrans({"\u00a0": " ", "\u2212": "-", "\ufeff": "", "\x1a": "", "\f": "\n", "\v": "\n"})
    return re.sub(r"\r\n?", "\n", text.translate(table))


def _parsed(text: str, name: str) -> list[Block]:
    from gemmi import cif

    notes: list[str] = []
    for attempt in range(MOST_ATTEMPTS):
        try:
            return [_block(block, name, tuple(notes)) for block in cif.read_string(text, check_level=0)]
        except (ValueError, RuntimeError) as error:
            found = re.search(r":(\d+)\S*\s+(.*)", str(error), flags=re.S)
            line, what = (int(found[1]), found[2]) if found else (1, str(error))
        broken = re.search(r"Wrong number of values in loop (\S+)", what)
        if attempt == 0:
            text = _mended(text, notes)
        elif broken and not broken[1].startswith(_ESSENTIAL) and broken[1][:3] != "_*":
            text = _without_loop(text, line)
            notes.append(f"Its list {one_line(broken[1], 40)} has too few values and was passed over.")
        else:
            break
    raise UserError(
        f"{name} is a broken CIF (line {line}: {one_line(what, 80)}); it may be cut short: correct it, or get it "
        "again from its source."
    )


def _without_loop(text: str, line: int) -> str:
    """Leave out the values and names of the loop that begins in a line."""
    lines = text.split("\n")
    body = "\n".join(lines[line:])
    end = re.search(r"^\s*[^_\s#]", body, flags=re.M)  # its first value
    after = re.compile(r"^\s*(loop_|data_|_)", flags=re.I | re.M).search(body, end.end() if end else 0)
    rest = body[after.start() :] if after else ""
    return "\n".join(lines[: line - 1]) + "\n" * (len(lines) - line + 1 - rest.count("\n")) + rest


def _mended(text: str, notes: list[str]) -> str:
    """Put quotes around values of several words, leave out what stands before the first block, and note it.

    Lines keep their numbers, by which what remains is told.
    """
    text = re.sub(r"[^\0-\x7f]", "_", text)  # which only quotes may hold
    if text.lower().startswith("#\\#cif_2"):
        text = re.sub(r"(\"\"\"|''')(.*?)\1", r"\n;\2\n;\n", text, flags=re.S)
    # A text in quotes that goes on in further lines.
    text = re.sub(
        r"^([ \t]*_\S+[ \t]+)(['\"])((?:(?!\2)[^\n;])*(?:\n(?![ \t]*(?:_|loop_|data_))[^\n]*?){1,20}?)\2[ \t]*$",
        r"\1\n;\3\n;",
        text,
        flags=re.M,
    )
    start = re.search(r"^\s*(data_|global_\s*$)", text, flags=re.I | re.M)
    before = text[: start.start()] if start else ""
    if re.search(r"^\s*[^#\s]", before, flags=re.M):
        notes.append("It has text before its first data_ line, which was passed over.")
        text = "\n" * before.count("\n") + text[len(before) :]
    lines, inside = [], False
    for line in text.split("\n"):
        if line.startswith(";"):
            inside = not inside
        found = None if inside else re.fullmatch(r"\s*(_\S+|data_\S+)\s+([^_\s].*?)\s*", line, flags=re.I)
        if found and found[1][0] != "_" and not found[2].startswith("#"):
            line = found[1]
        elif found and found[1][0] == "_" and not _VALUE.fullmatch(found[2]):
            value = found[2].strip("'\"")
            notes.append(f"Its value {one_line(value, 80)!r} lacks quotes and was taken as one.")
            line = f'{found[1]} "{value.replace(chr(34), chr(39))}"'
        lines.append(line)
    return "\n".join(lines)


def _block(block: object, name: str, notes: tuple[str, ...]) -> Block:
    """Collect what a block of gemmi's holds; saved frames are no part of a crystal."""
    from gemmi import cif

    columns: dict[str, list[str | None]] = {}
    for item in block:  # type: ignore[attr-defined]
        if item.pair is not None:
            found = {item.pair[0]: [item.pair[1]]}
        elif item.loop is not None:
            loop = item.loop
            found = {tag: loop.values[column :: loop.width()] for column, tag in enumerate(loop.tags)}
        else:
            continue
        for tag, values in found.items():
            key = tag.lower().replace(".", "_")
            texts = [None if cif.is_null(value) else cif.as_string(value).strip() for value in values]
            if columns.setdefault(key, texts) != texts and key.startswith(_ESSENTIAL):
                raise UserError(f"{name} gives {tag} twice, with different values; leave only the right one.")
    return Block(block.name.strip(), columns, notes)  # type: ignore[attr-defined]


def number(text: str | None) -> float:
    """Return a CIF number without its standard uncertainty (``3.615(2)`` is 3.615), or NaN if it is none."""
    from gemmi import cif

    return cif.as_number(re.sub(r"\(\d*$", "", (text or "").strip()))
