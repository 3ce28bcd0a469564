"""Budgets: the critical sign of a column in another unit, the year of the execution."""

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import CRITICAL, SuiteContext, at_most, inside_period, volume

UNIT_SHARE = 0.50
UNIT_ROWS = 20


def expectations(context: SuiteContext) -> list[Expectation]:
    """What the fund_budget feed must satisfy beside its contract."""
    return [
        *volume(context),
        inside_period(context, "as_of"),
        at_most(
            UNIT_SHARE,
            "actual > 100 * budget OR budget > 1000 * actual",
            among="budget > 0 AND actual > 0",
            of=UNIT_ROWS,
            name="budget_and_actual_are_in_one_unit",
            description=f"Of at least {UNIT_ROWS} rows with both amounts not more than {UNIT_SHARE:.0%} have an "
            "execution above 100 budgets or a budget above 1,000 executions: one of the columns is in another unit.",
            zh=f"预算与执行均大于 0 的不少于 {UNIT_ROWS} 行中，执行数大于预算 100 倍或预算大于执行数 1000 倍的不超过 "
            f"{UNIT_SHARE:.0%}（否则其中一列单位有误）。",
            severity=CRITICAL,
        ),
        at_most(
            0,
            "extract(year FROM as_of) < year",
            name="as_of_not_before_its_year",
            description="No execution is cumulated up to a day before its year.",
            zh="截止日期不早于其年度。",
        ),
    ]
