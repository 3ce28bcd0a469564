"""Organisations: volume, presence of what the indicators divide by, parents that exist."""

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import SuiteContext, filled, no_rows, one_day_spike, volume


def expectations(context: SuiteContext) -> list[Expectation]:
    """What the organisation feed must satisfy beside its contract."""
    suite = [
        *volume(context),
        filled("employees", 0.8),
        filled("industry", 0.6),
        filled("employer_nature", 0.6),
        one_day_spike("founded_on"),
    ]
    if context.mode == "snapshot":
        suite.append(
            no_rows(
                """
                SELECT count(*) AS orphans FROM batch AS child
                WHERE child.parent_org_code IS NOT NULL
                    AND NOT EXISTS (SELECT 1 FROM batch AS parent WHERE parent.org_code = child.parent_org_code)
                HAVING count(*) > 0.4 * (SELECT count(*) FROM batch)
                """,
                name="parents_delivered",
                description="The parents of at least 60 % of the organisations are in the same delivery.",
                zh="至少 60% 的组织，其上级组织在同一批数据中。",
            )
        )
    return suite
