"""The life of a share: declared, approved, open, ended. Every command and every publication goes through ``check``."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import psycopg
from psycopg import sql

from ingest import locks
from ingest.database import LOCK_ERRORS
from ingest.errors import WarehouseError
from warehouse.sharing import declaration, lineage, logins, policy, register, release, rules, views
from warehouse.sharing.codes import DEFECTS, PENDING, ShareCode, ShareFinding
from warehouse.sharing.declaration import Declaration, DeclarationFile
from warehouse.sharing.lineage import PublishedRelation
from warehouse.sharing.register import ShareRow

#: Held while shares change: checks of two commands, or of a command and a publication, come one after the other.
_LOCK = "shares"
#: Days before the end of a share at which a notice is given.
NOTICE_DAYS = (30, 7)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdict:
    """What a check says of one declaration. ``version`` and ``declaration`` are None where the file cannot be read."""

    name: str
    version: int | None
    state: str
    findings: tuple[ShareFinding, ...]
    declaration: Declaration | None

    @property
    def codes(self) -> list[str]:
        """The codes that hold, sorted."""
        return sorted({finding.code.value for finding in self.findings})

    @property
    def is_pending(self) -> bool:
        """Whether it only waits for an approval or for the first publication."""
        return bool(self.findings) and all(finding.code in PENDING for finding in self.findings)


def current_publication(conn: psycopg.Connection) -> int | None:
    """The number of the current publication, None where nothing is published or its contents are not known."""
    row = conn.execute(
        "SELECT publication_id FROM ops.publication AS p WHERE is_current"
        " AND EXISTS (SELECT FROM ops.publication_relation AS r WHERE r.publication_id = p.publication_id)"
    ).fetchone()
    return row[0] if row else None


def check(conn: psycopg.Connection, folder: Path, by: str) -> list[Verdict]:
    """Judge all declarations, write their states down, open what may be served and close what may not.

    Args:
        conn: As the owner of the warehouse. Within the transaction of a publication, or in none.
        folder: The folder of declarations.
        by: Who asks; the declarer of what was not declared before.

    Returns:
        A verdict for each file, by name.
    """
    files = declaration.load_all(folder)
    with conn.transaction():
        _hold_publication(conn, files)
        locks.hold(conn, _LOCK)
        publication = current_publication(conn)
        relations = lineage.read(conn, publication) if publication is not None else None
        checking = _Check(conn, by, publication, relations)
        open_before = {row.name for row in register.rows(conn) if row.state == "open"}
        verdicts = [checking.judge(file) for file in sorted(files, key=lambda file: file.name not in open_before)]
        checking.close_missing({file.name for file in files})
    return sorted(verdicts, key=lambda verdict: verdict.name)


def _hold_publication(conn: psycopg.Connection, files: Iterable[DeclarationFile]) -> None:
    """Keep the published views that shares use as they are: a publication waits. Locked in its order, the names'."""
    wanted = sorted({file.declaration.resource for file in files if file.declaration is not None})
    for resource in wanted:
        schema, _, name = resource.partition(".")
        exists = conn.execute(
            "SELECT FROM pg_views WHERE schemaname = %s AND viewname = %s AND viewowner = current_user", [schema, name]
        )
        if exists.fetchone() is not None:
            conn.execute(sql.SQL("SELECT FROM {} LIMIT 0").format(sql.Identifier(schema, name)))


