"""Employment registrations: volume, presence of the employer, an end that has a reason."""

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import SuiteContext, at_most, inside_period, one_day_spike, volume


def expectations(context: SuiteContext) -> list[Expectation]:
    """What the employment_spell feed must satisfy beside its contract."""
    return [
        *volume(context, 0.1, 10),
        inside_period(context, "started_on"),
        one_day_spike("started_on", 0.5),
        at_most(
            0.2,
            "employment_form = '1' AND employer_uscc IS NULL",
            name="units_have_a_code",
            description="At most 20 % of the spells are at a unit without a code.",
            zh="单位就业而无单位代码的登记不超过 20 %。",
        ),
        at_most(
            0.1,
            "ended_on IS NULL AND end_reason IS NOT NULL",
            name="reason_agrees_with_end",
            description="At most 10 % of the spells have a reason of their end and no end.",
            zh="有终止原因而无终止日期的登记不超过 10 %。",
        ),
    ]
