"""What became of a delivery and why, in English and Chinese: for the command line, logs and pages alike."""

import difflib
import json
import re
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row
from pydantic import BaseModel

from expectations.report import OBSERVED
from ingest import code_texts, shown
from ingest.code_texts import Text
from ingest.contracts import load as load_contracts
from ingest.errors import CODES_WITHOUT_NAME, WarehouseError, first_in_words
from ingest.ledger import ledger

#: How many row codes an explanation lists, the most frequent first.
MOST_FREQUENT = 10

_FINDING = re.compile(r"(?P<code>[A-Z]_\w+)(?: \[(?P<path>.*?)\])?: (?P<message>.*)", re.DOTALL)
_STATES = {
    "received": Text(en="It is seen but not yet decided.", zh="已收到，尚未处理。"),
    "set_aside": Text(
        en="It is set aside: whoever worked on it was killed or crashed each time, so no pass tries it any more.",
        zh="已搁置：每次处理它的进程都被终止或崩溃，不再自动重试。",
    ),
    "accepted": Text(en="It is accepted.", zh="已接收。"),
    "refused": Text(en="It is refused as a whole; none of its rows counts.", zh="整包退回，其中数据均不计入。"),
    "duplicate": Text(en="Its content was delivered before.", zh="内容此前已报送。"),
    "superseded": Text(
        en="It was accepted, and a later snapshot of the same month has replaced it.",
        zh="曾接收，已被同月更晚的全量报送取代。",
    ),
    "withdrawn": Text(en="It was accepted and has been withdrawn since.", zh="曾接收，现已撤回。"),
}
_NEXT = {
    "received": Text(en="The next pass decides it.", zh="下一次处理时判定。"),
    "set_aside": Text(
        en="Look why the process ended (memory of the machine, its log), then `warehouse retry NAME` lets the next pass"
        " try it again; so does a package with other content in its place.",
        zh="请查明进程终止的原因（内存、系统日志），再以 `warehouse retry NAME` 让下一次处理重试；"
        "在原处放入内容不同的数据包也会重新处理。",
    ),
    "duplicate": Text(en="Nothing needs to be done.", zh="无需处理。"),
    "superseded": Text(en="Nothing needs to be done.", zh="无需处理。"),
    "withdrawn": Text(en="Send a corrected package under a new name.", zh="请以新名称重发更正后的数据包。"),
}
_NEW_NAME = Text(
    en="Mend what is named above, and send the whole package again under a new name.",
    zh="请按上述说明修正，以新名称重发整个数据包。",
)
_SAME_NAME = Text(
    en="Mend what is named above, and send the whole package again; it may keep its name.",
    zh="请按上述说明修正后重发整个数据包，名称可不变。",
)
_MEND_ROWS = Text(
    en="It counts. Mend the rejected rows (`warehouse rejects`) and send them as a delta under a new name.",
    zh="已计入。请按退回文件（`warehouse rejects`）修正被剔除的行，以新名称按增量报送。",
)
_NOTHING = Text(en="It counts. Nothing needs to be done.", zh="已计入，无需处理。")
_NOT_KEPT = Text(
    en="Rejected rows that are counted but not kept (beyond the limit, or of erased persons):",
    zh="只计数未留存的剔除行（超出上限，或属于已删除个人）：",
)


class Reason(BaseModel):
    """Why a delivery was refused: one finding, with what its code means and what to do."""

    code: str
    path: str | None
    found: str
    meaning: Text
    remedy: Text


class FailedExpectation(BaseModel):
    """An expectation that the data did not meet: what was allowed, and what was observed."""

    suite: str
    column: str | None
    severity: str
    allowed: Text
    observed: dict[str, Any]


class RowReason(BaseModel):
    """How many rows were rejected or warned of with one code, and where the first one stands."""

    code: str
    column: str | None
    column_label: str | None
    rows: int
    path: str
    line: int
    meaning: Text
    remedy: Text


class Explanation(BaseModel):
    """Everything that the ledger knows of one delivery, ready to be shown or read by a program."""

    name: str
    location: str
    source: str | None
    sender: str | None
    period: str | None
    mode: str | None
    status: str
    received_at: datetime
    decided_at: datetime | None
    published_at: datetime | None
    rows_read: int
    rows_loaded: int
    rows_rejected: int
    rows_not_kept: int  # of the rejected ones: beyond the limit, or of erased persons
    state: Text
    not_decided: str | None
    reasons: list[Reason]
    expectations: list[FailedExpectation]
    rejected: list[RowReason]
    warnings: list[RowReason]
    next_step: Text


