"""Parquet files, read by row group, every type as the text that cleaning expects."""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.contracts.model import Feed, Kind
from ingest.deliveries import Resource
from ingest.errors import DeliveryCode
from ingest.readers.base import Header, RawBatch, Table, refused, shown
from ingest.readers.sheet import SPREADSHEET_DIGITS, text_of, without_nul
from ingest.settings import Settings

ROWS = 32_768  # of a batch


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
        except (pa.ArrowException, OSError) as error:
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
            rows = batch.select(kept_places).take(pl.Series(list(wanted), dtype=pl.Int64).to_arrow())
            columns = [rows.column(place).to_pylist() for place in range(rows.num_columns)]
            return [shown("\t".join(_shown_value(value) for value in row)) for row in zip(*columns, strict=True)]

        result = RawBatch(frame, line, texts_of, sci=sci)
        return without_nul(self._without_blank(result, batch))

    def _without_blank(self, result: RawBatch, batch: pa.RecordBatch) -> RawBatch:
        """Leave out rows in which no column at all has a value."""
        empty = result.frame.select(pl.all_horizontal(pl.all() == "")).to_series()
        if not empty.any():
            return result
        for place in set(range(batch.num_columns)) - set(self.header.places.values()):
            column = batch.column(place)
            if not pa.types.is_nested(column.type):
                empty &= self._texts(column) == ""
            else:
                empty &= pl.Series(column.is_null())
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
        if pa.types.is_dictionary(kind):
            column = column.dictionary_decode()
            kind = column.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            return self._valid(column).fill_null("")
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
            return self._valid(column.cast(pa.large_binary()).view(pa.large_string())).fill_null("")
        if pa.types.is_null(kind):
            return pl.repeat("", len(column), dtype=pl.String, eager=True)
        values = pl.Series(pl.from_arrow(column))
        if values.dtype == pl.Boolean:
            texts = values.cast(pl.Int8).cast(pl.String)
        elif values.dtype.is_float():
            # a number too big or too small to be written out is rare
            texts = values.cast(pl.String).str.replace(r"\.0$", "")
            if (texts.str.contains("[eEaf]").fill_null(value=False)).any():
                texts = pl.Series([None if value is None else _shown_value(value) for value in values], dtype=pl.String)
        elif isinstance(values.dtype, pl.Datetime):
            texts = values.dt.strftime("%Y-%m-%d %H:%M:%S")
        elif values.dtype == pl.Date:
            texts = values.dt.strftime("%Y-%m-%d")
        elif values.dtype.is_integer() or values.dtype.is_decimal():
            texts = values.cast(pl.String)
        else:
            texts = pl.Series([None if value is None else str(value) for value in values], dtype=pl.String)
        return texts.fill_null("")

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


def _shown_value(value: Any) -> str:
    """A value of any column for the text of a rejected row."""
    if value is None:
        return ""
    if isinstance(value, float) and value != value:  # not a number
        return "NaN"
    if isinstance(value, (str, bool, float, dt.date, dt.time)) and value not in (float("inf"), float("-inf")):
        return text_of(value)
    return str(value)
