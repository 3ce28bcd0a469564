"""What there is to tell: read from the ledger and the builds, and put into words."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import psycopg
from psycopg import sql

from ingest import contracts
from ingest.settings import Channel
from warehouse.notifications import outbox
from warehouse.notifications.messages import Item, Kind

#: Refusals are told that were decided in the last so many days: not all of the past when notifications are new.
_DAYS = 7
#: Told deliveries that are missing are remembered for so many days. The same one is told again the next day.
_MISSING_DAYS = 30
#: Names, relations and indicators that one message lists.
_LISTED = 15
#: The mart whose rows of the whole country are compared with the publication before.
_INDICATORS, _COUNTRY = "reform_indicator", "100000"


def refused(conn: psycopg.Connection, configured: Sequence[Channel]) -> list[Item]:
    """The refused deliveries that not every channel was told of, oldest first: the ledger knows, whoever decided."""
    rows = conn.execute(
        """
        SELECT a.arrival_id, a.location, a.name, array_to_string(a.codes, ' ') FROM ops.arrival AS a
        WHERE a.status = 'refused' AND a.decided_at > clock_timestamp() - make_interval(days => %s)
            AND (
                SELECT count(*) FROM ops.notification AS n
                WHERE n.kind = 'refused' AND n.channel = ANY(%s)
                    AND n.key = a.arrival_id || ' ' || array_to_string(a.codes, ' ')
            ) < cardinality(%s::text[])
        ORDER BY a.decided_at, a.arrival_id
        """,
        [_DAYS, names := [channel.name for channel in configured], names],
    ).fetchall()
    return [_refused(conn, f"{arrival} {codes}", location, name) for arrival, location, name, codes in rows]


def _refused(conn: psycopg.Connection, key: str, location: str, name: str) -> Item:
    """A refusal with its first reason in words, as ``warehouse explain`` has it."""
    from warehouse import explanation  # only where something was refused: it brings the templates' library along

    found = explanation.explain(conn, name)
    if found.location != location:  # another package owns the name
        found, name = explanation.explain(conn, location), location
    of = " ".join(value for value in (found.source, found.sender, found.period) if value) or found.location
    first = found.reasons[0] if found.reasons else None
    return Item(
        Kind.REFUSED,
        key,
        f"{found.name}（{of}）已退回：{first.meaning.zh if first else found.state.zh}",
        f"{found.name} ({of}) is refused: {first.meaning.en if first else found.state.en}",
        (*([explanation.as_line(found)] if first else []), f"warehouse explain {shlex.quote(name)}"),
    )


def emergencies(conn: psycopg.Connection, configured: Sequence[Channel]) -> list[Item]:
    """The requests to open the vault in an emergency that not every channel was told of, oldest first.

    Neither the person nor the reason is told, which may name somebody: the log of the vault has them.
    """
    names = [channel.name for channel in configured]
    rows = conn.execute(
        """
        SELECT e.entry_id, e.login, e.os_user, host(e.client),
            to_char(e.at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI')
        FROM audit.entry AS e
        WHERE e.event = 'request' AND e.is_emergency AND e.at > clock_timestamp() - make_interval(days => %s)
            AND (
                SELECT count(*) FROM ops.notification AS n
                WHERE n.kind = 'vault' AND n.channel = ANY(%s) AND n.key = e.entry_id::text
            ) < cardinality(%s::text[])
        ORDER BY e.entry_id
        """,
        [_DAYS, names, names],
    ).fetchall()
    return [
        Item(
            Kind.VAULT,
            str(entry),
            f"{login}（自称系统用户 {os_user or '不明'}，来自 {client or '本机'}）于 {at} 紧急开启保密库，"
            f"日志第 {entry} 条，须由审计人员核查。",
            f"{login} (claimed user {os_user or 'unknown'}, from {client or 'this machine'}) opened the vault in an"
            f" emergency at {at}, entry {entry} of its log: to be looked into by the auditor.",
            ("warehouse vault log",),
        )
        for entry, login, os_user, client, at in rows
    ]


def set_aside(conn: psycopg.Connection) -> list[Item]:
    """The packages that no pass tries any more, because whoever worked on them was killed or crashed."""
    rows = conn.execute(
        "SELECT arrival_id, set_aside_at::text, location, name FROM ops.arrival"
        " WHERE set_aside_at > clock_timestamp() - make_interval(days => %s) AND decided_at IS NULL"
        " ORDER BY set_aside_at, arrival_id",
        [_DAYS],
    ).fetchall()
    return [
        Item(
            Kind.SET_ASIDE,
            f"{arrival} {moment}",
            f"{name}（{location}）已搁置：每次处理它的进程都被终止或崩溃，不再自动重试。",
            f"{name} ({location}) is set aside: whoever worked on it was killed or crashed each time,"
            " so no pass tries it any more.",
            (f"warehouse explain {shlex.quote(location)}", f"warehouse retry {shlex.quote(location)}"),
        )
        for arrival, moment, location, name in rows
    ]


def add_missing(conn: psycopg.Connection, configured: Sequence[Channel]) -> None:
    """Write down what senders owe, once a day; what has come since, or was to be told on another day, is dropped."""
    row = conn.execute("SELECT (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date").fetchone()
    today: date = row[0] if row else date.min
    owed = conn.execute(
        "SELECT source, sender, period, was_refused FROM ops.missing_delivery ORDER BY source, sender, period"
    ).fetchall()
    items = [_missing(today, *delivery) for delivery in owed]
    with conn.transaction():
        conn.execute(
            "DELETE FROM ops.notification WHERE kind = 'missing' AND claimed_at IS NULL"
            " AND (sent_at IS NULL AND NOT key = ANY(%s) OR sent_at < clock_timestamp() - make_interval(days => %s))",
            [[item.key for item in items], _MISSING_DAYS],
        )
        outbox.add(conn, configured, items)


def _missing(today: date, source: str, sender: str, period: str, was_refused: bool) -> Item:
    known = contracts.load().source_files.get(source)
    zh, en = (known.title_zh, known.title) if known else (source, source)
    return Item(
        Kind.MISSING,
        f"{source} {sender} {period} {today}",
        f"{sender} {period} {zh}：{'已退回，尚未重报' if was_refused else '未报送'}",
        f"{sender} {period} {en} ({source}): {'refused, not sent again' if was_refused else 'not received'}",
    )


def failed(conn: psycopg.Connection, step: str, build: str, token: str) -> Item:
    """A build that failed, with what failed in it: names alone, because messages of a database may quote a row."""
    if step == "dbt":
        names = conn.execute(
            "SELECT node || ': ' || status FROM ops.dbt_result"
            " WHERE token = %s AND status IN ('error', 'fail', 'runtime error') ORDER BY node",
            [token],
        ).fetchall()
    elif step == "audit":
        names = conn.execute(
            "SELECT DISTINCT suite || '.' || expectation || coalesce(': ' || \"column\", '') FROM ops.validation_result"
            " WHERE build = %s AND NOT success AND severity = 'critical'"
            " AND run_at >= (SELECT started_at FROM ops.build AS b WHERE b.build = %s) ORDER BY 1",
            [build, build],
        ).fetchall()
    else:
        names = []
    zh = {"dbt": "计算", "audit": "审核", "publish": "发布"}[step]
    return Item(
        Kind.FAILED,
        f"{token} {step}",
        f"{build} 在“{zh}”一步失败，未发布任何内容，读者仍见上一次发布；原因见日志。",
        f"{build} failed at the step {step}: nothing is published, readers keep the last publication;"
        " the log says why.",
        _first([name for (name,) in names]),
    )


@dataclass(frozen=True)
class Current:
    """The publication that readers see before another one."""

    build: str
    deliveries: frozenset[str]
    row_counts: Mapping[str, int]


def current(conn: psycopg.Connection) -> Current | None:
    """The current publication, None before the first."""
    row = conn.execute("SELECT build, deliveries, row_counts FROM ops.publication WHERE is_current").fetchone()
    return Current(row[0], frozenset(row[1]), row[2]) if row else None


def indicators(conn: psycopg.Connection, before: str, after: str) -> list[str]:
    """The country's indicators that differ between two builds, each with the last month that differs."""
    for build in (before, after):
        if conn.execute("SELECT to_regclass(%s)", [f"{build}.{_INDICATORS}"]).fetchone() == (None,):
            return []
    rows = conn.execute(
        sql.SQL(
            """
            SELECT DISTINCT ON (indicator) coalesce(a.indicator_label, b.indicator_label), indicator,
                to_char(month, 'YYYY-MM'), b.value, a.value, count(*) OVER (PARTITION BY indicator)
            FROM (SELECT * FROM {after} WHERE admdvs = %(country)s) AS a
            FULL JOIN (SELECT * FROM {before} WHERE admdvs = %(country)s) AS b USING (indicator, month)
            WHERE a.value IS DISTINCT FROM b.value
            ORDER BY indicator, month DESC
            """
        ).format(after=sql.Identifier(after, _INDICATORS), before=sql.Identifier(before, _INDICATORS)),
        {"country": _COUNTRY},
    ).fetchall()
    return [
        f"{label or indicator} {indicator} {month}: {_number(old)} → {_number(new)}"
        + (f"（另 {months - 1} 个月 +{months - 1}）" if months > 1 else "")
        for label, indicator, month, old, new, months in rows
    ]


def published(
    number: int,
    build: str,
    deliveries: Iterable[str],
    row_counts: Mapping[str, int],
    before: Current | None,
    changed_indicators: Sequence[str],
) -> Item:
    """A publication with what it changed: rows of relations, and indicators of the whole country."""
    new = len(set(deliveries) - (before.deliveries if before else frozenset()))
    gone = len(before.deliveries - set(deliveries)) if before else 0
    rows = sum(row_counts.values())
    counts = _changed_counts(before.row_counts, row_counts) if before else []
    return Item(
        Kind.PUBLISHED,
        str(number),
        f"第 {number} 次发布（{build}）：{len(row_counts)} 张表，{rows} 行；新增 {new} 批数据，减少 {gone} 批；"
        f"{len(counts)} 张表的行数、{len(changed_indicators)} 项全国改革指标有变化。",
        f"Publication {number} ({build}): {len(row_counts)} relations, {rows} rows; {new} deliveries more, {gone} less;"
        f" changed are the rows of {len(counts)} relations and {len(changed_indicators)} of the country's indicators.",
        (*_first(counts), *_first(changed_indicators)),
    )


def _changed_counts(before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    """Relations whose number of rows changed, the largest change first."""
    change = {name: after.get(name, 0) - before.get(name, 0) for name in {*before, *after}}
    return [
        f"{name}: {before.get(name, 0)} → {after.get(name, 0)} ({change[name]:+d})"
        for name in sorted(change, key=lambda name: (-abs(change[name]), name))
        if change[name]
    ]


def share_ends(name: str, version: int, valid_until: date, days: int, notice_days: int) -> Item:
    """A share that ends soon.

    Args:
        name: Of the share.
        version: Of its declaration.
        valid_until: Its last day.
        days: That are left.
        notice_days: Which notice it is: that of thirty days or that of seven.
    """
    return Item(
        Kind.SHARE,
        f"{name} {version} {notice_days}",
        f"共享 {name} 将于 {valid_until} 到期，还有 {days} 天；如需继续，请提交新版申报。",
        f"The share {name} ends on {valid_until}, in {days} days; declare a new version if it is to go on.",
    )


def late_run(dag: str, run: str, allowed: timedelta) -> Item:
    """A run of Airflow that has not ended in its time."""
    hours = f"{allowed.total_seconds() / 3600:g}"
    return Item(
        Kind.DEADLINE,
        f"{dag} {run}",
        f"{dag} 的运行 {run} 排队后 {hours} 小时仍未结束，请查看 Airflow 页面。",
        f"The run {run} of {dag} has not ended {hours} hours after it was queued: see Airflow's page.",
    )


def _first(lines: Sequence[str]) -> tuple[str, ...]:
    more = len(lines) - _LISTED
    return (*lines[:_LISTED], *([f"……另有 {more} 项 · and {more} more"] if more > 0 else []))


def _number(value: Decimal | None) -> str:
    return "—" if value is None else f"{value.normalize():f}"