def explain(conn: psycopg.Connection[Any], name: str) -> Explanation:
    """What became of a delivery and why.

    Args:
        conn: A connection that may read ``ops``.
        name: The delivery's name, or the location of its package in the inbox.

    Raises:
        WarehouseError: The ledger knows neither; the message names those that are spelled alike.
    """
    found = conn.execute(_NUMBER, {"name": name, "location": shown.location(name)}).fetchone()
    if found is None:
        raise WarehouseError(unknown_delivery(conn, name))
    return explain_arrival(conn, found[0])


def explain_arrival(conn: psycopg.Connection[Any], arrival_id: int) -> Explanation:
    """What became of one package, and why: of several with the same name too.

    Args:
        conn: A connection that may read ``ops``.
        arrival_id: Its number in the ledger, which knows it.
    """
    number = [arrival_id]
    with conn.cursor(row_factory=dict_row) as cursor:
        [arrival] = cursor.execute(_ARRIVAL, number).fetchall()
        rejected = cursor.execute(_REJECTED, number).fetchall()
        warned = cursor.execute(_WARNED, number).fetchall()
        failed = cursor.execute(_FAILED, number).fetchall()
    status = arrival["status"] if arrival["decided_at"] else "received"
    if arrival.pop("set_aside") and status == "received":
        status = arrival["status"] = "set_aside"
    reasons = [_reason(text) for text in ledger.findings(conn, arrival_id)] if status == "refused" else []
    return Explanation(
        **arrival,
        state=_STATES[status],
        reasons=reasons,
        expectations=[_failed(row) for row in failed],
        rejected=[_row_reason(arrival["source"], row) for row in rejected],
        warnings=[_row_reason(arrival["source"], row) for row in warned],
        next_step=_next_step(status, reasons, arrival["rows_rejected"]),
    )


def as_text(explanation: Explanation) -> str:
    """The explanation as lines of plain text, each sentence in both languages."""
    header = [explanation.source, explanation.sender, explanation.period, explanation.mode]
    lines = [
        f"{explanation.name}  {' '.join(value for value in header if value)}",
        f"{explanation.status}: {_both(explanation.state)}",
    ]
    if explanation.rows_read:
        lines.append(
            f"Rows 行数: {explanation.rows_read} read 读取, {explanation.rows_loaded} loaded 通过, "
            f"{explanation.rows_rejected} rejected 剔除"
        )
    if explanation.not_decided:
        lines.append(f"Not decided because 未能处理: {explanation.not_decided}")
    for reason in explanation.reasons:
        lines += ["", f"{reason.code}{f' [{reason.path}]' if reason.path else ''}: {reason.found}"]
        lines += [f"  {_both(reason.meaning)}", f"  -> {_both(reason.remedy)}"]
    if explanation.expectations:
        lines += ["", "Expectations not met 未满足的校验:"]
    for expectation in explanation.expectations:
        observed = ", ".join(f"{_both(OBSERVED[key])} {value}" for key, value in expectation.observed.items())
        lines += [f"  {expectation.severity} {expectation.suite}: {_both(expectation.allowed)}", f"    {observed}"]
    if explanation.rows_not_kept:
        lines += ["", f"{_both(_NOT_KEPT)} {explanation.rows_not_kept}"]
    for title, found in (("Rejected rows 剔除的行", explanation.rejected), ("Warnings 警告", explanation.warnings)):
        if found:
            lines += ["", f"{title}:"]
        for row in found:
            column = f" {row.column}" + (f" {row.column_label}" if row.column_label else "") if row.column else ""
            location = f"{row.path}, line {row.line}" if row.line else row.path
            lines += [f"  {row.rows} x {row.code}{column}, first 首见: {location}"]
            lines += [f"    {_both(row.meaning)} -> {_both(row.remedy)}"]
    return "\n".join([*lines, "", f"Next 下一步: {_both(explanation.next_step)}"])


def as_line(explanation: Explanation) -> str:
    """The first reason of a refusal in one line; empty where nothing was refused."""
    found = [
        f"{reason.code}{f' [{reason.path}]' if reason.path else ''}: {reason.found}" for reason in explanation.reasons
    ]
    return first_in_words(found)


def _both(text: Text) -> str:
    return f"{text.en} {text.zh}"


def unknown_delivery(conn: psycopg.Connection[Any], name: str) -> str:
    """That the ledger does not know a name, and which ones are spelled alike."""
    names = [row[0] for row in conn.execute("SELECT DISTINCT name FROM ops.arrival WHERE name <> %s", [name])]
    like = difflib.get_close_matches(name, names, n=3)
    return f"The ledger knows no delivery named {name!r}." + (f" Is it {', '.join(like)}?" if like else "")


