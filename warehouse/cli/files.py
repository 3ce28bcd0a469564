"""Files that commands write for people: readable by their owner only, and safe to open in a spreadsheet."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ingest.errors import WarehouseError
from warehouse import whole_file

if TYPE_CHECKING:  # importing it takes longer than most commands
    import xlsxwriter

#: Rows of a sheet, the header among them, and characters of a cell: the limits of the xlsx format.
MAX_SHEET_ROWS = 1_048_576
MAX_CELL_CHARACTERS = 32_767


@contextmanager
def open_private(path: Path) -> Iterator[BinaryIO]:
    """A new file with mode 0600 that takes its place once it is complete, and replaces an older one.

    Raises:
        WarehouseError: The path is a folder, device or the like.
    """
    if path.exists() and not path.is_file():
        raise WarehouseError(f"{path} is no file.")
    with whole_file.replaced(path) as file:
        yield file


def new_workbook(file: BinaryIO) -> "xlsxwriter.Workbook":
    """A workbook that holds one row at a time in memory, and in which a text is never a formula, number or link."""
    import xlsxwriter

    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_numbers": False,
        "strings_to_urls": False,
        "default_date_format": "yyyy-mm-dd",
    }
    return xlsxwriter.Workbook(file, options)
