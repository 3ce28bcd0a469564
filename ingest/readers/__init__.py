"""Readers: turn a file of any supported format into batches of text."""

from pathlib import Path

from ingest.contracts.model import Feed
from ingest.delivery.manifest import Resource
from ingest.readers.base import Header, RawBatch, Table, TextBatch, TextRows
from ingest.settings import Settings

__all__ = ["Header", "RawBatch", "Table", "TextBatch", "TextRows", "open_table"]


def open_table(path: Path, resource: Resource, feed: Feed, limits: Settings) -> Table:
    """Open a file and read its header.

    Args:
        path: the local file; its name is not used.
        resource: the entry of the manifest for this file.
        feed: the contract of its feed.
        limits: limits for archives and Parquet row groups.

    Raises:
        DeliveryRefused: D_HEADER, D_ENCODING, or D_ARCHIVE for a broken or oversized sheet or Parquet file.
    """
    # imported here, so that the libraries of a format are loaded only when a file needs them
    if resource.format in ("xlsx", "xls"):
        from ingest.readers.sheet import SheetTable

        return SheetTable(path, resource, feed, limits)
    if resource.format == "parquet":
        from ingest.readers.parquet import ParquetTable

        return ParquetTable(path, resource, feed, limits)
    from ingest.readers.text import TextTable

    return TextTable(path, resource, feed)