def _reason(text: str) -> Reason:
    found = _FINDING.fullmatch(text)
    code, path, message = (found["code"], found["path"], found["message"]) if found else (text, None, "")
    texts = code_texts.load()[code]
    return Reason(code=code, path=path, found=message, meaning=texts.meaning, remedy=texts.remedy)


def _failed(row: dict[str, Any]) -> FailedExpectation:
    observed = row["observed"] if isinstance(row["observed"], dict) else json.loads(row["observed"] or "{}")
    return FailedExpectation(
        suite=row["suite"],
        column=row["column"],
        severity=row["severity"],
        allowed=Text(
            en=observed.get("description") or row["expectation"].replace("_", " "),
            zh=observed.get("description_zh") or "",
        ),
        observed={key: observed[key] for key in OBSERVED if observed.get(key) is not None},
    )


def _row_reason(source: str, row: dict[str, Any]) -> RowReason:
    code, _, column = row["reason"].partition(":")
    feed = load_contracts().feeds.get((source, row["feed"]))
    labels = {column.name: column.label for column in feed.columns} if feed else {}
    texts = code_texts.load()[code]
    return RowReason(
        code=code,
        column=column or None,
        column_label=labels.get(column),
        rows=row["rows"],
        path=row["path"],
        line=row["line"],
        meaning=texts.meaning,
        remedy=texts.remedy,
    )


def _next_step(status: str, reasons: list[Reason], rows_rejected: int) -> Text:
    if status == "refused":
        return _SAME_NAME if {reason.code for reason in reasons} <= CODES_WITHOUT_NAME else _NEW_NAME
    if status == "accepted":
        return _MEND_ROWS if rows_rejected else _NOTHING
    return _NEXT[status]


_NUMBER = """
SELECT a.arrival_id FROM ops.arrival AS a
LEFT JOIN ops.delivery AS d ON a.arrival_id = d.delivery_id
WHERE a.name = %(name)s OR a.location = %(location)s
ORDER BY a.name = %(name)s DESC, d.delivery_id IS NOT NULL DESC, a.arrival_id DESC
LIMIT 1
"""
_ARRIVAL = """
SELECT a.arrival_id, a.name, a.location, a.source, a.sender, a.period, a.mode, a.status, a.received_at, a.decided_at,
    a.set_aside_at IS NOT NULL AS set_aside,
    coalesce(f.rows_read, 0) AS rows_read, coalesce(f.rows_loaded, 0) AS rows_loaded,
    coalesce(f.rows_rejected, 0) AS rows_rejected,
    greatest(
        coalesce(f.rows_rejected, 0) - (SELECT count(*) FROM ops.rejection AS r WHERE r.arrival_id = a.arrival_id), 0
    ) AS rows_not_kept,
    (
        SELECT min(p.published_at) FROM ops.publication AS p WHERE a.holds_name AND a.name = ANY(p.deliveries)
    ) AS published_at,
    (
        SELECT s.detail ->> 'reason' FROM ops.step AS s
        WHERE s.arrival_id = a.arrival_id AND s.step IN ('not decided', 'set aside') AND a.decided_at IS NULL
        ORDER BY s.at DESC LIMIT 1
    ) AS not_decided
FROM ops.arrival AS a
LEFT JOIN LATERAL (
    SELECT sum(rows_read)::bigint AS rows_read, sum(rows_loaded)::bigint AS rows_loaded,
        sum(rows_rejected)::bigint AS rows_rejected
    FROM ops.file WHERE arrival_id = a.arrival_id
) AS f ON true
WHERE a.arrival_id = %s
"""
_CODES = f"""
SELECT reason, feed, count(*) AS rows, (array_agg(path ORDER BY file_no, line_number))[1] AS path,
    (array_agg(line_number ORDER BY file_no, line_number))[1] AS line
FROM (%s) AS found
GROUP BY reason, feed
ORDER BY count(*) DESC, reason LIMIT {MOST_FREQUENT}
"""
_REJECTED = _CODES.replace(
    "%s",
    "SELECT unnest(reasons) AS reason, feed, path, file_no, line_number FROM ops.rejection WHERE arrival_id = %s",
)
_WARNED = _CODES.replace(
    "%s",
    "SELECT unnest(w.codes) AS reason, f.feed, w.path, w.file_no, w.line_number FROM ops.warning AS w"
    " INNER JOIN ops.file AS f ON w.arrival_id = f.arrival_id AND w.file_no = f.file_no WHERE w.arrival_id = %s",
)
_FAILED = """
SELECT suite, expectation, "column", severity, observed FROM ops.validation_result
WHERE arrival_id = %s AND NOT success
ORDER BY severity, suite, "column" NULLS FIRST, expectation
"""
