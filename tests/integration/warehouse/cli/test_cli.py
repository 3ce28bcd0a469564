"""The command line: output, exit codes, and one line instead of a stack trace for errors that the user can correct."""

import csv
import io
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer
from psycopg.types.json import Jsonb
from rich.console import Console
from typer.testing import CliRunner

from ingest.privacy import keyring
from ingest.settings import Settings
from tests import packages
from tests.integration.warehouse.cli.conftest import Runner
from warehouse import cli, operations
from warehouse.cli import console

PERSON = "0ee4ba33-4f73-46b8-9adb-6e0e4be2f8b4"
#: The required options of `pack`.
PACK_OPTIONS = ("--source", "training", "--sender", "440000", "--period", "2026-08")


@pytest.fixture
def warehouse(command: Runner) -> Runner:
    return command


@pytest.fixture
def refused(settings: Settings) -> None:
    """A delivery in the ledger with one rejected row."""
    with operations.open_warehouse(settings) as conn:
        arrival = conn.execute(
            "INSERT INTO ops.arrival (location, fingerprint, name, source, sender, period, status, holds_name, codes,"
            " manifest, decided_at) VALUES ('x', '', 'bad-one', 'training', '440000', '2026-08', 'refused', true,"
            " '{D_TOLERANCE}', %s, now()) RETURNING arrival_id",
            [Jsonb({})],
        ).fetchone()
        assert arrival is not None
        raw = keyring.Keyring.from_settings(settings).encrypt('E1,张三,"a"\n'.encode())
        conn.execute(
            "INSERT INTO ops.rejection (arrival_id, file_no, path, feed, line_number, reasons, raw)"
            " VALUES (%s, 0, 'enrolment.csv', 'enrolment', 7, '{E_CODE:result,E_ORDER}', %s)",
            [arrival[0], raw],
        )


def test_a_program_that_calls_a_command_keeps_the_permissions_of_its_files(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        assert CliRunner().invoke(cli.app, ["status", "--help"]).exit_code == 0
        (tmp_path / "file").touch()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--inbox", "/no/such/folder"], "There is no folder /no/such/folder."),
        (["rejects", "nobody"], "knows no delivery named 'nobody'"),
        (["withdraw", "nobody", "--reason", "x"], "no accepted delivery named 'nobody'"),
        (["retry", "nobody"], "No package named 'nobody' is set aside"),
        (["rebuild", "--month", "2026-13"], "'2026-13' is not a month"),
        (["sample", "--provinces", "999999"], "no province has the code '999999': there are 110000"),
        (["sample", "--settlements", "-1"], "the number of settlements is 0 or positive"),
        (["publish"], "--previous"),
        (["publish", "--previous"], "no previous publication"),
        (["person", "no-key", "--reason", "case 7"], "no person key"),
        (["person", PERSON, "--reason", " "], "Say why"),
        (["person", PERSON, "--reason", "case 7"], "Name the case and the purpose"),
        (["person", PERSON, "--case", "7", "--purpose", "curiosity"], "'curiosity' is no purpose"),
        (["person", PERSON, "--case", "7", "--purpose", "aid"], "The vault has no such person"),
        (["person", PERSON, "--emergency"], "an emergency needs --reason"),
        (["person", PERSON, "--emergency", "--case", "7", "--reason", "x"], "Either --emergency or a case"),
        (["vault", "log", "no-key"], "no person key"),
        (["dsn", "--role", "analyst"], "administrator"),
        (["share", "check", "nobody"], "There is no declaration nobody.yaml"),
        (["share", "approve", "union-coverage-440000", "--by", " ", "--document", "x"], "Say who approves"),
        (["share", "login", "union-coverage-440000"], "S_PUBLICATION"),
        (["share", "write", "--passphrase"], "Name the share"),
        (["share", "revoke", "nobody", "--reason", "x"], "no share nobody"),
        (["share", "affected", "nobody"], "no delivery named 'nobody'"),
        (["pack", "/no/such/file", *PACK_OPTIONS], "There is no"),
        *(
            (["pack", __file__, *PACK_OPTIONS, *more.split()], words)
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
        (["rejects"], "Name the delivery"),
        (["rejects", "bad-two"], "Is it bad-one?"),
        (["rejects", "--replay", "/no/such/file.xlsx"], "There is no file /no/such/file.xlsx"),
        (["rejects", "--replay", __file__], "does not say of which delivery"),
        (["rejects", "bad-one", "--replay", __file__], "refused as a whole"),
        (["rejects", "bad-one", "--replay", __file__, "--out", "x.csv"], "Either"),
        (["export", "marts.unknown", "--out", "x.doc"], "Say --format"),
        (["export", "marts.unknown", "--out", "x.csv", "--role", "king"], "'king' is no role"),
        (["rejects", "bad-one", "--out", "/dev/null"], "/dev/null is no file"),
    ],
)
@pytest.mark.usefixtures("refused")
def test_an_error_that_the_user_can_correct_is_one_line(warehouse: Runner, arguments: list[str], words: str) -> None:
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


