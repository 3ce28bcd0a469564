"""The filters of a share, compiled to a condition with parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from warehouse.sharing.declaration import RowFilter, Scalar
from warehouse.sharing.lineage import MONTH, SharedColumn

#: Operators that compare with ``value`` as PostgreSQL does.
_COMPARISONS = ("=", ">=", "<=")
LAST_MONTHS = "last_months"
OPERATORS = (*_COMPARISONS, "in", "prefix", LAST_MONTHS)
#: Operators that choose: a filter that every share of persons needs has one of them.
CHOOSING = ("=", "in", "prefix")


def problem(conn: psycopg.Connection, row: RowFilter, columns: Mapping[str, SharedColumn]) -> str | None:
    """What is wrong with a filter, None if nothing is.

    Args:
        conn: The database, which is asked whether the values are of the column's type.
        row: The filter.
        columns: Those of the resource.
    """
    column = columns.get(row.column)
    if column is None:
        return f"{row.column} is no column of the resource"
    if row.op not in OPERATORS:
        return f"{row.op!r} is not one of {', '.join(OPERATORS)}"
    operands = row.operands
    if not operands or (row.op != "in" and len(operands) > 1):
        return f"{row.column} {row.op}: give {'values' if row.op == 'in' else 'one value'}"
    if row.op == LAST_MONTHS:
        number = operands[0]
        if column.name != MONTH or column.type != "date":
            return f"{row.column} is no month, so {LAST_MONTHS} does not apply"
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= 1200:
            return f"{LAST_MONTHS} takes a whole number of months"
        return None
    if row.op == "prefix" and (column.type != "text" or not all(operands)):
        return f"{row.column} prefix: a text with at least one character on a column of text"
    if not all(_fits(conn, value, column.type) for value in operands):
        return f"{row.column} {row.op}: the value is not of the type {column.type}"
    return None


def _fits(conn: psycopg.Connection, value: Scalar, type_: str) -> bool:
    """Whether a value of YAML may be compared with a column of a type: codes are text, so that no zero is lost."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, bool) != (type_ == "boolean"):
        return False
    if is_number != (type_.startswith(("numeric", "double", "real")) or type_.endswith(("int", "integer"))):
        return False
    try:
        with conn.transaction():
            conn.execute(sql.SQL("SELECT %s::text::{}").format(sql.SQL(type_)), [_text(value)])
    except psycopg.DataError:
        return False
    return True


def compile_all(
    rows: Sequence[RowFilter], columns: Mapping[str, SharedColumn], source: sql.Composable
) -> tuple[sql.Composed, list[Any]]:
    """The condition under which a row belongs to a share, and its parameters.

    Args:
        rows: Filters without a ``problem``.
        columns: Those of the resource.
        source: What the rows come from, for the last of its months.
    """
    conditions: list[sql.Composable] = [sql.SQL("true")]
    parameters: list[Any] = []
    for row in rows:
        column, operands = columns[row.column], row.operands
        name, type_ = sql.Identifier(column.name), sql.SQL(column.type)
        if row.op == LAST_MONTHS:
            conditions.append(
                sql.SQL("{} > (SELECT max({}) FROM {} AS newest) - make_interval(months => %s)").format(
                    name, name, source
                )
            )
            parameters.append(operands[0])
        elif row.op == "in":
            conditions.append(sql.SQL("{} = ANY (%s::text[]::{}[])").format(name, type_))
            parameters.append([_text(value) for value in operands])
        elif row.op == "prefix":
            conditions.append(sql.SQL("starts_with({}, %s)").format(name))
            parameters.append(operands[0])
        else:
            conditions.append(sql.SQL("{} {} %s::text::{}").format(name, sql.SQL(row.op), type_))
            parameters.append(_text(operands[0]))
    return sql.SQL(" AND ").join(conditions), parameters


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
