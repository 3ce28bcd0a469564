"""The sample deliveries end as their README says, in the order of the inbox and in others."""

import csv
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ingest import load
from ingest.errors import DeliveryCode, Finding


def stand_in(request: load.GateRequest) -> list[Finding]:
    """Decides as the gate must on the samples, without the seconds that Great Expectations takes."""
    refused = request.manifest.name.startswith("fault-expectation-")
    return [Finding(DeliveryCode.EXPECTATION, "stand-in")] if refused else []


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def fits(actual: str, expected: str) -> bool:
    """``CODE:column`` against ``CODE:column``; a bare code stands for any column."""
    return any(one in (actual, actual.partition(":")[0]) or one == actual for one in expected.split("|"))


def compare_deliveries(conn: psycopg.Connection, expected: Path) -> None:
    seen = {
        location: (name, status, set(codes), source, sender, period, mode)
        for location, name, status, codes, source, sender, period, mode in conn.execute(
            "SELECT location, name, status, codes, source, sender, period, mode FROM ops.arrival"
        )
    }
    twins: dict[str, list[Any]] = defaultdict(list)
    for row in read(expected / "deliveries.csv"):
        found = seen.pop(row["location"], None)
        if row["status"] == "absent":
            assert found is None, row["location"]
            continue
        assert found is not None, row["location"]
        name, status, codes, *told = found
        assert name == row["name"]
        if row["source"]:
            assert told == [row["source"], row["sender"], row["period"], row["mode"]], name
        must, may = set(row["codes"].split()), set(row["may_codes"].split())
        if name == "training-440000-reused" or name == "training-110000-again":
            # which of them is accepted is a matter of which came first
            twins[name].append((row["status"], must, status, codes))
        else:
            assert (status, codes - may) == (row["status"], must), name
    assert not seen
    for name, group in twins.items():
        wanted = sorted((status, sorted(codes)) for status, codes, *_ in group)
        assert sorted((status, sorted(codes)) for *_, status, codes in group) == wanted, name


def compare_files(conn: psycopg.Connection, expected: Path) -> None:
    found = {
        (name, path): tuple(values)
        for name, path, *values in conn.execute(
            "SELECT delivery_name, path, feed, rows_read, rows_loaded, rows_rejected FROM ops.delivery_file AS f"
            " INNER JOIN ops.delivery AS d ON f.delivery_name = d.name"
            " WHERE d.status IN ('accepted', 'superseded') OR 'D_TOLERANCE' = ANY(d.codes)"
        )
    }
    numbers = ("rows_read", "rows_loaded", "rows_rejected")
    wanted = {
        (row["name"], row["path"]): (row["feed"], *(int(row[number]) for number in numbers))
        for row in read(expected / "files.csv")
    }
    assert found == wanted


def compare_rejected(conn: psycopg.Connection, expected: Path) -> None:
    found = {
        (name, path, feed, line): reasons
        for name, path, feed, line, reasons in conn.execute(
            "SELECT r.delivery_name, r.path, r.feed, r.line_number, r.reasons FROM ops.rejected_row AS r"
        )
        if (name, path) in {(row["name"], row["path"]) for row in read(expected / "files.csv")}
    }
    problems = []
    for row in read(expected / "rejected_rows.csv"):
        key = (row["name"], row["path"], row["feed"], int(row["line"]))
        reasons = found.pop(key, None)
        if reasons is None:
            problems.append(f"{key} is not rejected; expected {row['reasons']}")
            continue
        must, may = row["reasons"].split(), row["may"].split()
        problems += [f"{key}: {one} missing in {reasons}" for one in must if not any(fits(r, one) for r in reasons)]
        problems += [f"{key}: {r} unexpected" for r in reasons if not any(fits(r, one) for one in must + may)]
    problems += [f"{key}: rejected for {reasons}" for key, reasons in found.items()]
    assert not problems, "\n".join(problems)


def compare_all(conn: psycopg.Connection, samples: Path) -> None:
    compare_deliveries(conn, samples / "expected")
    compare_files(conn, samples / "expected")
    compare_rejected(conn, samples / "expected")


def locations(samples: Path) -> list[str]:
    return sorted(place.name for place in (samples / "inbox").iterdir())


def test_as_they_come(warehouse, load_inbox, samples):
    load_inbox(samples / "inbox", gate=stand_in)
    compare_all(warehouse, samples)
    rows = warehouse.execute("SELECT count(*) FROM ops.file WHERE rows_read <> rows_loaded + rows_rejected").fetchone()
    assert rows == (0,)


@pytest.mark.parametrize("seed", [1, 2])
def test_in_any_order(warehouse, load_inbox, samples, seed):
    order = locations(samples)
    random.Random(seed).shuffle(order)
    load_inbox(samples / "inbox", order=order, gate=stand_in)
    compare_all(warehouse, samples)


def test_with_the_gate(warehouse, load_inbox, samples):
    gate = pytest.importorskip("expectations.gate")
    load_inbox(samples / "inbox", gate=gate.validate)
    compare_all(warehouse, samples)
