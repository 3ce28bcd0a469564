"""Reads what python-calamine does not report of an xls workbook: the date system, and cells with errors.

An xls workbook is a BIFF stream in a compound file; see [MS-CFB] and [MS-XLS]. python-calamine has opened the file
before, so that only damage in parts that it does not read can occur here; then no errors are reported.
"""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

_FREE = 0xFFFF_FFFA  # this number and higher ones do not denote a sector
_NAMES = ("Workbook", "Book")
_BOUND_SHEET, _DATE_MODE, _END, _BOOL_OR_ERROR = 0x0085, 0x0022, 0x000A, 0x0205
_BEGINNINGS = (
    0x0009,
    0x0209,
    0x0409,
    0x0809,
)  # start records of the workbook, a sheet, a chart, in four versions of the format
_FORMULAS = (0x0006, 0x0206, 0x0406)
_ERRORS = {
    0x00: "#NULL!",
    0x07: "#DIV/0!",
    0x0F: "#VALUE!",
    0x17: "#REF!",
    0x1D: "#NAME?",
    0x24: "#NUM!",
    0x2A: "#N/A",
    0x2B: "#GETTING_DATA",
}


def read_sheet_details(path: Path, number: int) -> tuple[bool, list[tuple[int, int, str]]]:
    """Read the date system of a workbook and the error cells of a sheet.

    Args:
        path: The xls file.
        number: The index of the sheet, from 0.

    Returns:
        Whether the workbook counts days from 1904; row and column (from 0) and text of each error cell.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            stream = _stream(data)
        sheets: list[int] = []
        uses_1904 = False
        for kind, offset, _ in _records(stream, 0):
            if kind == _BOUND_SHEET:
                sheets.append(*struct.unpack_from("<I", stream, offset))
            elif kind == _DATE_MODE:
                uses_1904 = struct.unpack_from("<H", stream, offset) == (1,)
        return uses_1904, list(_errors(stream, sheets[number])) if number < len(sheets) else []
    except (struct.error, IndexError, ValueError):
        return False, []


def _errors(stream: bytes, start: int) -> Iterator[tuple[int, int, str]]:
    for kind, offset, size in _records(stream, start):
        code = -1
        if kind == _BOOL_OR_ERROR and size >= 8 and stream[offset + 7]:
            code = stream[offset + 6]
        elif (
            kind in _FORMULAS
            and size >= 14
            and stream[offset + 12 : offset + 14] == b"\xff\xff"
            and stream[offset + 6] == 2
        ):
            code = stream[offset + 8]
        if code in _ERRORS:
            yield *struct.unpack_from("<HH", stream, offset), _ERRORS[code]


def _records(stream: bytes, offset: int) -> Iterator[tuple[int, int, int]]:
    """Kind, offset and size of each record of the substream that starts at ``offset``, without embedded charts."""
    depth = 0
    head = struct.Struct("<HH")
    while offset + 4 <= len(stream):
        kind, size = head.unpack_from(stream, offset)
        if kind in _BEGINNINGS:
            depth += 1
        elif kind == _END:
            depth -= 1
            if depth <= 0:
                return
        elif depth == 1:
            yield kind, offset + 4, size
        offset += 4 + size


def _stream(data: mmap.mmap) -> bytes:
    """The bytes of the workbook stream of a compound file."""
    if data[:8] != bytes.fromhex("d0cf11e0a1b11ae1"):
        return data[:]  # the oldest versions have no compound file around the stream
    shift, mini_shift = struct.unpack_from("<HH", data, 30)
    directory, _, cutoff, mini_table, _, next_table, _ = struct.unpack_from("<7I", data, 48)
    tables = list(struct.unpack_from("<109I", data, 76))
    entries_per_sector = (1 << shift) // 4
    while next_table < _FREE and len(tables) * entries_per_sector < len(data):
        *numbers, next_table = struct.unpack_from(f"<{entries_per_sector}I", data, (next_table + 1) << shift)
        tables += numbers
    chain: list[int] = []
    for table in tables:
        if table < _FREE:
            chain += struct.unpack_from(f"<{entries_per_sector}I", data, (table + 1) << shift)

    def read(start: int) -> bytes:
        return b"".join(data[(sector + 1) << shift : (sector + 2) << shift] for sector in _chain(chain, start))

    entries = read(directory)
    root, workbook = b"", b""
    for offset in range(0, len(entries), 128):
        entry = entries[offset : offset + 128]
        kind = entry[66]
        name = entry[: max(0, struct.unpack_from("<H", entry, 64)[0] - 2)].decode("utf-16-le", "replace")
        if kind == 5:
            root = entry
        elif kind == 2 and name.casefold() in map(str.casefold, _NAMES) and not workbook:
            workbook = entry
    start, size = struct.unpack_from("<II", workbook, 116)
    if size >= cutoff:
        return read(start)[:size]
    mini_stream, table = read(struct.unpack_from("<I", root, 116)[0]), read(mini_table)
    next_sectors = struct.unpack(f"<{len(table) // 4}I", table)
    return b"".join(
        mini_stream[sector << mini_shift : (sector + 1) << mini_shift] for sector in _chain(next_sectors, start)
    )[:size]


def _chain(next_sectors: list[int] | tuple[int, ...], start: int) -> Iterator[int]:
    """The chain of sectors that starts with a sector; ends where it would loop."""
    for _ in range(len(next_sectors)):
        if start >= len(next_sectors):
            return
        yield start
        start = next_sectors[start]
