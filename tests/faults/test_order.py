"""Any order of arrival, with repetitions and interruptions, gives the same warehouse."""

from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ingest import contracts, pipeline
from ingest.errors import DeliveryCode, Finding
from ingest.privacy.keyring import Keyring
from ingest.settings import Settings
from tests import state
from tests.packages import certno, enrolment, member, organisation, snapshot, write
from warehouse import schema

WITHDRAWN = "m-3"


def fill(inbox: Path) -> list[str]:
    """A small inbox with something of everything; returns the places."""
    # snapshots of one period, two of them at the same instant
    snapshot(inbox, "m-1", [1, 2], created="2026-08-01T08:00:00+08:00")
    snapshot(inbox, "m-2", [2, 3], created="2026-08-01T00:00:00Z")
    snapshot(inbox, "m-3", [1, 3], created="2026-08-02T00:00:00Z")
    snapshot(inbox, "m-other", [4], created="2026-08-05T00:00:00Z", sender="350000")
    changed = [member(2, status="3", status_changed_on="2026-07-09", name="改名")]
    write(inbox, "m-delta", {"member": changed}, source="membership", created="2026-08-04T00:00:00Z")
    # the same person in several deliveries, with rejected and repeated rows
    rows = [enrolment(n) for n in range(1, 40)]
    write(inbox, "t-1", {"enrolment": [*rows, enrolment(1, result="?")]}, created="2026-08-02T00:00:00Z")
    write(inbox, "t-2", {"enrolment": [*rows, rows[0]]}, created="2026-08-03T00:00:00Z", zipped=True)
    write(
        inbox,
        "t-1",
        {"enrolment": [*rows, enrolment(1, result="?")]},
        created="2026-08-02T00:00:00Z",
        location="t-1-again",
    )
    # refused for its rows, and at the gate; half copied and then whole
    write(inbox, "t-bad", {"enrolment": [enrolment(1, certno=certno(1)[:-1] + "#")]})
    write(inbox, "t-gate", {"enrolment": [enrolment(77)]})
    write(inbox, "t-half", {"enrolment": [enrolment(5)]}, resources={"enrolment": {"rows": 2}}, location="t-half-1")
    write(inbox, "t-half", {"enrolment": [enrolment(5)]}, location="t-half-2")
    write(inbox, "o", {"organisation": [organisation("A1", employees="x")]}, source="membership")
    return sorted(place.name for place in inbox.iterdir())


def gate(request: pipeline.GateRequest) -> list[Finding]:
    return [Finding(DeliveryCode.EXPECTATION, "no")] if request.manifest.name == "t-gate" else []


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


def run(conn: psycopg.Connection, settings: Settings, order: list[str], again: list[str]) -> state.State:
    """Load an inbox into an empty warehouse, one package after the other; some are loaded a second time."""
    assert settings.dsn is not None
    dsn = settings.dsn.get_secret_value()
    for name in ("ops", "landing", "vault"):
        conn.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
    schema.migrate(conn, contracts.load())
    hidden = Path(str(settings.inbox)).with_name("hidden")
    hidden.mkdir(exist_ok=True)
    here = Path(str(settings.inbox))
    for name in order:
        (here / name).rename(hidden / name)
    withdrawn = False
    for name in order:
        (hidden / name).rename(here / name)
        for arrival in pipeline.register(conn, settings):
            pipeline.load(dsn, settings, arrival.arrival_id, gate)
        for (arrival_id,) in conn.execute(
            "SELECT arrival_id FROM ops.arrival WHERE location = ANY(%s)", [again]
        ).fetchall():
            pipeline.load(dsn, settings, arrival_id, gate)
        # withdrawn as soon as it is there, whatever came before it
        if name == WITHDRAWN and not withdrawn:
            pipeline.withdraw(conn, WITHDRAWN, "test")
            withdrawn = True
    assert pipeline.register(conn, settings) == []
    return state.of(conn, contracts.load(), Keyring.from_settings(settings))


@pytest.fixture
def reference(
    warehouse: psycopg.Connection, settings: Settings, inbox: Path
) -> tuple[Settings, list[str], state.State]:
    places = fill(inbox)
    here = settings.model_copy(update={"inbox": str(inbox)})
    return here, places, run(warehouse, here, places, [])


def test_the_reference_is_what_it_should_be(reference):
    _, _, found = reference
    states = {name: (status, codes) for name, status, codes, *_ in found["deliveries"]}
    assert states == {
        "m-1": ("superseded", []),
        "m-2": ("accepted", []),
        "m-3": ("withdrawn", []),
        "m-other": ("accepted", []),
        "m-delta": ("accepted", []),
        "o": ("refused", ["D_TOLERANCE"]),
        "t-1": ("accepted", []),
        "t-2": ("accepted", []),
        "t-bad": ("refused", ["D_TOLERANCE"]),
        "t-gate": ("refused", ["D_EXPECTATION"]),
        "t-half": ("accepted", []),
    }
    assert found["leftovers"] == []


def test_any_order_any_repetition(warehouse, reference):
    here, places, wanted = reference

    @hypothesis_settings(
        max_examples=6,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # an example costs seconds: no shrinking
        suppress_health_check=list(HealthCheck),
    )
    @given(order=st.permutations(places), again=st.lists(st.sampled_from(places), max_size=3))
    def same(order: list[str], again: list[str]) -> None:
        assert run(warehouse, here, order, again) == wanted

    same()
