"""Parquet files, read by row group; every type becomes the text that cleaning expects."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ingest import shown
from ingest.barrier import is_panic
from ingest.contracts.model import Feed, Kind
from ingest.delivery.manifest import Resource
from ingest.errors import DeliveryCode, refused
from ingest.kernels.byte_column import among
from ingest.readers.base import Header, RawBatch, Table, escape_nul
from ingest.readers.sheet import SPREADSHEET_DIGITS, displayed_text, move_nul_rows, text_of
from ingest.settings import Settings
from ingest.stripping import strip, stripped

BATCH_ROWS = 32_768
#: What a file may expand to however small it is: a file of a few rows is mostly its own description.
MIN_EXPANDED_BYTES = 64 * 1024**2
#: Floating-point types with fewer digits than a spreadsheet cell, by bit width.
FLOATS_BELOW_DOUBLE: dict[int, type[np.floating[Any]]] = {16: np.float16, 32: np.float32}

#: What the libraries raise for a damaged file; for Rust panics see ``is_panic``.
_DAMAGED = (pa.ArrowException, pl.exceptions.PolarsError, OSError, UnicodeDecodeError, OverflowError)
#: The largest distance from 1970-01-01, in days, that the libraries can format as a date.
MAX_DAYS = 95_000_000
UNITS_PER_DAY = {"ms": 86_400 * 10**3, "us": 86_400 * 10**6, "ns": 86_400 * 10**9}


class ParquetTable(Table):
    """A Parquet file; rows count from 1."""

    def __init__(self, path: Path, resource: Resource, feed: Feed, limits: Settings) -> None:
        self.path = path
        self.resource = resource
        self.feed = feed
        with self._errors(), pq.ParquetFile(path) as file:
            largest = max((file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups)), default=0)
            if largest > limits.row_group_bytes:
                text = f"a row group has {largest} bytes, {limits.row_group_bytes} are allowed; write smaller ones"
                raise refused(DeliveryCode.ARCHIVE, text, resource.path)
            schema = file.schema_arrow
            self.most_rows = file.metadata.num_rows
        self.limits = limits
        limit = max(path.stat().st_size * limits.archive_ratio, MIN_EXPANDED_BYTES)
        self.max_expanded_bytes = min(limit, limits.archive_bytes)
        self.header = Header.read(feed, schema.names, resource.path)
        for name, position in self.header.positions.items():
            if pa.types.is_nested(schema.field(position).type):
                text = f"the column {name} holds lists or structures; write plain ones"
                raise refused(DeliveryCode.HEADER, text, resource.path)
        self.columns = tuple(self.header.positions)
        self.unknown_columns = self.header.unknown

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what the libraries raise for a damaged file into a refusal."""
        try:
            yield
        except BaseException as error:
            if not (isinstance(error, _DAMAGED) or is_panic(error)):
                raise
            if isinstance(error, OSError) and error.errno is not None:  # an error of the local disk, not of the file
                raise
            said = shown.error(str(error).splitlines()[0][:100]) if str(error) else "damaged"
            text = f"the Parquet file cannot be read ({said})"
            raise refused(DeliveryCode.ARCHIVE, text, self.resource.path) from None

    def batches(self) -> Iterator[RawBatch]:
        """See ``Table``."""
        with self._errors(), pq.ParquetFile(self.path, pre_buffer=False) as file:
            batches = file.iter_batches(batch_size=BATCH_ROWS, use_threads=False)
            first, expanded = 1, 0
            while True:
                with self._errors():
                    batch = next(batches, None)
                    if batch is None:
                        return
                    columns = [_to_supported_type(column) for column in batch.columns]
                    batch = pa.record_batch(columns, names=batch.schema.names)
                expanded += batch.nbytes
                if expanded > self.max_expanded_bytes:
                    text = (
                        f"the file expands to more than {self.limits.archive_ratio} times its size or "
                        f"{self.limits.archive_bytes} bytes; split the delivery"
                    )
                    raise refused(DeliveryCode.ARCHIVE, text, self.resource.path)
                if batch.num_rows:
                    yield self._batch(batch, first)
                first += batch.num_rows

    def _batch(self, batch: pa.RecordBatch, first: int) -> RawBatch:
        texts = {
            name: self._as_text(batch.column(position)).alias(name) for name, position in self.header.positions.items()
        }
        frame = pl.DataFrame(list(texts.values()))
        line = pl.int_range(first, first + batch.num_rows, dtype=pl.Int64, eager=True).alias("line")
        imprecise = {
            name: _is_imprecise(batch.column(position))
            for name, position in self.header.positions.items()
            if self.feed.by_name[name].kind is Kind.CERTNO and pa.types.is_floating(batch.column(position).type)
        }
        kept_positions = [position for position in range(batch.num_columns) if position not in self.header.dropped]

        def raw_texts(rows: Sequence[int]) -> list[str]:
            with self._errors():
                columns = [self._raw_values(batch.column(position), rows) for position in kept_positions]
            return [escape_nul("\t".join(row)) for row in zip(*columns, strict=True)]

        result = RawBatch(frame, line, raw_texts, imprecise=imprecise)
        return move_nul_rows(self._without_blank(result, batch))

    def _without_blank(self, result: RawBatch, batch: pa.RecordBatch) -> RawBatch:
        """Remove rows in which every column, known or not, is blank."""
        blank = pl.int_range(result.frame.height, eager=True)
        for texts in result.frame:
            blank = blank.filter(stripped(texts.gather(blank)) == "")
            if blank.is_empty():
                return result
        for position in set(range(batch.num_columns)) - set(self.header.positions.values()):
            values = self._raw_values(batch.column(position), blank.to_list())
            blank = blank.filter(pl.Series([strip(value) == "" for value in values], dtype=pl.Boolean))
        kept_rows = pl.int_range(result.frame.height, eager=True).filter(~among(blank.to_numpy(), result.frame.height))
        positions = kept_rows.to_list()
        return RawBatch(
            frame=result.frame[kept_rows],
            line=result.line.gather(kept_rows),
            text_of=lambda rows: result.text_of([positions[row] for row in rows]),
            imprecise={name: flags.gather(kept_rows) for name, flags in result.imprecise.items()},
        )

    def _as_text(self, column: pa.Array) -> pl.Series:
        """A column as text; null becomes empty text."""
        kind = column.type
        if _is_text(kind):
            return self._validated_text(column).fill_null("")
        if _is_bytes(kind):
            return self._validated_text(column.cast(pa.large_binary()).view(pa.large_string())).fill_null("")
        if pa.types.is_null(kind):
            return pl.repeat("", len(column), dtype=pl.String, eager=True)
        if pa.types.is_floating(kind):
            return _floats_as_text(column).fill_null("")
        values, out_of_range = _remove_out_of_range(pl.Series(pl.from_arrow(column)))
        if values.dtype == pl.Boolean:
            texts = values.cast(pl.Int8).cast(pl.String)
        elif isinstance(values.dtype, pl.Datetime):
            texts = values.dt.strftime("%Y-%m-%d %H:%M:%S")
        elif values.dtype == pl.Date:
            texts = values.dt.strftime("%Y-%m-%d")
        elif values.dtype.is_integer() or values.dtype.is_decimal():
            texts = values.cast(pl.String)
        else:
            texts = pl.Series([None if value is None else str(value) for value in values], dtype=pl.String)
        return (
            texts.fill_null("")
            if out_of_range is None
            else texts.zip_with(out_of_range.is_null(), out_of_range).fill_null("")
        )

    def _raw_values(self, column: pa.Array, rows: Sequence[int]) -> list[str]:
        """The values of some rows of any column as text, for the stored text of rejected rows."""
        if pa.types.is_nested(column.type):
            return ["" if (value := column[row].as_py()) is None else str(value) for row in rows]
        values = column.take(pl.Series(list(rows), dtype=pl.Int64).to_arrow())
        if _is_text(column.type):
            values = values.cast(pa.large_binary())
        if _is_bytes(values.type):
            return ["" if value is None else value.decode(errors="backslashreplace") for value in values.to_pylist()]
        texts = self._as_text(values)
        if pa.types.is_floating(values.type):
            imprecise_rows = _is_imprecise(values).arg_true()
            numbers: list[float] = values.take(imprecise_rows.to_arrow()).to_pylist()
            texts = texts.scatter(imprecise_rows, [_imprecise_float_as_text(number, values.type) for number in numbers])
        return texts.to_list()

    def _validated_text(self, column: pa.Array) -> pl.Series:
        """A text column whose bytes are valid UTF-8; writers do not guarantee that."""
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            text = "a text column holds bytes that are no UTF-8"
            raise refused(DeliveryCode.ENCODING, text, self.resource.path) from None
        return pl.Series(pl.from_arrow(column)).cast(pl.String)


