"""Writes a published table as a file, as a role of the warehouse may read it."""

import difflib
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, Literal

import psycopg
import pyarrow as pa
from psycopg import sql
from xlsxwriter.worksheet import Worksheet

from ingest.errors import WarehouseError
from warehouse.access import roles
from warehouse.cli.files import MAX_CELL_CHARACTERS, MAX_SHEET_ROWS, new_workbook, open_private
from warehouse.documentation import labels
from warehouse.sharing.tables import OutputColumn, write_csv, write_parquet

#: Schemas in which a table is looked for that is named without one, the first that has it.
_SCHEMAS = ("marts", "core", "casework")
_BATCH_ROWS = 10_000
#: Types that a shared extract writes as text, and their type in a parquet file.
_FURTHER_TYPES = {"numeric": pa.float64(), "timestamp without time zone": pa.timestamp("us")}
#: The largest number whose digits a spreadsheet keeps, and the first year it knows.
_MAX_SHEET_NUMBER, _FIRST_SHEET_YEAR = 10**15, 1900


class Format(StrEnum):
    """How a table is written."""

    CSV = "csv"
    PARQUET = "parquet"
    XLSX = "xlsx"


class Labels(StrEnum):
    """What the header of a file says."""

    ZH = "zh"
    EN = "en"
    NAMES = "names"


_LABEL: dict[Labels, Callable[[str], str]] = {Labels.ZH: labels.chinese, Labels.EN: labels.english}


class _Column(OutputColumn):
    """A column of the file; its name is what the header says."""

    @property
    def arrow_type(self) -> pa.DataType | None:
        """The type in a parquet file; None: written as text."""
        return _FURTHER_TYPES.get(self.type) or super().arrow_type

    @property
    def cast(self) -> Literal["", "::text", "::double precision"]:
        """What makes its values those of the type."""
        if self.arrow_type is None:
            return "::text"
        return "::double precision" if self.type == "numeric" else ""


@dataclass(frozen=True)
class Relation:
    """A published table, its columns as name, type and description, and whether the role may read it."""

    schema: str
    name: str
    is_readable: bool

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


def export(
    conn: psycopg.Connection[Any], table: str, path: Path, format_: Format, header: Labels, role: str
) -> tuple[str, int]:
    """Write a published table; cells that are not published for few persons stay empty.

    Args:
        conn: As the owner, or as a login that is a member of the role; in no transaction.
        table: ``schema.name``, or the name alone.
        path: The file, which its owner alone may read.
        format_: Of the file.
        header: Names of the columns, or labels from their descriptions.
        role: With whose rights the table is read.

    Returns:
        The table's name with its schema, and the number of rows.

    Raises:
        WarehouseError: There is no such table or role, or the role may not read it; a sheet cannot hold all rows.
    """
    with conn.transaction():
        conn.execute("SET TRANSACTION READ ONLY")
        _become(conn, role)
        conn.execute("SET LOCAL TimeZone = 'Asia/Shanghai'")
        conn.execute("SET LOCAL DateStyle = 'ISO'")
        relation = _find(conn, table, role)
        columns, names = _columns(conn, relation, header)
        with open_private(path) as file:
            return str(relation), _write(conn, relation, columns, names, file, format_)


def _become(conn: psycopg.Connection[Any], role: str) -> None:
    """Read with the rights of a role until the transaction ends."""
    if role not in roles.ROLES:
        raise WarehouseError(f"{role!r} is no role: one of {', '.join(roles.ROLES)}.")
    user = conn.info.user
    try:
        conn.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
    except psycopg.errors.InvalidParameterValue as error:
        raise WarehouseError(f"The server has no role {role} yet: `warehouse up` makes it.") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise WarehouseError(
            f"{user} may not read as {role}: the server's administrator grants it (GRANT {role} TO {user})."
        ) from error


