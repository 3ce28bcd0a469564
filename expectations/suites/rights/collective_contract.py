"""Collective contracts: volume, dates inside the period, the term that the rule allows."""

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import SuiteContext, at_most, inside_period, one_day_spike, sum_near_previous, volume


def expectations(context: SuiteContext) -> list[Expectation]:
    """What the collective_contract feed must satisfy beside its contract."""
    return [
        *volume(context),
        inside_period(context, "signed_on"),
        one_day_spike("signed_on", 0.5),
        sum_near_previous(context, "covered_workers"),
        at_most(
            0,
            "valid_to > valid_from + INTERVAL '3 years'",
            name="term_of_at_most_three_years",
            description="No contract has a term of more than three years.",
            zh="没有期限超过三年的合同。",
        ),
        at_most(
            0.2,
            "review = '0' AND submitted_on IS NOT NULL OR review <> '0' AND submitted_on IS NULL",
            name="review_agrees_with_submission",
            description="At most 20 % of the contracts are under review without having been sent in, or the reverse.",
            zh="审查结果与报送日期不一致的合同不超过 20 %。",
        ),
    ]
