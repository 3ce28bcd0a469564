"""What must hold of the figures of honours, studios and contests before they are published."""

from collections.abc import Sequence

from great_expectations.expectations.expectation import Expectation

from expectations.suites.figures.rules import not_negative, part_of, steady, unique


def suites() -> dict[str, Sequence[Expectation]]:
    """Expectations by relation of the build."""
    return {
        "honour_ladder_year": [
            *not_negative("granted", "holders", "top_holders", "member_holders"),
            part_of("top_holders", "holders"),
            part_of("member_holders", "holders"),
            unique("year", "sender", "honour_type", "honour_level"),
        ],
        "studio_month": [
            *not_negative("studios", "members", "projects", "achievements", "patents", "trained", "funded_amount"),
            part_of("in_alliance", "studios"),
            part_of("alliances", "in_alliance"),
            part_of("honoured_leaders", "studios"),
            unique("month", "sender", "admdvs", "studio_level"),
            steady("studios", "sender", 0.5),
        ],
        "contest_year": [
            *not_negative("contests", "units", "participants", "spent", "honours"),
            *(part_of(part, "participants") for part in ("frontline_participants", "winners", "promoted")),
            unique("year", "sender", "contest_kind", "contest_level"),
        ],
    }