class _Check:
    """One check of all declarations, within one transaction."""

    def __init__(
        self,
        conn: psycopg.Connection,
        by: str,
        publication: int | None,
        relations: dict[str, PublishedRelation] | None,
    ) -> None:
        self._conn, self._by = conn, by
        self._publication, self._relations = publication, relations
        self._policy, self._today = policy.load(), register.today(conn)
        self._open: list[Declaration] = []  # of the shares that are open after this check

    def judge(self, file: DeclarationFile) -> Verdict:
        """Judge a file, write its state down, and open or close what follows from it."""
        if file.version is None:
            self._replace_others(file.name, None, "refused")
            return Verdict(file.name, None, "refused", tuple(self._defects(file, self._today)), file.declaration)
        row, findings = self._register(file, file.version)
        findings += self._defects(file, row.declared_on)
        findings += self._ended(row, findings)
        approved = register.approvals(self._conn, row.name, row.version, file.hash)
        if file.draft is not None and not _has(findings, ShareCode.CHANGED):
            missing = register.missing_approval(
                file.draft, approved, register.declarer(self._conn, row.name, row.version)
            )
            findings += [missing] if missing else []
        state = _state(row, findings)
        self._replace_others(row.name, row.version, state)
        if state == "open" and row.state != "open":
            state = self._open_share(row, file.declaration)
        register.set_state(self._conn, row, state, findings, self._by)
        if state == "open" and file.declaration is not None:
            self._open.append(file.declaration)
        return Verdict(row.name, row.version, state, tuple(sorted(set(findings))), file.declaration)

    def close_missing(self, names: set[str]) -> None:
        """Stop serving shares whose file is gone."""
        for row in register.rows(self._conn):
            if row.name not in names and row.state in ("approved", "open"):
                gone = ShareFinding(ShareCode.CHANGED, "the declaration is gone")
                register.set_state(self._conn, row, "changed", [gone], self._by, {"reason": gone.message})

    def _register(self, file: DeclarationFile, version: int) -> tuple[ShareRow, list[ShareFinding]]:
        """The row of a version, declared now if it is new or a draft that changed; and what its content breaks."""
        row = self._row(file.name, version)
        if row is not None and row.file_hash == file.hash:
            return row, []
        if row is not None and (row.state in register.ENDED or register.approvals(self._conn, row.name, row.version)):
            return row, [
                ShareFinding(ShareCode.NAME, f"version {version} was used with other content: give it a new version"),
                ShareFinding(ShareCode.CHANGED, "the file is not the one that was approved"),
            ]
        register.declare(self._conn, file, version, self._by)
        declared = self._row(file.name, version)
        assert declared is not None  # noqa: S101 it was written a moment ago
        return declared, []

    def _row(self, name: str, version: int) -> ShareRow | None:
        return next((row for row in register.rows(self._conn, name) if row.version == version), None)

    def _defects(self, file: DeclarationFile, declared_on: date) -> list[ShareFinding]:
        given = rules.Circumstances(
            self._conn,
            self._policy,
            self._relations,
            declared_on,
            self._open,
        )
        return rules.judge(file, given)

    def _ended(self, row: ShareRow, findings: Sequence[ShareFinding]) -> list[ShareFinding]:
        if row.state == "revoked":
            return [ShareFinding(ShareCode.REVOKED, "it was revoked: a new version needs new approvals")]
        is_over = row.valid_until is not None and row.valid_until < self._today
        if row.state == "expired" or (is_over and not _has(findings, ShareCode.VALID)):
            return [ShareFinding(ShareCode.EXPIRED, f"it ended on {row.valid_until}")]
        return []

    def _replace_others(self, name: str, version: int | None, state: str) -> None:
        """End the other versions of a share that opens; do not serve a version whose file now says another one."""
        for other in register.rows(self._conn, name):
            if other.version == version or other.state not in ("approved", "open", "changed"):
                continue
            if state == "open":
                detail = {"replaced_by": version}
                register.set_state(self._conn, other, "expired", [_expired(other)], self._by, detail)
            elif other.state != "changed":
                changed = ShareFinding(ShareCode.CHANGED, f"its file now says version {version}")
                register.set_state(self._conn, other, "changed", [changed], self._by, {"reason": changed.message})

    def _open_share(self, row: ShareRow, declared: Declaration | None) -> str:
        """Make a share ready to be read; returns its state, which stays where the database does not let it."""
        if declared is None or self._publication is None or self._relations is None:
            return "approved"
        relation = self._relations[declared.resource]
        try:
            with self._conn.transaction():
                if relation.hides_small_cells:
                    release.take(self._conn, relation, self._publication)
                if declared.serve_as == "view":
                    views.create(self._conn, declared, relation)
                logins.prolong(self._conn, declared.name, declared.valid_until)
        except psycopg.Error as error:
            _log.warning("The share %s cannot be opened yet: %s", row.name, str(error).strip().partition("\n")[0])
            return "approved"
        return "open"


