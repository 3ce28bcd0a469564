"""What a receiver of OpenLineage is told of loads and builds, and that none of them waits for it or fails with it."""

import json
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attr
import psycopg
import pytest
from openlineage.client import event_v2, facet_v2
from pydantic import ValidationError

from ingest import shown
from ingest.errors import WarehouseError
from ingest.settings import Settings
from tests import tiny_project
from tests.packages import certno, enrolment, write
from warehouse import operations
from warehouse.openlineage import events, sending

Event = dict[str, Any]


@dataclass
class Receiver:
    """A receiver of events by HTTP, and what it answers."""

    url: str = ""
    status: int = 201
    hangs: threading.Event = field(default_factory=threading.Event)  # set: it answers at once
    received: list[Event] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    here = Receiver()
    here.hangs.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            here.hangs.wait(60)
            here.received.append(event)
            self.send_response(here.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    here.url = f"http://127.0.0.1:{server.server_port}/?key=hidden-key"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield here
    here.hangs.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


def by_http(settings: Settings, receiver: Receiver, inbox: Path | None = None) -> Settings:
    transport = {"type": "http", "url": receiver.url, "auth": {"type": "api_key", "apiKey": "hidden-token"}}
    return settings.model_copy(update={"openlineage": transport, "inbox": str(inbox) if inbox else None})


def pass_over(settings: Settings) -> list[str]:
    """Load everything; returns what became of each."""
    decided: list[str] = []
    operations.load_all(
        settings, lambda one: decided.append(one.status), lambda one: decided.append(type(one).__name__)
    )
    return decided


def states(received: list[Event]) -> list[tuple[str, str]]:
    return [(one["job"]["name"], one["eventType"]) for one in received]


def last(received: list[Event], job: str) -> Event:
    return [one for one in received if one["job"]["name"] == job][-1]


FACETS = {
    kind._get_schema(): kind
    for module in vars(facet_v2).values()
    for kind in vars(module if hasattr(module, "__file__") else type).values()
    if isinstance(kind, type) and attr.has(kind) and hasattr(kind, "_get_schema")
} | {events.DecisionRunFacet._get_schema(): events.DecisionRunFacet}


def check(event: Event) -> None:
    """Make the library's classes of an event and of its facets: they refuse what they do not know, or lack."""
    run, job = event_v2.Run(**event["run"]), event_v2.Job(**event["job"])
    inputs = [event_v2.InputDataset(**one) for one in event["inputs"]]
    outputs = [event_v2.OutputDataset(**one) for one in event["outputs"]]
    known = {key: value for key, value in event.items() if key != "schemaURL"}
    made = event_v2.RunEvent(**{**known, "run": run, "job": job, "inputs": inputs, "outputs": outputs})
    assert made.schemaURL == event["schemaURL"]
    assert event["eventTime"].endswith("+00:00")
    parts: list[Any] = [run.facets, job.facets]
    parts += [facets for one in inputs for facets in (one.facets, one.inputFacets)]
    parts += [facets for one in outputs for facets in (one.facets, one.outputFacets)]
    for facets in parts:
        for facet in (facets or {}).values():
            facet = dict(facet)
            kind = FACETS[facet.pop("_schemaURL")]
            assert facet.pop("_producer") == events.PRODUCER
            kind(**facet)


def test_a_load_tells_of_the_delivery_and_of_each_feed(
    warehouse: psycopg.Connection, settings: Settings, receiver: Receiver, inbox: Path
) -> None:
    rows = [enrolment(n) for n in range(1, 101)]
    rows[3]["result"] = "?"
    write(inbox, "good", {"enrolment": rows})
    assert pass_over(by_http(settings, receiver, inbox)) == ["accepted"]
    delivery, feed = "load.training", "load.training.enrolment"
    assert states(receiver.received) == [
        (delivery, "START"),
        (feed, "START"),
        (feed, "COMPLETE"),
        (delivery, "COMPLETE"),
    ]
    for one in receiver.received:
        check(one)
    assert len({one["run"]["runId"] for one in receiver.received}) == 2
    ended = last(receiver.received, feed)
    assert ended["run"]["facets"]["parent"]["run"]["runId"] == receiver.received[0]["run"]["runId"]
    decision = ended["run"]["facets"][events.DECISION]
    assert [decision[key] for key in ("status", "rowsRead", "rowsLoaded", "rowsRejected")] == ["accepted", 100, 99, 1]
    [read], [landed] = ended["inputs"], ended["outputs"]
    assert (read["namespace"], read["name"]) == ("file", f"{shown.file(str(inbox))}/good/enrolment.csv")
    assert read["inputFacets"]["inputStatistics"]["rowCount"] == 100
    assert landed["namespace"].startswith("postgres://")
    assert landed["name"].endswith(".landing.training_enrolment")
    assert landed["outputFacets"]["outputStatistics"]["rowCount"] == 99


def test_a_refusal_and_an_internal_error_fail_with_their_reason(
    warehouse: psycopg.Connection,
    settings: Settings,
    receiver: Receiver,
    inbox: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(inbox, "short", {"enrolment": [enrolment(1)]}, resources={"enrolment": {"rows": 2}})
    here = by_http(settings, receiver, inbox)
    assert pass_over(here) == ["refused"]
    ended = last(receiver.received, "load.training")
    check(ended)
    assert (ended["eventType"], ended["outputs"]) == ("FAIL", [])
    assert ended["run"]["facets"][events.DECISION]["codes"] == ["D_ROWS"]
    assert ended["run"]["facets"]["errorMessage"]["message"].startswith("D_ROWS: The number of data rows differs")

    def broken(_: object) -> None:
        raise OSError(certno(1))

    monkeypatch.setattr(operations, "_gate", broken)
    write(inbox, "next", {"enrolment": [enrolment(1)]})
    assert pass_over(here) == ["NotDecided"]
    ended = last(receiver.received, "load.training")
    check(ended)
    assert ended["eventType"] == "FAIL"
    assert "internal error" in ended["run"]["facets"]["errorMessage"]["message"]
    assert certno(1) not in json.dumps(receiver.received)


def test_one_load_of_a_task_tells_the_same(
    warehouse: psycopg.Connection, settings: Settings, receiver: Receiver, inbox: Path
) -> None:
    write(inbox, "one", {"enrolment": [enrolment(1)]})
    here = by_http(settings, receiver, inbox)
    [arrival] = operations.register(here)
    assert operations.load_one(here, arrival.arrival_id).status == "accepted"
    assert states(receiver.received)[0] == ("load.training", "START")
    assert states(receiver.received)[-1] == ("load.training", "COMPLETE")


def test_no_event_holds_an_identifier(
    warehouse: psycopg.Connection, settings: Settings, receiver: Receiver, inbox: Path
) -> None:
    """GIVEN numbers of a person in the names of package and file, the header and the rows THEN no event holds one."""
    number = certno(7)
    write(inbox, f"p-{number}", {"enrolment": [enrolment(7, **{number: number, "备注": f"张三 {number}"})]})
    (inbox / f"p-{number}" / "enrolment.csv").rename(inbox / f"p-{number}" / f"{number}.csv")
    manifest = inbox / f"p-{number}" / "datapackage.json"
    manifest.write_text(manifest.read_text().replace('"enrolment.csv"', f'"{number}.csv"').replace(f"p-{number}", "p"))
    write(inbox, "refused", {"enrolment": [{number: number}]})
    assert sorted(pass_over(by_http(settings, receiver, inbox))) == ["accepted", "refused"]
    text = json.dumps(receiver.received, ensure_ascii=False)
    assert len(receiver.received) >= 6
    assert number not in text
    assert number[:17] not in text
    assert "张三" not in text
    assert "/package-" in text
    assert "hidden" not in text


def test_a_build_tells_of_itself_and_of_each_model(
    settings: Settings, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_project.use(tmp_path / "project", monkeypatch)
    here = by_http(settings, receiver)
    with operations.open_warehouse(here) as conn:
        tiny_project.decide(conn, "first")
        operations.build_and_publish(here, lambda *_: None)
        for one in receiver.received:
            check(one)
        told = states(receiver.received)
        assert (told[0], told[-1]) == (("build_warehouse", "START"), ("build_warehouse", "COMPLETE"))
        assert set(told[1:-1]) == {
            (f"model.{name}", state) for name in ("held", "months") for state in ("START", "COMPLETE")
        }
        build = receiver.received[0]["run"]["runId"]
        model = last(receiver.received, "model.held")
        assert model["run"]["facets"]["parent"]["run"]["runId"] == build
        [table] = model["outputs"]
        assert table["name"].endswith(".marts.held")
        assert table["facets"]["symlinks"]["identifiers"][0]["name"].endswith(".build_a.held")
        published = receiver.received[-1]
        assert published["run"]["runId"] == build
        rows = {
            one["name"].split(".", 1)[1]: one["outputFacets"]["outputStatistics"]["rowCount"]
            for one in published["outputs"]
        }
        assert rows == {"marts.held": 1, "marts.months": 0}

        receiver.received.clear()
        tiny_project.decide(conn, "forbidden")
        with pytest.raises(WarehouseError):
            operations.build_and_publish(here, lambda *_: None)
        check(receiver.received[-1])
        assert states(receiver.received)[-1] == ("build_warehouse", "FAIL")
        assert "step dbt failed" in receiver.received[-1]["run"]["facets"]["errorMessage"]["message"]


def test_events_go_to_a_file(warehouse: psycopg.Connection, settings: Settings, inbox: Path, tmp_path: Path) -> None:
    write(inbox, "good", {"enrolment": [enrolment(1)]})
    file = tmp_path / "events.jsonl"
    transport = {"type": "file", "log_file_path": str(file), "append": True}
    assert pass_over(settings.model_copy(update={"openlineage": transport, "inbox": str(inbox)})) == ["accepted"]
    told = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert len(told) == 4
    for one in told:
        check(one)


@pytest.mark.parametrize("fault", ["hangs", "is not there", "refuses", "is none"])
def test_a_receiver_that_fails_neither_fails_nor_delays_a_load(
    fault: str,
    warehouse: psycopg.Connection,
    settings: Settings,
    receiver: Receiver,
    inbox: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """GIVEN a receiver that does not take events THEN loads are as ever, one sentence says so, without its address."""
    for number in range(1, 4):
        write(inbox, f"d{number}", {"enrolment": [enrolment(number)]})
    here = by_http(settings, receiver, inbox)
    transport: Mapping[str, object] = here.openlineage
    if fault == "hangs":
        receiver.hangs.clear()
        transport = {**transport, "timeout": 50}
    elif fault == "is not there":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            transport = {**transport, "url": f"http://127.0.0.1:{free.getsockname()[1]}/?key=hidden-key"}
    elif fault == "refuses":
        receiver.status = 503
    else:
        transport = {"type": "never.heard.Of"}
    here = here.model_copy(update={"openlineage": transport})
    begun = time.monotonic()
    with caplog.at_level(logging.WARNING, "warehouse.openlineage"):
        assert pass_over(here) == ["accepted"] * 3
        first = time.monotonic() - begun
        for number in (1, 2, 3):  # tasks of the same process: the wait is not repeated
            operations.load_one(here, number)
    warned = [record.getMessage() for record in caplog.records if record.name == "warehouse.openlineage"]
    assert len(warned) == 1
    assert warned[0].startswith("Events of OpenLineage are not sent (")
    assert "hidden" not in caplog.text
    # The three loads take some seconds on a busy machine; 50 s is what this receiver would like.
    assert first < 20 + sending.FLUSH_SECONDS


def test_a_silent_receiver_is_tried_again_later(
    settings: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "SILENCE_SECONDS", 0.2)
    way = sending.Sender(by_http(settings, receiver).openlineage)
    run = events.RunId("01234567-89ab-4def-8123-456789abcdef", "job", events.now())
    receiver.status = 503
    way.put(lambda: [events.event(events.START, run, run.begun_at)])
    way.flush()
    receiver.status = 201
    way.put(lambda: [events.event(events.START, run, run.begun_at)])  # dropped
    time.sleep(0.3)
    way.put(lambda: [events.event(events.COMPLETE, run, run.begun_at)])
    way.flush()
    assert [one["eventType"] for one in receiver.received] == ["START", "COMPLETE"]  # the first one was refused


def test_without_the_setting_nothing_is_begun(
    warehouse: psycopg.Connection, settings: Settings, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "Sender", lambda *_: pytest.fail("a sender was made"))
    write(inbox, "good", {"enrolment": [enrolment(1)]})
    assert pass_over(settings.model_copy(update={"inbox": str(inbox)})) == ["accepted"]


def test_a_setting_without_a_transport_is_refused() -> None:
    with pytest.raises(ValidationError, match="must name a transport") as refused:
        Settings(openlineage={"url": "http://hidden"})
    assert not re.search("hidden", str(refused.value))
