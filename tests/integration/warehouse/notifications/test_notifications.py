"""Notifications against real servers: what is told, once, in which words, and what happens when a server is down."""

import json
import logging
import socket
import threading
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from ingest.settings import Settings
from tests.integration.warehouse.notifications.conftest import Mailbox, Webhook
from tests.packages import enrolment, write
from warehouse import operations
from warehouse.build.publish import PublicationResult
from warehouse.notifications import events, outbox, sending, steps
from warehouse.notifications.messages import Item, Kind
from warehouse.sharing import lifecycle

ITEM = Item(Kind.FAILED, "t dbt", "构建失败", "the build failed", ("model.warehouse.x: error",))


def configured(settings: Settings, *channels: dict[str, Any]) -> Settings:
    made = Settings(notify=json.loads(json.dumps(channels))).notify
    return settings.model_copy(update={"notify": made})


def wecom(webhook: Webhook) -> dict[str, Any]:
    return {"type": "wecom", "url": webhook.url}


def mail(mailbox: Mailbox, **more: Any) -> dict[str, Any]:
    return {
        "type": "smtp",
        "host": "127.0.0.1",
        "port": mailbox.port,
        "security": "none",
        "sender": "warehouse@union.example",
        "recipients": ["steward@union.example", "engineer@union.example"],
        **more,
    }


def waiting(conn: psycopg.Connection) -> list[tuple[Any, ...]]:
    return conn.execute(
        "SELECT channel, kind, attempts, error, sent_at IS NOT NULL FROM ops.notification ORDER BY notification_id"
    ).fetchall()


def texts(webhook: Webhook) -> list[str]:
    return [body["text"]["content"] for _, body in webhook.requests]


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


def refuse(inbox: Path, name: str) -> None:
    """A package whose file lacks a required column."""
    row = enrolment(1)
    del row["started_on"]
    write(inbox, name, {"enrolment": [row]})


@pytest.mark.parametrize("type_", ["wecom", "dingtalk", "slack"])
def test_a_webhook_is_told_once(
    warehouse: psycopg.Connection, settings: Settings, webhook: Webhook, type_: str
) -> None:
    settings = configured(settings, {"type": type_, "url": webhook.url})
    for _ in range(2):
        outbox.add(warehouse, settings.notify, [ITEM])
        sending.notify(settings)
    [(path, body)] = webhook.requests
    assert path == "/robot/send?key=hidden-key"
    text = body["text"] if type_ == "slack" else body["text"]["content"]
    assert text.splitlines() == [
        "数据仓库：1 次构建失败 · 1 build failed",
        "- 构建失败",
        "  the build failed",
        "  model.warehouse.x: error",
    ]
    assert waiting(warehouse) == [(type_, "failed", 1, None, True)]


def test_a_robot_of_dingtalk_gets_a_signature(
    warehouse: psycopg.Connection, settings: Settings, webhook: Webhook
) -> None:
    settings = configured(settings, {"type": "dingtalk", "url": webhook.url, "secret": "SEC1"})
    outbox.add(warehouse, settings.notify, [ITEM])
    sending.notify(settings)
    [(path, _)] = webhook.requests
    assert path.startswith("/robot/send?key=hidden-key&timestamp=")
    assert "&sign=" in path
    assert "SEC1" not in path