def _has(findings: Sequence[ShareFinding], *codes: ShareCode) -> bool:
    return any(finding.code in codes for finding in findings)


def _expired(row: ShareRow) -> ShareFinding:
    return ShareFinding(ShareCode.EXPIRED, f"it ended on {row.valid_until}")


def _state(row: ShareRow, findings: Sequence[ShareFinding]) -> str:
    """The state of a version, from all that was found. An ended one stays so; ``expire`` alone writes expiry."""
    if row.state in register.ENDED:
        return row.state
    if _has(findings, ShareCode.CHANGED):
        return "changed"
    if _has(findings, *DEFECTS):
        return "refused"
    if _has(findings, ShareCode.EXPIRED):
        return row.state
    if _has(findings, ShareCode.APPROVAL):
        return "declared"
    return "approved" if _has(findings, ShareCode.PUBLICATION) else "open"


def chosen(verdicts: Sequence[Verdict], names: Sequence[str]) -> list[Verdict]:
    """The verdicts of the named shares, or of all.

    Raises:
        WarehouseError: There is no file of a name.
    """
    known = {verdict.name: verdict for verdict in verdicts}
    for name in names:
        if name not in known:
            raise WarehouseError(f"There is no declaration {name}.yaml: {', '.join(known) or 'the folder is empty'}.")
    return [known[name] for name in names] if names else list(verdicts)


def approve(conn: psycopg.Connection, folder: Path, name: str, by: str, document: str, declarer: str) -> Verdict:
    """Approve the content of a file as it is now; returns what a check says afterwards.

    Args:
        conn: As the owner, in no transaction.
        folder: The folder of declarations.
        name: The share.
        by: Who approves.
        document: Number of the document with the approval.
        declarer: Who declares the share if it was never checked before.

    Raises:
        WarehouseError: The declaration has defects; nothing is approved then.
    """
    (verdict,) = chosen(check(conn, folder, declarer), [name])
    if verdict.version is None or (verdict.findings and not verdict.is_pending):
        hindrances = [str(finding) for finding in verdict.findings if finding.code not in PENDING]
        raise WarehouseError(f"{name} cannot be approved: " + "; ".join(hindrances))
    file = declaration.load(folder / f"{name}.yaml")
    with conn.transaction():
        row = next(row for row in register.rows(conn, name) if row.version == verdict.version)
        if row.file_hash != file.hash:
            raise WarehouseError(f"{name} has changed just now: look at it again, then approve.")
        register.add_step(conn, name, row.version, "approved", by, {"file_hash": file.hash}, document)
    (verdict,) = chosen(check(conn, folder, declarer), [name])
    return verdict


def login(conn: psycopg.Connection, verdict: Verdict, by: str) -> tuple[str, str]:
    """Make a login for an open share that is served as a view; returns its name and password.

    Raises:
        WarehouseError: The share is not open, or served as extracts.
    """
    declared = verdict.declaration
    if declared is None or verdict.version is None or verdict.state != "open" or verdict.findings:
        raise WarehouseError(f"{verdict.name} is not open: " + "; ".join(map(str, verdict.findings)))
    if declared.serve_as != "view":
        raise WarehouseError(f"{verdict.name} is served as extracts, which need no login: warehouse share write.")
    return logins.create(conn, verdict.name, verdict.version, declared.valid_until, by)


