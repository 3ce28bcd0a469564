"""Writes the rows of an extract: csv that a spreadsheet can open safely, or parquet."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

#: What a spreadsheet takes for the beginning of a formula.
FORMULA = re.compile("^[=+\\-@\t\r\n＝＋－＠]")
BOM = b"\xef\xbb\xbf"
_BATCH = 50_000
_DECIMAL = re.compile(r"numeric\((\d+),\s*(-?\d+)\)")
_ARROW = {
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    "timestamp with time zone": pa.timestamp("us", tz="Asia/Shanghai"),
    "timestamptz": pa.timestamp("us", tz="Asia/Shanghai"),
}
_FRICTIONLESS = {
    "smallint": "integer",
    "integer": "integer",
    "bigint": "integer",
    "boolean": "boolean",
    "date": "date",
    "real": "number",
    "double precision": "number",
    "timestamp with time zone": "datetime",
    "timestamptz": "datetime",
}


@dataclass(frozen=True)
class OutputColumn:
    """A column of an extract: its name, PostgreSQL type, and texts."""

    name: str
    type: str
    title: str
    description: str

    @property
    def field_type(self) -> str:
        """The type of a Table Schema."""
        return "number" if self.type.startswith("numeric") else _FRICTIONLESS.get(self.type, "string")

    @property
    def arrow_type(self) -> pa.DataType | None:
        """The type in a parquet file; None: written as text."""
        if decimal := _DECIMAL.fullmatch(self.type):
            return pa.decimal128(int(decimal[1]), int(decimal[2]))
        return _ARROW.get(self.type)

    def field(self) -> dict[str, str]:
        """The field of a Table Schema."""
        return {"name": self.name, "type": self.field_type, "title": self.title, "description": self.description}


def defused(text: str | None) -> str | None:
    """A text that no spreadsheet runs: an apostrophe before what would be a formula."""
    return f"'{text}" if text is not None and FORMULA.match(text) else text


def write_csv(target: BinaryIO, columns: Sequence[OutputColumn], rows: Iterable[Sequence[str | None]]) -> int:
    """Write rows of text as csv, UTF-8 with a byte order mark; returns their number."""
    target.write(BOM)
    wrapper = io.TextIOWrapper(target, encoding="utf-8", newline="", write_through=False)
    writer = csv.writer(wrapper, lineterminator="\r\n")
    writer.writerow([column.name for column in columns])
    is_text = [column.field_type == "string" for column in columns]
    count = 0
    for row in rows:
        writer.writerow([defused(cell) if text else cell for cell, text in zip(row, is_text, strict=True)])
        count += 1
    wrapper.flush()
    wrapper.detach()
    return count


def write_parquet(target: BinaryIO, columns: Sequence[OutputColumn], rows: Iterable[Sequence[Any]]) -> int:
    """Write typed rows as parquet; returns their number."""
    schema = pa.schema([(column.name, column.arrow_type or pa.string()) for column in columns])
    count = 0
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        batch: list[Sequence[Any]] = []
        for row in rows:
            batch.append(row)
            count += 1
            if len(batch) == _BATCH:
                writer.write_table(_table(schema, batch))
                batch = []
        if batch or count == 0:
            writer.write_table(_table(schema, batch))
    return count


def _table(schema: pa.Schema, rows: Sequence[Sequence[Any]]) -> pa.Table:
    cells = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    return pa.table([pa.array(cell, type=field.type) for cell, field in zip(cells, schema, strict=True)], schema=schema)