def test_a_mail_goes_to_all_recipients(
    warehouse: psycopg.Connection, settings: Settings, mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = configured(settings, mail(mailbox, user="warehouse", password="right"))
    outbox.add(warehouse, settings.notify, [ITEM])
    sending.notify(settings)
    sending.notify(settings)
    [received] = mailbox.mails
    assert received["Subject"] == "数据仓库：1 次构建失败 · 1 build failed"
    assert received["From"] == "warehouse@union.example"
    assert "- 构建失败\n  the build failed" in received.get_content().replace("\r\n", "\n")
    assert mailbox.recipients == [["steward@union.example", "engineer@union.example"]]
    assert mailbox.logins == [(b"warehouse", b"right")]


def test_a_wrong_password_is_not_logged(
    warehouse: psycopg.Connection, settings: Settings, mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    settings = configured(settings, mail(mailbox, user="warehouse", password="hidden"))
    outbox.add(warehouse, settings.notify, [ITEM])
    sending.notify(settings)
    assert mailbox.mails == []
    assert waiting(warehouse) == [("smtp", "failed", 1, "SMTPAuthenticationError 535", False)]
    assert "hidden" not in caplog.text


def test_mail_is_not_sent_in_the_clear_where_encryption_is_asked_for(
    warehouse: psycopg.Connection, settings: Settings, mailbox: Mailbox
) -> None:
    settings = configured(settings, mail(mailbox, security="starttls"))
    outbox.add(warehouse, settings.notify, [ITEM])
    sending.notify(settings)
    assert mailbox.mails == []
    assert waiting(warehouse) == [("smtp", "failed", 1, "SMTPNotSupportedError", False)]


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [
        (500, b"", "HTTP 500"),
        (302, b"", "HTTP 302"),
        (200, b'{"errcode": 93000, "errmsg": "invalid webhook url hidden-key"}', "errcode 93000"),
    ],
)
def test_what_a_server_does_not_take_is_sent_by_the_next_pass(
    warehouse: psycopg.Connection,
    settings: Settings,
    webhook: Webhook,
    caplog: pytest.LogCaptureFixture,
    status: int,
    answer: bytes,
    error: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = configured(settings, {"type": "log"}, wecom(webhook))
    webhook.status, webhook.answer = status, answer
    outbox.add(warehouse, settings.notify, [ITEM])
    sending.notify(settings)
    assert waiting(warehouse) == [("log", "failed", 1, None, True), ("wecom", "failed", 1, error, False)]
    assert error in caplog.text
    webhook.status, webhook.answer = 200, b'{"errcode": 0}'
    sending.notify(settings)
    sending.notify(settings)
    assert len(webhook.requests) == 2
    assert waiting(warehouse)[1] == ("wecom", "failed", 2, None, True)
    assert caplog.text.count("the build failed") == 1  # the log was told before
    assert "hidden-key" not in caplog.text


def test_a_server_that_is_down_is_tried_five_times(
    warehouse: psycopg.Connection, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    down = {"url": f"http://127.0.0.1:{port}/hidden-key", "type": "wecom"}
    nobody = Mailbox(port=port)
    settings = configured(settings, down, mail(nobody))
    outbox.add(warehouse, settings.notify, [ITEM])
    for _ in range(outbox.MAX_ATTEMPTS + 2):
        sending.notify(settings)
    assert {(attempts, sent) for _, _, attempts, _, sent in waiting(warehouse)} == {(outbox.MAX_ATTEMPTS, False)}
    assert all("refused" in error for *_, error, _ in waiting(warehouse))
    assert caplog.text.count("given up") == 2
    assert "hidden-key" not in caplog.text


def test_a_process_that_was_killed_while_it_sent_leaves_the_message_to_a_later_one(
    warehouse: psycopg.Connection, settings: Settings, webhook: Webhook
) -> None:
    settings = configured(settings, wecom(webhook))
    outbox.add(warehouse, settings.notify, [ITEM])
    warehouse.execute("UPDATE ops.notification SET attempts = 1, claimed_at = now()")
    sending.notify(settings)
    assert webhook.requests == []
    warehouse.execute("UPDATE ops.notification SET claimed_at = now() - interval '11 minutes'")
    sending.notify(settings)
    assert len(webhook.requests) == 1


def test_processes_side_by_side_send_nothing_twice(
    warehouse: psycopg.Connection, settings: Settings, webhook: Webhook
) -> None:
    settings = configured(settings, wecom(webhook))
    outbox.add(warehouse, settings.notify, [Item(Kind.FAILED, str(n), f"第{n}次", f"build {n}.") for n in range(20)])
    threads = [threading.Thread(target=sending.notify, args=[settings]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = "\n".join(texts(webhook))
    assert [text.count(f"build {n}.") for n in range(20)] == [1] * 20


def test_no_database_harms_nobody(bare_database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The database of this test has no tables."""
    settings = Settings(home=tmp_path, dsn=SecretStr(bare_database))
    with sending.notifying(configured(settings, {"type": "log"})):
        pass
    assert "wait for the next pass" in caplog.text


# --- what is told ----------------------------------------------------------------------------------------------------


def test_a_refused_delivery_is_told_with_its_first_reason(
    warehouse: psycopg.Connection, settings: Settings, inbox: Path, webhook: Webhook
) -> None:
    settings = configured(settings.model_copy(update={"inbox": str(inbox)}), wecom(webhook))
    refuse(inbox, "bad one")
    refuse(inbox, "worse")
    write(inbox, "good", {"enrolment": [enrolment(1)]})
    for _ in range(2):
        operations.load_all(settings, lambda _: None, lambda _: None)
    [text] = texts(webhook)
    assert text.startswith("数据仓库：退回 2 批数据 · 2 deliveries refused")
    assert "（training 440000 2026-" in text
    assert "必备列缺失或重复" in text
    assert "D_HEADER [enrolment.csv]: the required column started_on" in text
    assert "warehouse explain 'bad one'" in text
    assert "warehouse explain worse" in text
    assert "good" not in text
    assert text.index("已退回") < text.index("is refused")


def test_a_reused_name_is_explained_by_its_place(
    warehouse: psycopg.Connection, settings: Settings, inbox: Path, webhook: Webhook
) -> None:
    settings = configured(settings.model_copy(update={"inbox": str(inbox)}), wecom(webhook))
    write(inbox, "good", {"enrolment": [enrolment(1)]})
    operations.load_all(settings, lambda _: None, lambda _: None)
    second = write(inbox, "other", {"enrolment": [enrolment(2)]})
    manifest = second / "datapackage.json"
    manifest.write_text(manifest.read_text("utf-8").replace('"other"', '"good"'), "utf-8")
    operations.load_all(settings, lambda _: None, lambda _: None)
    [text] = texts(webhook)
    assert "D_NAME_REUSED" in text
    assert "warehouse explain other" in text


def test_old_refusals_are_not_told(
    warehouse: psycopg.Connection, settings: Settings, inbox: Path, webhook: Webhook
) -> None:
    settings = configured(settings.model_copy(update={"inbox": str(inbox)}))
    refuse(inbox, "old")
    operations.load_all(settings, lambda _: None, lambda _: None)
    assert waiting(warehouse) == []  # no channel, nothing to write down
    warehouse.execute("UPDATE ops.arrival SET decided_at = now() - interval '8 days'")
    sending.notify(configured(settings, wecom(webhook)))
    assert webhook.requests == []


def arrived(conn: psycopg.Connection, sender: str, period: str, status: str = "accepted") -> None:
    conn.execute(
        "INSERT INTO ops.arrival (location, fingerprint, name, source, sender, period, status, holds_name, decided_at)"
        " VALUES (%(name)s, '', %(name)s, 'training', %(sender)s, %(period)s, %(status)s, %(status)s = 'accepted',"
        " now() - interval '30 days')",
        {"name": f"{sender}-{period}-{status}", "sender": sender, "period": period, "status": status},
    )


def test_a_late_sender_is_told_once_a_day_until_it_delivers(
    warehouse: psycopg.Connection, settings: Settings, webhook: Webhook
) -> None:
    settings = configured(settings, wecom(webhook))
    arrived(warehouse, "440000", "2199-01")
    arrived(warehouse, "440000", "2199-02", "refused")
    arrived(warehouse, "350000", "2199-02")
    for _ in range(2):
        found = operations.notify_missing(settings)
    assert [(one.sender, one.period, one.was_refused) for one in found] == [("440000", "2199-02", True)]
    [text] = texts(webhook)
    assert "1 批应报未报 · 1 delivery missing" in text
    assert "440000 2199-02" in text
    assert "已退回，尚未重报" in text
    # The next day it is told again.
    warehouse.execute("UPDATE ops.notification SET key = replace(key, %s, '2026-01-01')", [key_day(warehouse)])
    operations.notify_missing(settings)
    assert len(webhook.requests) == 2
    # What could not be told before it came is not told any more.
    warehouse.execute("UPDATE ops.notification SET sent_at = NULL WHERE key NOT LIKE '%% 2026-01-01'")
    arrived(warehouse, "440000", "2199-02")
    assert operations.notify_missing(settings) == []
    assert len(webhook.requests) == 2


def key_day(conn: psycopg.Connection) -> str:
    row = conn.execute("SELECT split_part(key, ' ', 4) FROM ops.notification").fetchone()
    assert row is not None
    return str(row[0])


def test_a_publication_is_told_with_what_changed(
    warehouse: psycopg.Connection, settings: Settings, webhook: Webhook
) -> None:
    settings = configured(settings, wecom(webhook))
    for build, value in (("build_a", "0.5"), ("build_b", "0.75")):
        warehouse.execute(f"CREATE SCHEMA {build}")
        warehouse.execute(
            f"CREATE TABLE {build}.reform_indicator AS SELECT 'joining_rate' AS indicator, '入会率' AS indicator_label,"
            f" m::date AS month, a AS admdvs, CASE WHEN m < '2026-02-01' THEN 0.1 ELSE {value} END::numeric(18, 6) AS value"
            " FROM generate_series('2026-01-01'::timestamp, '2026-03-01', '1 month') AS m,"
            " unnest('{100000,440000}'::text[]) AS a"
        )
    publish(warehouse, settings, "build_a", ["one"], {"core.member": 10, "marts.same": 1})
    publish(warehouse, settings, "build_b", ["one", "two"], {"core.member": 12, "marts.same": 1})
    sending.notify(settings)
    [text] = texts(webhook)
    assert "2 次发布 · 2 publications" in text
    assert "第 2 次发布（build_b）：2 张表，13 行；新增 1 批数据" in text
    assert "core.member: 10 → 12 (+2)" in text
    assert "marts.same" not in text
    assert "入会率 joining_rate 2026-03: 0.5 → 0.75（另 1 个月 +1）" in text
    assert text.count("joining_rate") == 1


def publish(
    conn: psycopg.Connection, settings: Settings, build: str, deliveries: list[str], counts: dict[str, int]
) -> None:
    """As operations.publish does, without moving views."""
    changes = steps.Changes(conn, settings.notify, build)
    moved = PublicationResult(counts, ())
    with conn.transaction():
        number = operations._note(conn, build, deliveries, moved, "hash")
        changes.write(conn, number, deliveries, moved)


def test_a_publication_stands_even_if_it_cannot_be_told(
    warehouse: psycopg.Connection, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    warehouse.execute("DROP TABLE ops.notification")
    publish(warehouse, settings, "build_a", [], {})
    assert events.current(warehouse) == events.Current("build_a", frozenset(), {})
    assert "could not be written down (UndefinedTable)" in caplog.text


def test_a_share_that_ends_soon_is_told_at_thirty_and_at_seven_days(
    warehouse: psycopg.Connection, settings: Settings, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = configured(settings, wecom(webhook))
    for days in (30, 7):
        notice = lifecycle.Notice("coverage-gd", 1, date(2026, 12, 31), days)
        monkeypatch.setattr(lifecycle, "notices", lambda _, notice=notice: [notice])
        for _ in range(2):
            steps.share_notices(warehouse, settings.notify)
            sending.notify(settings)
    first, second = texts(webhook)
    assert "1 项共享即将到期 · 1 share ends soon" in first
    assert "共享 coverage-gd 将于 2026-12-31 到期，还有 30 天" in first
    assert "in 7 days" in second


def test_a_late_run_is_told(warehouse: psycopg.Connection, settings: Settings, webhook: Webhook) -> None:
    for _ in range(2):
        sending.notify_late_run(configured(settings, wecom(webhook)), "build_warehouse", "asset__1", timedelta(hours=2))
    [text] = texts(webhook)
    assert "The run asset__1 of build_warehouse has not ended 2 hours after it was queued" in text


# --- a pass ----------------------------------------------------------------------------------------------------------


def test_nested_steps_send_once_at_the_end(warehouse: psycopg.Connection, settings: Settings, webhook: Webhook) -> None:
    settings = configured(settings, wecom(webhook))
    with sending.notifying(settings):
        with sending.notifying(settings):
            outbox.add(warehouse, settings.notify, [ITEM])
        assert webhook.requests == []
    assert len(webhook.requests) == 1


def test_an_error_before_anything_was_written_down_sends_nothing(
    warehouse: psycopg.Connection, settings: Settings, webhook: Webhook
) -> None:
    settings = configured(settings, wecom(webhook))
    outbox.add(warehouse, settings.notify, [ITEM])
    with pytest.raises(ValueError, match="mine"), sending.notifying(settings):
        raise ValueError("mine")
    assert webhook.requests == []


@pytest.mark.parametrize("step", ["dbt", "audit", "publish"])
def test_a_failed_step_is_told_by_names_alone(
    warehouse: psycopg.Connection, settings: Settings, webhook: Webhook, step: str
) -> None:
    settings = configured(settings, wecom(webhook))
    warehouse.execute("INSERT INTO ops.build (build, started_at) VALUES ('build_b', now() - interval '1 minute')")
    warehouse.execute(
        "INSERT INTO ops.dbt_result (build, token, node, resource_type, status, seconds, message, run_at) VALUES"
        " ('build_b', 't', 'model.warehouse.member', 'model', 'error', 1, 'a row', now()),"
        " ('build_b', 't', 'model.warehouse.person', 'model', 'success', 1, '', now())"
    )
    warehouse.execute(
        "INSERT INTO ops.validation_result (build, suite, expectation, severity, success, run_at) VALUES"
        " ('build_b', 'figures', 'rate', 'critical', false, now()),"
        " ('build_b', 'figures', 'mild', 'warning', false, now()),"
        " ('build_b', 'figures', 'past', 'critical', false, now() - interval '1 hour')"
    )
    plan: Any = {"build": "build_b", "token": "t"}
    for _ in range(2):
        with pytest.raises(ValueError, match="a row"), sending.notifying_failure(settings, step, plan):
            raise ValueError("a row")
    [text] = texts(webhook)
    names = {"dbt": ["model.warehouse.member: error"], "audit": ["figures.rate"], "publish": []}[step]
    assert [line.strip() for line in text.splitlines()[3:]] == names
    assert "未发布任何内容" in text
    assert f"build_b failed at the step {step}" in text
    assert "a row" not in text
