"""Accepted rows: the landing tables, loading them with COPY, their partitions."""
