"""The calendar of deliveries."""

from datetime import UTC, datetime
from typing import Any

from warehouse.portal.ledger import Arrival, Missing, calendars

NOW = datetime(2026, 9, 1, tzinfo=UTC)


def arrival(number: int, period: str | None, status: str, **more: Any) -> Arrival:
    values = {"source": "training", "sender": "440000", "codes": [], "decided_at": NOW, "version": ""}
    return Arrival(
        **{**values, **more},
        arrival_id=number,
        name=f"d{number}",
        period=period,
        status=status,
        received_at=NOW,
        rows_read=1,
        rows_rejected=0,
    )


def states(*arrivals: Arrival, owed: tuple[Missing, ...] = ()) -> dict[str, dict[str, str]]:
    """By sender: the state of each month that is not empty."""
    [calendar] = calendars(arrivals, owed, {"training"})
    return {
        sender: {month: cell.state for month, cell in zip(calendar.months, cells, strict=True) if cell.state != "none"}
        for sender, cells in calendar.rows.items()
    }


def test_of_several_packages_of_a_month_the_accepted_one_decides() -> None:
    packages = [
        arrival(3, "2026-07", "refused"),
        arrival(2, "2026-07", "accepted"),
        arrival(1, "2026-07", "superseded"),
    ]
    assert states(*packages) == {"440000": {"2026-07": "accepted"}}
    [calendar] = calendars(packages, (), {"training"})
    assert calendar.rows["440000"][-1].page == "deliveries/2.html"


def test_what_is_owed_is_missing_unless_something_was_refused() -> None:
    owed = tuple(Missing("training", "440000", month, False) for month in ("2026-06", "2026-07"))
    found = states(arrival(1, "2026-05", "accepted"), arrival(2, "2026-06", "refused"), owed=owed)
    assert found == {"440000": {"2026-05": "accepted", "2026-06": "refused", "2026-07": "missing"}}


def test_a_sender_of_whom_nothing_of_the_year_came_has_a_row() -> None:
    found = states(arrival(1, "2026-05", "accepted"), owed=(Missing("training", "110000", "2026-05", False),))
    assert found == {"110000": {"2026-05": "missing"}, "440000": {"2026-05": "accepted"}}


def test_the_calendar_has_twelve_months_and_refused_packages_do_not_move_it() -> None:
    [calendar] = calendars([arrival(1, "2026-01", "staged"), arrival(2, "9999-12", "refused")], (), {"training"})
    assert (calendar.months[0], calendar.months[-1], len(calendar.months)) == ("2025-02", "2026-01", 12)
    assert calendar.rows["440000"][-1].state == "received"


def test_what_says_nothing_of_a_month_is_left_out() -> None:
    left_out = [
        arrival(1, "2026-07", "duplicate"),
        arrival(2, "2026-07", "refused", codes=["D_NAME_REUSED"]),
        arrival(3, "July", "refused"),
        arrival(4, None, "refused"),
        arrival(5, "2026-07", "refused", source="unknown"),
        arrival(6, "2026-07", "refused", sender=None),
    ]
    assert calendars(left_out, (), {"training"}) == []


def test_what_a_source_owes_that_no_contract_names_any_more_is_on_no_calendar() -> None:
    owed = [Missing("gone", "440000", "2026-01", was_refused=False)]
    assert calendars([], owed, {"training"}) == []
