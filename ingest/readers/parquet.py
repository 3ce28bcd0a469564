"""Parquet files, read by row group, every type as the text that cleaning expects."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.contracts.model import Feed, Kind
from ingest.errors import DeliveryCode, refused
from ingest.manifest import Resource
from ingest.readers.base import Header, RawBatch, Table, shown
from ingest.readers.sheet import SPREADSHEET_DIGITS, text_of, without_nul
from ingest.settings import Settings

ROWS = 32_768  # of a batch
#: The floating-point types with fewer digits than a spreadsheet, by their bits.
NARROW: dict[int, type[np.floating[Any]]] = {16: np.float16, 32: np.float32}


class ParquetTable(Table):
    """A Parquet file; rows count from 1."""

    def __init__(self, path: Path, resource: Resource, feed: Feed, limits: Settings) -> None:
        self.path = path
        self.resource = resource
        self.feed = feed
        with self._errors(), pq.ParquetFile(path) as file:
            biggest = max((file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups)), default=0)
            if biggest > limits.row_group_bytes:
                text = f"a row group has {biggest} bytes, {limits.row_group_bytes} are allowed; write smaller ones"
                raise refused(DeliveryCode.ARCHIVE, text, resource.path)
            schema = file.schema_arrow
        self.header = Header.read(feed, schema.names, resource.path)
        for name, place in self.header.places.items():
            if pa.types.is_nested(schema.field(place).type):
                text = f"the column {name} holds {schema.field(place).type} values; write plain ones"
                raise refused(DeliveryCode.HEADER, text, resource.path)
        self.columns = tuple(self.header.places)
        self.unknown_columns = self.header.unknown

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """What a damaged file makes the library raise is one finding."""
        try:
            yield
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # our disk, not the file
                raise
            text = f"the Parquet file cannot be read ({str(error).splitlines()[0][:100] if str(error) else 'damaged'})"
            raise refused(DeliveryCode.ARCHIVE, text, self.resource.path) from None

    def batches(self) -> Iterator[RawBatch]:
        """See ``Table``."""
        with self._errors(), pq.ParquetFile(self.path, pre_buffer=False) as file:
            batches = file.iter_batches(batch_size=ROWS, use_threads=False)
            first = 1
            while True:
                with self._errors():
                    batch = next(batches, None)
                if batch is None:
                    return
                if batch.num_rows:
                    yield self._batch(batch, first)
                first += batch.num_rows

    def _batch(self, batch: pa.RecordBatch, first: int) -> RawBatch:
        batch = pa.record_batch([_plain(column) for column in batch.columns], names=batch.schema.names)
        texts = {name: self._texts(batch.column(place)).alias(name) for name, place in self.header.places.items()}
        frame = pl.DataFrame(list(texts.values()))
        line = pl.int_range(first, first + batch.num_rows, dtype=pl.Int64, eager=True).alias("line")
        sci = {
            name: _damaged(batch.column(place))
            for name, place in self.header.places.items()
            if self.feed.by_name[name].kind is Kind.CERTNO and pa.types.is_floating(batch.column(place).type)
        }
        kept_places = [place for place in range(batch.num_columns) if place not in self.header.dropped]

        def texts_of(wanted: Sequence[int]) -> list[str]:
            with self._errors():
                columns = [self._shown(batch.column(place), wanted) for place in kept_places]
            return [shown("\t".join(row)) for row in zip(*columns, strict=True)]

        result = RawBatch(frame, line, texts_of, sci=sci)
        return without_nul(self._without_blank(result, batch))

    def _without_blank(self, result: RawBatch, batch: pa.RecordBatch) -> RawBatch:
        """Leave out rows in which no column at all has a value."""
        empty = result.frame.select(pl.all_horizontal(pl.all() == "")).to_series()
        if not empty.any():
            return result
        for place in set(range(batch.num_columns)) - set(self.header.places.values()):
            column = batch.column(place)
            if _is_bytes(column.type) or _is_text(column.type):
                # what is no text must not matter here: nobody reads the column
                empty &= pl.Series(pc.equal(pc.fill_null(pc.binary_length(column), 0), 0))
            elif pa.types.is_nested(column.type):
                empty &= pl.Series(column.is_null())
            else:
                empty &= self._texts(column) == ""
        kept = (~empty).arg_true()
        places = kept.to_list()
        return RawBatch(
            frame=result.frame[kept],
            line=result.line.gather(kept),
            text_of=lambda wanted: result.text_of([places[row] for row in wanted]),
            sci={name: marks.gather(kept) for name, marks in result.sci.items()},
        )

    def _texts(self, column: pa.Array) -> pl.Series:
        """A column as text, no value as empty text."""
        kind = column.type
        if _is_text(kind):
            return self._valid(column).fill_null("")
        if _is_bytes(kind):
            return self._valid(column.cast(pa.large_binary()).view(pa.large_string())).fill_null("")
        if pa.types.is_null(kind):
            return pl.repeat("", len(column), dtype=pl.String, eager=True)
        if pa.types.is_floating(kind):
            return _numbers(column).fill_null("")
        values = pl.Series(pl.from_arrow(column))
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
        return texts.fill_null("")

    def _shown(self, column: pa.Array, wanted: Sequence[int]) -> list[str]:
        """Some values of any column, known or not, for the text of rejected rows."""
        if pa.types.is_nested(column.type):
            return ["" if (value := column[row].as_py()) is None else str(value) for row in wanted]
        values = column.take(pl.Series(list(wanted), dtype=pl.Int64).to_arrow())
        if _is_text(column.type):
            values = values.cast(pa.large_binary())
        if _is_bytes(values.type):
            return ["" if value is None else value.decode(errors="backslashreplace") for value in values.to_pylist()]
        return self._texts(values).to_list()

    def _valid(self, column: pa.Array) -> pl.Series:
        """Text whose bytes are checked to be UTF-8, which a writer need not have done."""
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            text = "a text column holds bytes that are no UTF-8"
            raise refused(DeliveryCode.ENCODING, text, self.resource.path) from None
        return pl.Series(pl.from_arrow(column)).cast(pl.String)


def _damaged(column: pa.Array) -> pl.Series:
    """Floating-point numbers of more than 15 digits: the rest of their digits is gone."""
    return (pl.Series(pl.from_arrow(column)).abs() >= SPREADSHEET_DIGITS).fill_null(value=False)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _plain(column: pa.Array) -> pa.Array:
    """A column in a type that Arrow can pick rows from and Polars knows."""
    kind = column.type
    if isinstance(kind, pa.UuidType):
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.large_string())
    if isinstance(kind, pa.BaseExtensionType):
        return _plain(column.storage)
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(column.indices, _plain(column.dictionary)).dictionary_decode()
    if pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    if pa.types.is_binary_view(kind):
        return column.cast(pa.large_binary())
    if pa.types.is_decimal256(kind):
        return column.cast(pa.string())
    return column


def _numbers(column: pa.Array) -> pl.Series:
    """Floating-point numbers as text, each in the same way whatever stands beside it.

    Polars writes the shortest text that tells a number from all others. For a narrow type that is what was meant. Of
    a double the first 15 digits are, as in sheets: 0.1 + 0.2 is 0.3. And a number is written out, without exponent.
    """
    narrow = NARROW.get(column.type.bit_width)
    half = narrow is np.float16  # Polars would show more digits of it
    texts = pl.Series(pl.from_arrow(column.cast(pa.float32()) if half else column)).cast(pl.String)
    # 16 characters hold at most 15 digits
    rare = texts.str.contains("[eEaf]") | (texts.str.len_bytes() > (0 if half else 16))
    places = rare.fill_null(value=False).arg_true()
    if len(places):
        values: list[float] = column.take(places.to_arrow()).to_pylist()
        texts = texts.scatter(places, [_number(value if narrow is None else narrow(value)) for value in values])
    return texts.str.replace(r"\.0$", "")


def _number(value: float | np.floating[Any]) -> str:
    """One number; see ``_numbers``."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return str(value)
    return text_of(value) if isinstance(value, float) else format(Decimal(str(value)), "f")