def _find(conn: psycopg.Connection[Any], table: str, role: str) -> Relation:
    """The table of that name that the role may read."""
    rows = conn.execute(
        "SELECT n.nspname, c.relname, has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')"
        " FROM pg_class AS c INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid"
        " WHERE n.nspname = ANY(%s) AND c.relkind IN ('v', 'm', 'r', 'p')",
        [list(_SCHEMAS)],
    )
    relations = [Relation(*row) for row in rows]
    relations.sort(key=lambda relation: (_SCHEMAS.index(relation.schema), relation.name))
    if not relations:
        raise WarehouseError("Nothing is published yet.")
    found = next((relation for relation in relations if table in (str(relation), relation.name)), None)
    if found is None:
        spellings = {name: str(relation) for relation in relations[::-1] for name in (str(relation), relation.name)}
        like = dict.fromkeys(spellings[near] for near in difflib.get_close_matches(table, spellings, n=4))
        raise WarehouseError(f"There is no published table {table!r}." + (f" Is it {', '.join(like)}?" if like else ""))
    if not found.is_readable:
        readers = ", ".join(f"--role {reader}" for reader in roles.READERS[found.schema])
        raise WarehouseError(f"{found} is not for the role {role}: {readers}.")
    return found


def _columns(conn: psycopg.Connection[Any], relation: Relation, header: Labels) -> tuple[list[_Column], list[str]]:
    """The columns of the file, and the names of the table's columns."""
    found = conn.execute(
        "SELECT attname, format_type(atttypid, atttypmod), coalesce(col_description(attrelid, attnum), '')"
        " FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [sql.Identifier(relation.schema, relation.name).as_string(conn)],
    ).fetchall()
    names = [name for name, _, _ in found]
    texts = names
    if header is not Labels.NAMES:
        texts = labels.distinct(((name, description) for name, _, description in found), _LABEL[header])
    return [
        _Column(text, type_, text, description) for text, (_, type_, description) in zip(texts, found, strict=True)
    ], names


def _write(
    conn: psycopg.Connection[Any],
    relation: Relation,
    columns: Sequence[_Column],
    names: Sequence[str],
    file: BinaryIO,
    format_: Format,
) -> int:
    """Write all rows; returns their number."""
    items = [
        sql.Identifier(name) + sql.SQL("::text" if format_ is Format.CSV else column.cast)
        for name, column in zip(names, columns, strict=True)
    ]
    query = sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(", ").join(items), sql.Identifier(relation.schema, relation.name)
    )
    if relation.schema == "marts":  # figures are few; their order says what they are
        query += sql.SQL(" ORDER BY {}").format(sql.SQL(", ").join(map(sql.Identifier, names)))
    with closing(conn.cursor(name="export")) as cursor:
        cursor.itersize = _BATCH_ROWS
        rows = cursor.execute(query)
        if format_ is Format.CSV:
            return write_csv(file, columns, rows)
        if format_ is Format.PARQUET:
            return write_parquet(file, columns, rows)
        return _write_workbook(file, relation, columns, rows)


def _write_workbook(
    file: BinaryIO, relation: Relation, columns: Sequence[_Column], rows: Iterable[Sequence[Any]]
) -> int:
    """Write a sheet with typed cells."""
    count = 0
    with new_workbook(file) as book:
        sheet, head = book.add_worksheet(relation.name[:31]), book.add_format({"bold": True})
        instant = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, max(0, len(columns) - 1), 16)
        for position, column in enumerate(columns):
            sheet.write_string(0, position, column.name, head)
        for count, row in enumerate(rows, 1):
            if count >= MAX_SHEET_ROWS:
                raise WarehouseError(f"{relation} has more rows than a sheet holds: take csv or parquet.")
            for position, value in enumerate(row):
                _write_cell(sheet, count, position, value, instant)
    return count


def _write_cell(sheet: Worksheet, row: int, position: int, value: Any, instant: Any) -> None:
    """Write a value with its type; as text what a spreadsheet would change, and nothing for null."""
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_boolean(row, position, value)
    elif isinstance(value, (int, float, Decimal)) and math.fabs(value) < _MAX_SHEET_NUMBER:
        sheet.write_number(row, position, float(value))
    elif isinstance(value, date) and value.year >= _FIRST_SHEET_YEAR:
        if isinstance(value, datetime):
            sheet.write_datetime(row, position, value.replace(tzinfo=None), instant)
        else:
            sheet.write_datetime(row, position, value)
    else:
        sheet.write_string(row, position, str(value)[:MAX_CELL_CHARACTERS])
