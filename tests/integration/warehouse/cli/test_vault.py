"""The commands of the vault: a case, a purpose, an emergency, the log and its check."""

import json
import re
import shlex
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from ingest.privacy.keyring import Keyring
from ingest.settings import Settings
from tests import shares
from tests.integration.warehouse.cli.conftest import Runner
from warehouse import operations
from warehouse.local import server

ROOT = Path(__file__).parents[4]
PERSON = shares.PERSONS[0]


@pytest.fixture(autouse=True)
def filled(settings: Settings) -> None:
    with operations.open_warehouse(settings) as conn:
        shares.fill_vault(conn, Keyring.from_settings(settings))


def test_a_person_is_opened_for_a_case(command: Runner, settings: Settings) -> None:
    code, out, err = command("person", PERSON, "--case", "2026-7", "--purpose", "aid", "--reason", "amount")
    assert (code, err) == (0, "")
    assert out == "name: 测试0\ncertno: 110101199001010000\n"
    _, out, _ = command("vault", "log", PERSON)
    asked, opened = out.splitlines()
    assert " request by warehouse " in asked
    assert " opening of 1 by warehouse " in opened
    for line in (asked, opened):
        assert f" | {PERSON} | 2026-7 | aid | " in line
        assert f"  {operations.user()} | 127.0.0.1 | " in line
    assert asked.endswith("amount")
    assert command("vault", "log", shares.PERSONS[1])[1] == ""


def test_what_the_page_of_the_vault_promises(command: Runner, settings: Settings) -> None:
    """Its commands work in the order in which they stand there, and so do its statements."""
    page = (ROOT / "docs/security.md").read_text("utf-8").split("## The vault\n")[1].split("\n## ")[0]
    commands = [line for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]
    assert len(commands) == 5
    for line in commands:
        program, *arguments = shlex.split(line.replace("$PERSON_KEY", PERSON))
        assert program == ".venv/bin/warehouse"
        code, out, err = command(*arguments)
        assert (code, out != "") == (0, True), line + err
    [block] = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    ask, open_ = block.splitlines()
    with operations.open_warehouse(settings) as conn:
        [(number,)] = conn.execute(ask.encode()).fetchall()
        assert conn.execute(open_.replace("(1)", f"({number})").encode()).fetchall() == [(None,)]  # no such person


def test_a_login_of_ones_own_opens(
    command: Runner, settings: Settings, server_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.dsn is not None
    name = psycopg.conninfo.conninfo_to_dict(settings.dsn.get_secret_value())["dbname"]
    dsn = server.database_dsn(server_settings, str(name), role="caseworker")
    monkeypatch.setenv("WAREHOUSE_VAULT_DSN", dsn)
    monkeypatch.setenv("WAREHOUSE_VAULT_OPENINGS", "1")
    for expected in (0, 1):
        code, _, err = command("person", PERSON, "--case", "2026-7", "--purpose", "aid")
        assert code == expected
    assert err == (
        "error: Caseworker has opened 1 persons today, which is the limit: go on tomorrow, or open in an emergency.\n"
    )
    out = command("vault", "log")[1].splitlines()
    assert [line.split(" by ")[0].split(maxsplit=3)[3] for line in out] == ["limit", "request", "opening of 2"]
    assert [line.split(" by ")[1].split()[0] for line in out] == ["warehouse", "caseworker", "caseworker"]


def test_an_emergency_is_told_at_once_and_once(
    command: Runner, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    code, out, _ = command("person", PERSON, "--emergency", "--reason", "flood in the county, 张三")
    assert code == 0
    assert out.startswith("name: 测试0")
    [told] = [message for message in caplog.messages if "保密库" in message]
    assert "1 次紧急开启 · 1 emergency opening of the vault" in told
    assert "opened the vault in an emergency" in told
    assert "entry 1 of its log" in told
    assert not any(word in told for word in ("测试0", "张三", PERSON))
    caplog.clear()
    operations.notify(settings)
    assert [message for message in caplog.messages if "保密库" in message] == []
    assert "EMERGENCY request by" in command("vault", "log")[1]


def test_an_emergency_of_a_client_of_the_database_is_told_by_the_next_pass(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with operations.open_warehouse(settings) as conn:
        conn.execute("SELECT vault.ask_in_emergency(%s, 'flood')", [PERSON])
    operations.notify(settings)
    assert "claimed user unknown" in caplog.text


def test_check_notes_the_last_entry_outside_the_database(
    command: Runner, settings: Settings, server_settings: Settings
) -> None:
    assert command("vault", "check")[1] == "The log of the vault is empty.\n"
    command("person", PERSON, "--case", "2026-7", "--purpose", "aid")
    code, out, _ = command("vault", "check")
    assert code == 0
    assert out.startswith("The log of the vault is whole: 2 entries")
    noted = Path(settings.vault_head_path)
    assert json.loads(noted.read_text())["entry_id"] == 2
    assert settings.dsn is not None
    name = str(psycopg.conninfo.conninfo_to_dict(settings.dsn.get_secret_value())["dbname"])
    with server._as_superuser(server._layout(server_settings), name) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute("DELETE FROM audit.entry WHERE entry_id = 2")
    for _ in range(2):  # the note stays: the fault does not heal by being seen
        code, out, err = command("vault", "check")
        assert (code, out) == (1, "")
        assert "The access log of the vault is broken: entry 2 is missing" in err
    noted.write_text("{}")
    assert "does not hold an entry and its hash" in command("vault", "check")[2]


def test_the_purposes_are_listed(command: Runner) -> None:
    out = command("vault", "purposes")[1]
    assert "aid " in out
    assert "发放互助保障或说明其金额" in out


def test_a_wrong_address_of_the_login_is_no_stack_trace(command: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_VAULT_DSN", SecretStr("nonsense =").get_secret_value())
    code, _, err = command("person", PERSON, "--case", "2026-7", "--purpose", "aid")
    assert code == 1
    assert err.count("\n") == 1
    assert "nonsense" not in err