def test_a_user_who_is_not_the_owner_gets_one_line(warehouse: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers have no privileges on the ledger."""
    dsn = os.environ["WAREHOUSE_DSN"]
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("DROP ROLE IF EXISTS other_role")
        conn.execute("CREATE ROLE other_role LOGIN PASSWORD 'nothing'")
    try:
        monkeypatch.setenv("WAREHOUSE_DSN", psycopg.conninfo.make_conninfo(dsn, user="other_role", password="nothing"))
        code, _, err = warehouse("status")
        assert (code, err.count("\n")) == (1, 1)
        assert "Only the owner" in err
    finally:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("DROP ROLE other_role")


def test_an_unavailable_database_is_one_line(warehouse: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
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
    expected = [
        ["file", "line", "reasons", "row"],
        ["enrolment.csv", "7", "E_CODE:result E_ORDER", 'E1,张三,"a"\n'],
    ]
    assert list(csv.reader(io.StringIO(out, newline=""))) == expected
    file = tmp_path / "return.csv"
    file.write_text("an older one, readable by all")
    assert warehouse("rejects", "bad-one", "--out", str(file))[0] == 0
    assert list(csv.reader(io.StringIO(file.read_text("utf-8-sig"), newline=""))) == expected
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
    monkeypatch.setattr(operations, "build_and_publish", lambda *_: (None, None))
    code, out, _ = warehouse("run", "--inbox", str(tmp_path / "inbox"))
    assert code == 0
    assert "refused    hollow  D_MANIFEST: datapackage.json" in out  # the code, and what is wrong in words
    assert "1 packages new, 1 decided: 1 refused" in out
    assert "0 packages new, 0 decided: nothing to load" in warehouse("run", "--inbox", str(tmp_path / "inbox"))[1]


def test_dsn_prints_the_address_alone(warehouse: Runner, database: str) -> None:
    code, out, _ = warehouse("dsn")
    assert (code, out) == (0, f"{database}\n")
    with psycopg.connect(out.strip()):
        pass


def test_explain_says_why_in_words_and_as_json(warehouse: Runner, refused: None) -> None:
    code, text, _ = warehouse("explain", "bad-one")
    assert code == 0
    assert "错误行过多" not in text  # no finding was written down, so none is made up
    assert "1 x E_CODE result 结果, first 首见: enrolment.csv, line 7" in text
    code, text, _ = warehouse("explain", "bad-one", "--json")
    assert code == 0
    found = json.loads(text)
    assert found["status"] == "refused"
    assert [one["code"] for one in found["rejected"]] == ["E_CODE", "E_ORDER"]


def test_status_of_what_is_asked_for(warehouse: Runner, refused: None) -> None:
    for options, count in ((["--status", "refused"], 1), (["--status", "accepted"], 0), (["--sender", "440000"], 1)):
        code, text, _ = warehouse("status", "--json", *options)
        assert code == 0
        assert len(json.loads(text)["deliveries"]) == count
    code, text, _ = warehouse("status", "--source", "training", "--period", "2026-08")
    assert code == 0
    assert "bad-one" in text


def test_the_return_file_of_a_delivery_without_rejected_rows_says_where_to_look(
    warehouse: Runner, settings: Settings
) -> None:
    with operations.open_warehouse(settings) as conn:
        conn.execute(
            "INSERT INTO ops.arrival (location, fingerprint, name, status, codes, decided_at)"
            " VALUES ('x', '', 'no-manifest', 'refused', '{D_MANIFEST}', now())"
        )
    code, text, told = warehouse("rejects", "no-manifest")
    assert (code, text.strip()) == (0, "file,line,reasons,row")
    assert "warehouse explain no-manifest" in told


def test_the_version(warehouse: Runner) -> None:
    code, text, _ = warehouse("--version")
    assert code == 0
    assert re.fullmatch(r"warehouse \d+\.\d+\.\d+\n", text)


#: Commands whose output is a file, an address or what a service prints: no facts that a program would read as JSON.
WITHOUT_JSON = {
    *("backup", "dsn", "docs", "down", "export", "pack", "publish", "rejects", "restore", "retry", "sample", "serve"),
    *("share approve", "share login", "share revoke", "share write", "up", "withdraw"),
    *("user add", "user divisions", "user remove"),
}


def all_commands(group: typer.core.TyperGroup, prefix: str = "") -> dict[str, Any]:
    """Every command by its full name, those of groups too."""
    found = {}
    for name, one in group.commands.items():
        if isinstance(one, typer.core.TyperGroup):
            found |= all_commands(one, f"{prefix}{name} ")
        else:
            found[f"{prefix}{name}"] = one
    return found


def test_every_command_that_prints_facts_prints_them_as_json_too() -> None:
    main = typer.main.get_command(cli.app)
    assert isinstance(main, typer.core.TyperGroup)
    commands = all_commands(main)
    with_json = {name for name, one in commands.items() if any("--json" in option.opts for option in one.params)}
    assert with_json == commands.keys() - WITHOUT_JSON
    assert {"check", "explain", "run", "share list", "status", "user list", "vault log"} <= with_json


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (["status"], {"deliveries", "other_arrivals", "builds", "publications"}),
        (["load", "--inbox", "."], {"registered", "outcomes", "not_decided"}),
        (["check"], {"checked", "tested_build"}),
        (["share", "list"], {"shares", "publications"}),
        (["vault", "check"], {"entries", "last_hash"}),
    ],
)
def test_json_is_all_that_is_printed(warehouse: Runner, tmp_path: Path, arguments: list[str], keys: set[str]) -> None:
    (tmp_path / "inbox").mkdir()
    arguments = [str(tmp_path / "inbox") if one == "." else one for one in arguments]
    code, out, err = warehouse(*arguments, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out).keys() == keys


def test_what_was_decided_as_json(warehouse: Runner, tmp_path: Path) -> None:
    packages.write(tmp_path / "inbox", "unknown-1", {"enrolment": []}, source="weather")
    code, out, _ = warehouse("load", "--inbox", str(tmp_path / "inbox"), "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["registered"] == 1
    assert [(one["name"], one["status"], one["codes"]) for one in facts["outcomes"]] == [
        ("unknown-1", "refused", ["D_MANIFEST"])
    ]


def test_refused_shares_as_json_end_with_1(warehouse: Runner) -> None:
    code, out, _ = warehouse("share", "check", "union-coverage-440000", "--json")
    (share,) = json.loads(out)
    assert code == 1
    assert share["codes"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["status"], 0),
        (["--help"], 0),
        (["explain", "nobody"], 1),
        (["nonsense"], 2),
        (["status", "--nonsense"], 2),
        (["explain"], 2),
        (["export", "marts.x", "--out", "x.csv", "--format", "doc"], 2),
    ],
)
def test_the_exit_codes_of_the_guide(warehouse: Runner, arguments: list[str], expected: int) -> None:
    guide = (Path(__file__).parents[4] / "docs" / "engineers.md").read_text("utf-8")
    assert f"| {expected} | " in guide
    assert warehouse(*arguments)[0] == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_commands(shell: str) -> None:
    """As the shell asks for it, with the script that `--show-completion` prints."""
    program = Path(sys.executable).with_name("warehouse")
    script = subprocess.run(
        [program, "--show-completion", shell], capture_output=True, text=True, env={**os.environ, "SHELL": shell}
    )
    assert "_WAREHOUSE_COMPLETE" in script.stdout, script.stderr
    asked = {"bash": {"COMP_WORDS": "warehouse expl", "COMP_CWORD": "1"}}.get(
        shell, {"_TYPER_COMPLETE_ARGS": "warehouse expl", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    )
    answer = subprocess.run(
        [program],
        capture_output=True,
        text=True,
        env={**os.environ, "_WAREHOUSE_COMPLETE": f"complete_{shell}", **asked},
    )
    assert "explain" in answer.stdout, answer.stderr
    assert "export" not in answer.stdout


def test_the_bar_shows_rate_and_remaining_time_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(*, terminal: bool) -> str:
        sink = io.StringIO()
        monkeypatch.setattr(console, "out", Console(file=sink, force_terminal=terminal, width=150, highlight=False))
        with console.progress_bar() as progress:
            for rows in range(0, 100_000, 10_000):
                progress("read", "membership-440000-2026-08/member.csv", rows, 100_000)
                time.sleep(0.05)
            progress("read", "membership-440000-2026-08/organisation.csv", 0, 0)
        return sink.getvalue()

    assert shown(terminal=False) == ""
    bar = shown(terminal=True)
    assert re.search(r"\d0000/100000 +\S*[\d,]+/s", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", bar)), bar[-2000:]
    assert "member.csv" in bar
    assert re.search(r"0:00:0\d", bar)


def test_ctrl_c_ends_with_130() -> None:
    program = (
        "import sys, time\n"
        "from warehouse import cli\n"
        "@cli.app.command()\n"
        "def wait():\n"
        "    print('waiting', flush=True)\n"
        "    time.sleep(60)\n"
        "sys.argv = ['warehouse', 'wait']\n"
        "cli.main()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"waiting\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert b"Traceback" not in process.communicate()[1]


def test_a_package_that_is_set_aside_is_shown_and_tried_again(warehouse: Runner, settings: Settings) -> None:
    with operations.open_warehouse(settings) as conn:
        conn.execute(
            "INSERT INTO ops.arrival (location, fingerprint, name, source, attempts_broken_off, set_aside_at)"
            " VALUES ('a.zip', '', 'killer', 'training', 2, now())"
        )
        conn.execute(
            "INSERT INTO ops.step (arrival_id, step, detail) SELECT arrival_id, 'set aside', %s FROM ops.arrival",
            [Jsonb({"reason": "the process was killed"})],
        )
    code, out, _ = warehouse("status")
    assert code == 0
    assert re.search(r"a\.zip .*killer .*set aside .*the process was killed", out)
    code, out, _ = warehouse("explain", "killer")
    assert "set_aside: It is set aside" in out
    assert "warehouse retry" in out
    code, out, _ = warehouse("retry", "killer")
    assert (code, out) == (0, "a.zip: the next pass tries it again (`warehouse run`).\n")
    with operations.open_warehouse(settings) as conn:
        found = conn.execute("SELECT set_aside_at, attempts_broken_off FROM ops.arrival").fetchone()
        assert found == (None, 0)
    assert "set aside" not in warehouse("explain", "killer")[1]