def published(
    conn: psycopg.Connection, folder: Path, publication: int, revisions: Sequence[str] | None, by: str
) -> list[Verdict]:
    """Move the shares with a publication, in its transaction.

    Args:
        conn: Within the transaction; the views are moved, the publication and its relations are written down.
        folder: The folder of declarations.
        publication: Its number.
        revisions: Days (MM-DD) from which a revision is due; None for a return to an older publication, at which marts
            with suppressed cells stay as they were given out.
        by: Who publishes.

    Returns:
        What the check said; nothing where it failed, which is logged and stops no publication.
    """
    try:
        with conn.transaction():
            if revisions is not None:
                release.publish(conn, publication, lineage.read(conn, publication), revisions)
            verdicts = check(conn, folder, by)
            for verdict in verdicts:
                if verdict.state == "open" and verdict.version is not None:
                    register.add_step(
                        conn, verdict.name, verdict.version, "published", by, {"publication": publication}
                    )
            return verdicts
    except LOCK_ERRORS:
        raise  # the publication tries again
    except (psycopg.Error, OSError):
        _log.exception("The shares stay as they were before publication %s", publication)
        return []


@dataclass(frozen=True)
class Notice:
    """A share that ends soon."""

    name: str
    version: int
    valid_until: date
    days: int  # left


def notices(conn: psycopg.Connection) -> list[Notice]:
    """The open shares that end within thirty days, and those that end within seven: each is reported once."""
    day, found = register.today(conn), []
    for row in register.rows(conn):
        left = (row.valid_until - day).days if row.valid_until is not None else NOTICE_DAYS[0] + 1
        passed = [days for days in NOTICE_DAYS if left <= days]
        if row.state != "open" or left < 0 or not passed:
            continue
        cursor = conn.execute(
            "INSERT INTO ops.share_notice (name, version, days) SELECT %s, %s, d.days FROM unnest(%s::integer[])"
            " AS d (days) ON CONFLICT DO NOTHING",
            [row.name, row.version, passed],
        )
        if cursor.rowcount and row.valid_until is not None:
            found.append(Notice(row.name, row.version, row.valid_until, left))
    return found


def expire(conn: psycopg.Connection, by: str) -> list[ShareRow]:
    """End the shares whose last day is over; returns them. Their extracts are another matter (``outbox.remove_ended``).

    A declaration that was refused and that nobody ever approved stays so: it was no share yet, and may be mended.
    """
    day = register.today(conn)
    over = [
        row
        for row in register.rows(conn)
        if row.state in register.LIVE
        and row.valid_until is not None
        and row.valid_until < day
        and (row.state != "refused" or register.approvals(conn, row.name, row.version))
    ]
    for row in over:
        with conn.transaction():
            register.set_state(conn, row, "expired", [_expired(row)], by)
        if not _is_served(conn, row.name):
            _close(conn, row.name)
    return [replace(row, state="expired") for row in over]


def revoke(conn: psycopg.Connection, name: str, reason: str, by: str) -> list[ShareRow]:
    """End a share at once, with the sessions of its logins; returns the versions that were not over yet.

    Raises:
        WarehouseError: There is no such share, or it has ended before.
    """
    with conn.transaction():
        locks.hold(conn, _LOCK)
        live = [row for row in register.rows(conn, name) if row.state in register.LIVE]
        if not live:
            raise WarehouseError(f"There is no share {name} that could be revoked.")
        for row in live:
            revoked = ShareFinding(ShareCode.REVOKED, reason)
            register.set_state(conn, row, "revoked", [revoked], by, {"reason": reason})
        logins.end(conn, name)
    _close(conn, name)
    return live


def _is_served(conn: psycopg.Connection, name: str) -> bool:
    return any(row.state == "open" for row in register.rows(conn, name))


def _close(conn: psycopg.Connection, name: str) -> None:
    """End logins and sessions of a share, then drop its schema and group role."""
    with conn.transaction():
        logins.end(conn, name)
    logins.end_sessions(conn, name)
    with conn.transaction():
        views.remove(conn, name)
