"""The command line: what it prints, how it ends, and that nobody sees a stack trace for what a person can mend."""

import csv
import io
import os
import stat
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.types.json import Jsonb

from ingest import identity
from ingest.settings import Settings
from warehouse import cli, passes

#: What `pack` has to be told.
PACKED = ("--source", "training", "--sender", "440000", "--period", "2026-08")


class Runner:
    """Runs commands in this process and keeps what they said."""

    def __init__(self, settings: Settings, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self.capsys, self.patch = capsys, patch
        assert settings.dsn is not None
        assert settings.key is not None
        patch.setenv("WAREHOUSE_HOME", str(settings.home))
        patch.setenv("WAREHOUSE_DSN", settings.dsn.get_secret_value())
        patch.setenv("WAREHOUSE_KEY", settings.key.get_secret_value())
        patch.setenv("COLUMNS", "300")

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self.capsys.readouterr()
        self.patch.setattr(sys, "argv", ["warehouse", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = self.capsys.readouterr()
        return ended.value.code if isinstance(ended.value.code, int) else 0, said.out, said.err


@pytest.fixture
def warehouse(settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Runner:
    return Runner(settings, capsys, monkeypatch)


@pytest.fixture
def refused(settings: Settings) -> None:
    """A delivery in the ledger with one rejected row."""
    with passes.opened(settings) as conn:
        arrival = conn.execute(
            "INSERT INTO ops.arrival (location, fingerprint, name, source, sender, period, status, holds_name, codes,"
            " manifest, decided_at) VALUES ('x', '', 'bad-one', 'training', '440000', '2026-08', 'refused', true,"
            " '{D_TOLERANCE}', %s, now()) RETURNING arrival_id",
            [Jsonb({})],
        ).fetchone()
        assert arrival is not None
        raw = identity.Keyring.from_settings(settings).seal('E1,张三,"a"\n'.encode())
        conn.execute(
            "INSERT INTO ops.rejection (arrival_id, file_no, path, feed, line_number, reasons, raw)"
            " VALUES (%s, 0, 'enrolment.csv', 'enrolment', 7, '{E_CODE:result,E_ORDER}', %s)",
            [arrival[0], raw],
        )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--inbox", "/no/such/folder"], "There is no folder /no/such/folder."),
        (["rejects", "nobody"], "knows no delivery named 'nobody'"),
        (["withdraw", "nobody", "--reason", "x"], "no accepted delivery named 'nobody'"),
        (["rebuild", "--month", "2026-13"], "'2026-13' is not a month"),
        (["publish"], "--previous"),
        (["publish", "--previous"], "no previous publication"),
        (["person", "no-key", "--reason", "case 7"], "no person key"),
        (["person", "0ee4ba33-4f73-46b8-9adb-6e0e4be2f8b4", "--reason", " "], "Say why"),
        (["dsn", "--role", "analyst"], "administrator"),
        (["pack", "/no/such/file", *PACKED], "There is no"),
        *(
            (["pack", __file__, *PACKED, *more.split()], words)
            for more, words in (
                ("--sender 44", "six-digit"),
                ("--sender 100000", "100000"),
                ("--period 2026-9", "YYYY-MM"),
                ("--period 2026-13", "YYYY-MM"),
                ("--period 2999-01", "after the month"),
                ("--mode full", "snapshot or delta"),
                ("--name BadName", "a-z"),
            )
        ),
        (["run", "--inbox", ""], "There is no folder"),
        (["withdraw", "nobody", "--reason", " "], "Say why"),
        (["rejects", "bad-one", "--out", "/no/such/folder/x.csv"], "No such file"),
        (["rejects", "bad-one", "--out", "/"], "/ is no file"),
        (["rejects", "bad-one", "--out", "/dev/null"], "/dev/null is no file"),
    ],
)
@pytest.mark.usefixtures("refused")
def test_what_a_person_can_mend_is_one_line(warehouse: Runner, arguments: list[str], words: str) -> None:
    code, out, err = warehouse(*arguments)
    assert code == 1
    assert out == ""
    assert err.startswith("error: ")
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ARCHIVE_RATIO", "much", "WAREHOUSE_ARCHIVE_RATIO"),
        ("DBT_THREADS", "0", "WAREHOUSE_DBT_THREADS"),
        ("INBOX_OPTIONS", "no json", "inbox_options"),
        ("DSN", "secret-word", "WAREHOUSE_DSN"),
        ("HOME", "/dev/null/x", "/dev/null/x"),
        ("HOME", __file__, "test_cli.py"),
    ],
)
def test_a_wrong_setting_is_named(
    warehouse: Runner, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(f"WAREHOUSE_{name}", value)
    code, _, err = warehouse("load")
    assert (code, err.count("\n")) == (1, 1)
    assert words in err
    assert "secret-word" not in err


def test_an_inbox_without_credentials_is_one_line(warehouse: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    code, _, err = warehouse("load", "--inbox", "s3://bucket/inbox")
    assert (code, err.count("\n")) == (1, 1)
    assert "The inbox cannot be read: Unable to locate credentials" in err


def test_a_reader_of_the_figures_is_told_that_he_is_no_owner(
    warehouse: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """His own views are what a reader has; the ledger is the owner's."""
    dsn = os.environ["WAREHOUSE_DSN"]
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("DROP ROLE IF EXISTS passer_by")
        conn.execute("CREATE ROLE passer_by LOGIN PASSWORD 'nothing'")
    try:
        monkeypatch.setenv("WAREHOUSE_DSN", psycopg.conninfo.make_conninfo(dsn, user="passer_by", password="nothing"))
        code, _, err = warehouse("status")
        assert (code, err.count("\n")) == (1, 1)
        assert "Only the owner" in err
    finally:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("DROP ROLE passer_by")


def test_a_database_out_of_reach_is_one_line(warehouse: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_DSN", "postgresql://me:secret-word@127.0.0.1:1/nothing")
    code, _, err = warehouse("status")
    assert (code, err.count("\n")) == (1, 1)
    assert "does not answer" in err
    assert "secret-word" not in err


def test_another_key_stops_the_command(warehouse: Runner, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert warehouse("status")[0] == 0
    monkeypatch.setenv("WAREHOUSE_KEY", "another-key-" + "1" * 32)
    for command in (["status"], ["up"], ["load"], ["build"], ["rejects", "x"]):
        code, _, err = warehouse(*command)
        assert code == 1, command
        assert "key" in err


def test_rejects_is_the_return_file(warehouse: Runner, refused: None, tmp_path: Path) -> None:
    code, out, _ = warehouse("rejects", "bad-one")
    assert code == 0
    wanted = [
        ["file", "line", "reasons", "row"],
        ["enrolment.csv", "7", "E_CODE:result E_ORDER", 'E1,张三,"a"\n'],
    ]
    assert list(csv.reader(io.StringIO(out, newline=""))) == wanted
    file = tmp_path / "return.csv"
    file.write_text("an older one, readable by all")
    assert warehouse("rejects", "bad-one", "--out", str(file))[0] == 0
    assert list(csv.reader(io.StringIO(file.read_text("utf-8-sig"), newline=""))) == wanted
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_status_lists_deliveries_with_codes(warehouse: Runner, refused: None) -> None:
    code, out, _ = warehouse("status")
    assert code == 0
    assert "bad-one" in out
    assert "D_TOLERANCE" in out
    assert "张三" not in out


def test_run_ends_well_when_deliveries_are_refused(
    warehouse: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inbox/hollow").mkdir(parents=True)
    (tmp_path / "inbox/hollow/datapackage.json").write_text("no JSON")
    monkeypatch.setattr(passes, "build_and_publish", lambda *_: (None, None))
    code, out, _ = warehouse("run", "--inbox", str(tmp_path / "inbox"))
    assert code == 0
    assert "refused    hollow  D_MANIFEST" in out
    assert "1 packages new, 1 decided: 1 refused" in out
    assert "0 packages new, 0 decided: nothing to load" in warehouse("run", "--inbox", str(tmp_path / "inbox"))[1]


def test_dsn_prints_the_address_alone(warehouse: Runner, database: str) -> None:
    code, out, _ = warehouse("dsn")
    assert (code, out) == (0, f"{database}\n")
    with psycopg.connect(out.strip()):
        pass
