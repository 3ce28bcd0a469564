"""Judges a declaration: all codes that hold, each with its sentence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import psycopg

from ingest.validation.identity_numbers import uscc_check
from warehouse.build.publish import STABLE
from warehouse.sharing import filters
from warehouse.sharing.codes import ShareCode, ShareFinding
from warehouse.sharing.declaration import Declaration, DeclarationFile, RowFilter
from warehouse.sharing.lineage import MONTH, PERSON_KEY, PublishedRelation
from warehouse.sharing.names import SHARE_NAME
from warehouse.sharing.policy import Policy

MAX_DAYS, MAX_DAYS_IDENTIFIED = 366, 92
BASIS_KINDS = ("statute", "agreement", "consent")
#: Of these columns at least one chooses the rows of a share of persons or cases.
SCOPES = ("sender", "admdvs", "insu_admdvs", "scheme_code", "org_code")
#: Columns that a share of a mart with suppressed cells may always filter on, beside its key.
OPEN_FILTERS = frozenset({MONTH, "sender", "admdvs"})
#: The keys of a declaration that a rule needs, and what it finds.
Rule = tuple[set[str], Iterator[ShareFinding]]
_ALLOWED_CLASSES = {
    "none": ("public", "internal"),
    "pseudonym": ("public", "internal", "personal", "health"),
    "identified": ("public", "internal", "personal", "health", "direct_identifier"),
}


@dataclass(frozen=True)
class Circumstances:
    """What a declaration is judged by, besides itself.

    ``relations`` is what is published, None where nothing is. ``others`` are the other shares that may be open beside
    this one.
    """

    conn: psycopg.Connection
    policy: Policy
    relations: dict[str, PublishedRelation] | None
    declared_on: date
    others: Sequence[Declaration] = field(default=())


def judge(file: DeclarationFile, given: Circumstances) -> list[ShareFinding]:
    """What is wrong with a declaration itself; its approvals and its state are another matter (``register``).

    A rule is left out where a key that it needs is broken.
    """
    findings = list(file.findings)
    declared = file.draft
    if declared is None:
        return findings
    relation = None
    if given.relations is None:
        findings.append(ShareFinding(ShareCode.PUBLICATION, "nothing is published yet"))
    elif "resource" not in file.broken:
        relation = given.relations.get(declared.resource)
    rules: list[Rule] = [
        ({"share"}, _name(file, declared)),
        ({"recipient"}, _recipient(declared)),
        ({"valid"}, _valid(declared, given.declared_on)),
        ({"onward"}, _onward(declared)),
        ({"purpose"}, _purpose(declared, given.policy)),
        ({"persons", "serve"}, _served(declared)),
        ({"basis", "rows"}, _basis(declared, relation)),
    ]
    if given.relations is not None:
        rules.append(({"resource", "purpose"}, _resource(declared, relation, given.policy)))
    if relation is not None:
        rules += _of_relation(declared, relation, given)
    return findings + [finding for keys, found in rules if not keys & file.broken for finding in found]


def _of_relation(declared: Declaration, relation: PublishedRelation, given: Circumstances) -> Iterator[Rule]:
    """What can be judged only where the resource is known."""
    yield {"columns", "persons", "purpose"}, _columns(declared, relation, given.policy)
    yield {"rows"}, _rows(declared, relation, given.conn)
    yield {"purpose"}, _sources(declared, relation, given.policy)
    yield {"persons"}, _persons(declared, relation)
    if relation.hides_small_cells:
        yield {"rows", "recipient"}, _small(declared, relation, given.others)


def _name(file: DeclarationFile, declared: Declaration) -> Iterator[ShareFinding]:
    if declared.name != file.name:
        yield ShareFinding(ShareCode.NAME, f"the file is named {file.name}, the share {declared.name}")
    elif not SHARE_NAME.fullmatch(declared.name):
        yield ShareFinding(ShareCode.NAME, f"{declared.name!r} is not 1 to 63 of a-z 0-9 -, first a letter or digit")


def _onward(declared: Declaration) -> Iterator[ShareFinding]:
    if declared.onward:
        yield ShareFinding(ShareCode.ONWARD, "a recipient may never pass data on: onward is false")


def _purpose(declared: Declaration, policy: Policy) -> Iterator[ShareFinding]:
    if declared.purpose not in policy.purposes:
        known = ", ".join(policy.purposes)
        yield ShareFinding(ShareCode.PURPOSE, f"{declared.purpose!r} is no purpose: one of {known}")


def _served(declared: Declaration) -> Iterator[ShareFinding]:
    if declared.persons != "none" and declared.serve_as == "view":
        yield ShareFinding(ShareCode.PERSONS, f"{declared.persons}: rows of persons are served as extracts only")


def _recipient(declared: Declaration) -> Iterator[ShareFinding]:
    if not is_uscc(declared.recipient.uscc):
        yield ShareFinding(
            ShareCode.RECIPIENT, f"{declared.recipient.uscc!r} is no unified social credit code: look at its digits"
        )


def is_uscc(text: str) -> bool:
    """Whether a text is a unified social credit code."""
    if len(text) != 18 or not text.isascii():
        return False
    return bool(uscc_check(np.frombuffer(text.encode(), dtype=np.uint8).reshape(1, 18))[0])


def _valid(declared: Declaration, declared_on: date) -> Iterator[ShareFinding]:
    days = (declared.valid_until - declared.valid_from).days + 1
    longest = MAX_DAYS_IDENTIFIED if declared.persons == "identified" else MAX_DAYS
    if days < 1:
        yield ShareFinding(ShareCode.VALID, "it ends before it begins")
    elif days > longest:
        yield ShareFinding(ShareCode.VALID, f"it lasts {days} days, at most {longest} are allowed")
    if declared.valid_until < declared_on:
        yield ShareFinding(
            ShareCode.VALID, f"it was over on {declared.valid_until}, before it was declared on {declared_on}"
        )


def _resource(declared: Declaration, relation: PublishedRelation | None, policy: Policy) -> Iterator[ShareFinding]:
    reason = policy.forbidden(declared.resource, "", declared.purpose)
    if relation is None or relation.schema not in STABLE:
        yield ShareFinding(
            ShareCode.RESOURCE, f"{declared.resource} is no published view of {', '.join(sorted(STABLE))}"
        )
    elif reason is not None:
        yield ShareFinding(
            ShareCode.RESOURCE, f"{declared.resource} is not shared for the purpose {declared.purpose}: {reason}"
        )


def _basis(declared: Declaration, relation: PublishedRelation | None) -> Iterator[ShareFinding]:
    basis = declared.basis
    if basis.kind not in BASIS_KINDS:
        yield ShareFinding(ShareCode.BASIS, f"{basis.kind!r} is not one of {', '.join(BASIS_KINDS)}")
    if not basis.reference.strip():
        yield ShareFinding(ShareCode.BASIS, "the reference is missing: the law, the agreement or the form of consent")
    if basis.kind == "agreement" and (not basis.number.strip() or basis.on is None):
        yield ShareFinding(ShareCode.BASIS, "an agreement has a number and the day it was signed on")
    if basis.kind == "consent" and not any(_asks_for_consent(row, relation) for row in declared.rows):
        yield ShareFinding(
            ShareCode.BASIS, "consent: a filter in rows must ask for the column of the resource that records it"
        )


def _asks_for_consent(row: RowFilter, relation: PublishedRelation | None) -> bool:
    known = relation is None or row.column in relation.by_name
    return known and "consent" in row.column and row.op in filters.CHOOSING and False not in row.operands


def _columns(declared: Declaration, relation: PublishedRelation, policy: Policy) -> Iterator[ShareFinding]:
    for name in declared.columns:
        column = relation.by_name.get(name)
        if column is None:
            yield ShareFinding(ShareCode.COLUMN, f"{name} is no column of {relation.relation}")
            continue
        if (reason := policy.forbidden(relation.relation, name, declared.purpose)) is not None:
            yield ShareFinding(ShareCode.COLUMN, f"{name} is never shared: {reason}")
        if column.classification not in _ALLOWED_CLASSES[declared.persons]:
            yield ShareFinding(
                ShareCode.COLUMN, f"{name} is of the class {column.classification}, which {declared.persons} excludes"
            )


def _rows(declared: Declaration, relation: PublishedRelation, conn: psycopg.Connection) -> Iterator[ShareFinding]:
    for row in declared.rows:
        if (problem := filters.problem(conn, row, relation.by_name)) is not None:
            yield ShareFinding(ShareCode.ROWS, problem)
    is_scoped = any(row.column in SCOPES and row.op in filters.CHOOSING for row in declared.rows)
    if relation.schema != "marts" and not is_scoped:
        yield ShareFinding(
            ShareCode.ROWS, f"a share of {relation.schema} needs a filter (= in prefix) on one of {', '.join(SCOPES)}"
        )


def _sources(declared: Declaration, relation: PublishedRelation, policy: Policy) -> Iterator[ShareFinding]:
    allowed = policy.purposes.get(declared.purpose)
    if allowed is None:
        return
    for source in relation.sources:
        if source not in allowed:
            yield ShareFinding(
                ShareCode.PURPOSE,
                f"{relation.relation} draws on {source}, whose data may not serve {declared.purpose}",
            )


def _persons(declared: Declaration, relation: PublishedRelation) -> Iterator[ShareFinding]:
    if declared.persons == "none" and relation.has_persons:
        yield ShareFinding(
            ShareCode.PERSONS,
            f"{relation.relation} has rows of persons; leaving {PERSON_KEY} out does not make them anonymous",
        )
    if declared.persons != "none" and not relation.has_persons:
        yield ShareFinding(ShareCode.PERSONS, f"{relation.relation} has no {PERSON_KEY}: its rows are of nobody")


def _small(declared: Declaration, relation: PublishedRelation, others: Sequence[Declaration]) -> Iterator[ShareFinding]:
    allowed = OPEN_FILTERS | set(relation.keys)
    for row in declared.rows:
        if row.column not in allowed:
            yield ShareFinding(
                ShareCode.SMALL, f"a filter on {row.column} could show a cell that {relation.relation} hides"
            )
    for other in others:
        same = other.resource == declared.resource and other.recipient.uscc == declared.recipient.uscc
        if same and other.name != declared.name and normalised(other.rows) != normalised(declared.rows):
            yield ShareFinding(
                ShareCode.SMALL,
                f"{other.name} gives the same recipient other rows of {relation.relation}: their difference could show "
                "a cell that each hides",
            )


def normalised(rows: Sequence[RowFilter]) -> frozenset[tuple[str, str, frozenset[object]]]:
    """Filters in a form in which equal ones are equal, whatever their order."""
    return frozenset((row.column, "in" if row.op == "=" else row.op, frozenset(row.operands)) for row in rows)
