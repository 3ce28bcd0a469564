"""Readers: from a file of a delivery to batches of text, whatever its format."""

from pathlib import Path

from ingest.contracts.model import Feed
from ingest.manifest import Resource
from ingest.readers.base import Header, RawBatch, Rows, Table, TextBatch
from ingest.settings import Settings

__all__ = ["Header", "RawBatch", "Rows", "Table", "TextBatch", "open_table"]


def open_table(path: Path, resource: Resource, feed: Feed, limits: Settings) -> Table:
    """Open a file and understand its header.

    Args:
        path: the file on this machine (its name does not matter).
        resource: how the manifest describes it.
        feed: the contract it is read by.
        limits: the bounds for archives and Parquet row groups.

    Raises:
        DeliveryRefused: D_HEADER, D_ENCODING, or D_ARCHIVE for a broken or oversized sheet or Parquet file.
    """
    # the libraries of a format are loaded when a file has it
    if resource.format in ("xlsx", "xls"):
        from ingest.readers.sheet import SheetTable

        return SheetTable(path, resource, feed, limits)
    if resource.format == "parquet":
        from ingest.readers.parquet import ParquetTable

        return ParquetTable(path, resource, feed, limits)
    from ingest.readers.text import TextTable

    return TextTable(path, resource, feed)
