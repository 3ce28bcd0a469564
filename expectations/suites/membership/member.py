"""Members: the two critical signs of a broken export, and the usual shares."""

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import CRITICAL, SuiteContext, at_most, filled, no_rows, one_day_spike, volume

ORPHAN_SHARE = 0.40
FILLED_IN_SHARE = 0.30
FILLED_IN_ROWS = 200


def expectations(context: SuiteContext) -> list[Expectation]:
    """What the member feed must satisfy beside its contract."""
    suite = [
        *volume(context),
        filled("sex", 0.8),
        filled("birth_date", 0.5),
        filled("education", 0.5),
        one_day_spike("joined_on"),
        at_most(
            FILLED_IN_SHARE,
            f"joined_on = DATE '{context.created_date.isoformat()}'",
            of=FILLED_IN_ROWS,
            name="joined_on_is_not_the_export_day",
            description=f"Of at least {FILLED_IN_ROWS} members not more than {FILLED_IN_SHARE:.0%} joined on the day "
            "the delivery was created: the export filled in its own date.",
            zh=f"会员不少于 {FILLED_IN_ROWS} 人时，入会日期等于导出当天的不多于 {FILLED_IN_SHARE:.0%}："
            "更多则是导出时自动填入的日期。",
            severity=CRITICAL,
        ),
    ]
    if context.mode == "snapshot" and "organisation" in context.tables:
        suite.append(
            no_rows(
                f"""
                SELECT count(*) AS orphans FROM batch AS member
                WHERE NOT EXISTS (
                    SELECT 1 FROM {context.tables["organisation"]} AS organisation
                    WHERE organisation.org_code = member.org_code
                )
                HAVING count(*) > {ORPHAN_SHARE} * (SELECT count(*) FROM batch)
                """,
                name="members_belong_to_delivered_organisations",
                description=f"In a snapshot not more than {ORPHAN_SHARE:.0%} of the members' org_code are missing "
                "from the delivery's organisations.",
                zh=f"全量数据中，org_code 不在同批组织中的会员不多于 {ORPHAN_SHARE:.0%}。",
                severity=CRITICAL,
            )
        )
    return suite