def _remove_out_of_range(values: pl.Series) -> tuple[pl.Series, pl.Series | None]:
    """Replace dates, date-times and durations beyond the range that Polars can format by null.

    Returns the values, and the text of the replaced ones: their number and its unit, which no check accepts as a date.
    None instead of the texts when no value is out of range.
    """
    if isinstance(values.dtype, pl.Date):
        unit, limit = "d", MAX_DAYS
    elif isinstance(values.dtype, (pl.Datetime, pl.Duration)):
        unit = values.dtype.time_unit or "us"
        limit = MAX_DAYS * UNITS_PER_DAY[unit]
    else:
        return values, None
    numbers = values.to_physical().cast(pl.Int64)
    minimum, maximum = numbers.min(), numbers.max()
    if minimum is None or maximum is None or (minimum >= -limit and maximum <= limit):  # type: ignore[operator]
        return values, None
    out_of_range = ((numbers < -limit) | (numbers > limit)).fill_null(value=False)
    texts = numbers.cast(pl.String) + f" {unit}"
    return values.set(out_of_range, None), texts.set(~out_of_range, None)


def _is_imprecise(column: pa.Array) -> pl.Series:
    """Whether a floating-point number has more than 15 digits, so that the further digits are lost."""
    return (pl.Series(pl.from_arrow(column)).abs() >= SPREADSHEET_DIGITS).fill_null(value=False)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _to_supported_type(column: pa.Array) -> pa.Array:
    """A column converted to a type that Arrow can select rows of and Polars can import."""
    kind = column.type
    if isinstance(kind, pa.UuidType):
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.large_string())
    if isinstance(kind, pa.BaseExtensionType):
        return _to_supported_type(column.storage)
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(column.indices, _to_supported_type(column.dictionary)).dictionary_decode()
    if pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    if pa.types.is_binary_view(kind):
        return column.cast(pa.large_binary())
    if pa.types.is_decimal256(kind):
        return column.cast(pa.string())
    return column


