"""Expectations that figures of several subjects share."""

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import CRITICAL, no_rows

#: Rows that speak of this many persons or fewer are suppressed.
SMALLEST_CELL = 10


def is_share(column: str) -> Expectation:
    """A column is a share: between 0 and 1, or null."""
    return gxe.ExpectColumnValuesToBeBetween(
        column=column,
        min_value=0,
        max_value=1,
        severity=CRITICAL,
        description=f"{column} is a share, from 0 to 1.",
        meta={"name": "share_within_0_and_1", "zh": f"{column} 是比率，介于 0 与 1 之间。"},
    )


def not_negative(*columns: str) -> list[Expectation]:
    """Columns are never below 0."""
    return [
        gxe.ExpectColumnValuesToBeBetween(
            column=column,
            min_value=0,
            severity=CRITICAL,
            description=f"{column} is not negative.",
            meta={"name": "not_negative", "zh": f"{column} 不为负。"},
        )
        for column in columns
    ]


def part_of(part: str, whole: str) -> Expectation:
    """A column never exceeds the one that it is a part of."""
    return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A=whole,
        column_B=part,
        or_equal=True,
        ignore_row_if="either_value_is_missing",
        severity=CRITICAL,
        description=f"{part} is a part of {whole}.",
        meta={"name": "part_within_whole", "zh": f"{part} 不大于 {whole}。"},
    )


def unique(*columns: str) -> Expectation:
    """No two rows have the same values in these columns."""
    return gxe.ExpectCompoundColumnsToBeUnique(
        column_list=list(columns),
        severity=CRITICAL,
        description=f"No two rows have the same {', '.join(columns)}.",
        meta={"zh": f"没有两行的 {', '.join(columns)} 相同。"},
    )


def no_small_cell(persons: str) -> Expectation:
    """No published row stands for 1 to ten persons."""
    return no_rows(
        f"""
        SELECT count(*) FROM batch WHERE {persons} BETWEEN 1 AND {SMALLEST_CELL}
        HAVING count(*) > 0
        """,
        name="no_small_cell",
        description=f"No published {persons} is 1 to {SMALLEST_CELL}.",
        zh=f"公布的 {persons} 不介于 1 与 {SMALLEST_CELL} 之间。",
        severity=CRITICAL,
    )


def suppressed_as_a_whole(*measures: str) -> Expectation:
    """A suppressed row shows none of its measures, every other row shows all."""
    return no_rows(
        f"""
        SELECT count(*) FROM batch
        WHERE num_nulls({", ".join(measures)}) <> CASE WHEN is_suppressed THEN {len(measures)} ELSE 0 END
        HAVING count(*) > 0
        """,
        name="suppressed_as_a_whole",
        description=f"A suppressed row shows none of {', '.join(measures)}, another shows all.",
        zh=f"被隐去的记录不显示 {', '.join(measures)}，其他记录全部显示。",
        severity=CRITICAL,
    )


def complementary_suppression(persons: str, *group: str, total: str = "true") -> Expectation:
    """A suppressed row alone could be computed: from the group's row in sum, if any (``total``), and its neighbours."""
    columns = ", ".join(group)
    is_part = "true" if total == "true" else f"NOT ({total})"
    return no_rows(
        f"""
        SELECT {columns} FROM batch GROUP BY {columns}
        HAVING count(*) FILTER (WHERE is_suppressed AND {is_part}) = 1
            AND count(*) FILTER (WHERE NOT is_suppressed AND {persons} > 0 AND {total}) > 0
        """,
        name="complementary_suppression",
        description=f"A suppressed row cannot be computed from the others of its {columns}.",
        zh=f"被隐去的记录不能由同一 {columns} 的其他记录推算出来。",
        severity=CRITICAL,
    )


def steady(measure: str, group: str, bound: float) -> Expectation:
    """A measure changes from one month to the next by no more than a share of itself."""
    return no_rows(
        f"""
        SELECT * FROM (
            SELECT month, {group}, sum({measure}) AS total,
                lag(sum({measure})) OVER (PARTITION BY {group} ORDER BY month) AS before
            FROM batch GROUP BY month, {group}
        ) AS monthly
        WHERE before > 100 AND abs(total - before) > {bound} * before
        """,
        name="change_from_month_to_month",
        description=f"{measure} changes by at most {bound:.0%} from one month to the next in each {group}.",
        zh=f"各 {group} 的 {measure} 逐月变化不超过 {bound:.0%}。",
    )