def _floats_as_text(column: pa.Array) -> pl.Series:
    """Floating-point numbers as text; the text of a number does not depend on the other rows.

    Polars writes the shortest text that identifies a number. For a type below double precision that text is used. A
    double is rounded to 15 digits, as in sheets: 0.1 + 0.2 is 0.3. Numbers are written without exponent.
    """
    float_type = FLOATS_BELOW_DOUBLE.get(column.type.bit_width)
    half = float_type is np.float16  # Polars would write more digits than half precision has
    texts = pl.Series(pl.from_arrow(column.cast(pa.float32()) if half else column)).cast(pl.String)
    # 16 characters hold at most 15 digits
    needs_python = texts.str.contains("[eEaf]") | (texts.str.len_bytes() > (0 if half else 16))
    positions = needs_python.fill_null(value=False).arg_true()
    if len(positions):
        values: list[float] = column.take(positions.to_arrow()).to_pylist()
        texts = texts.scatter(
            positions, [_float_as_text(value if float_type is None else float_type(value)) for value in values]
        )
    return texts.str.replace(r"\.0$", "")


def _imprecise_float_as_text(value: float, kind: pa.DataType) -> str:
    """A number of more than 15 digits as a spreadsheet displays it."""
    float_type = FLOATS_BELOW_DOUBLE.get(kind.bit_width)
    return displayed_text(value) if float_type is None else str(float_type(value)).upper()


def _float_as_text(value: float | np.floating[Any]) -> str:
    """A single number; see ``_floats_as_text``."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return str(value)
    return text_of(value) if isinstance(value, float) else format(Decimal(str(value)), "f")
