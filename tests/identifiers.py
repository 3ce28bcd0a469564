"""Identifiers of invented persons in every place where a sender may write one, and the search for them afterwards.

Their identity numbers have area codes (``pp99nn``) that were never issued, their telephone numbers begin with 1990000,
and their names have two characters that no other name has.
"""

import csv
import hashlib
import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import xlsxwriter
from psycopg import sql

from ingest.contracts.model import Column, Contracts, Feed, Kind, Role
from ingest.errors import RowCode
from ingest.synthetic import numbering
from ingest.validation.rules import CN, classes
from tests.packages import certno

#: What every planted name begins with.
MARK = "龘靐"
#: The sender's file of the first row that a delivery's rejected row comes from.
Row = dict[str, str]


@dataclass(frozen=True)
class Person:
    """An invented person; ``passport`` replaces the resident's number."""

    number: int
    has_passport: bool = False

    @property
    def certno(self) -> str:
        return f"PZ{7_000_000 + self.number}" if self.has_passport else certno(self.number)

    @property
    def old_certno(self) -> str:
        """The number of 15 digits that residents had until 1999."""
        return certno(self.number)[:6] + certno(self.number)[8:17]

    @property
    def phone(self) -> str:
        return f"1990000{self.number:04d}"

    @property
    def name(self) -> str:
        return MARK + "齉龗麤爩驫"[self.number % 5]

    @property
    def identifiers(self) -> tuple[str, ...]:
        return (self.certno, self.old_certno, self.phone, self.name)


# --- planting ----------------------------------------------------------------------------------------------------

#: How an identifier stands in a text: alone, or among other words.
Form = Callable[[Person], str]
NUMBERS: tuple[Form, ...] = (
    lambda person: person.certno,
    lambda person: f"{person.certno.lower()}号",
    lambda person: person.old_certno,
    lambda person: f"证{person.certno}",
)
NAMES: tuple[Form, ...] = (lambda person: person.name, lambda person: f"{person.name}的")
PHONES: tuple[Form, ...] = (lambda person: person.phone, lambda person: f"电话{person.phone}转")


def forms(feed: Feed, column: Column) -> Sequence[Form]:
    """What is planted in a column: whatever security.md promises to find there."""
    if column.personal or column.kind is Kind.USCC or column.has_form:
        return ()
    if column.is_free_text:
        return (*NUMBERS, *NAMES, *PHONES)
    if not column.takes_any_text:
        return ()
    found = [*NUMBERS]
    if column.kind in (Kind.TEXT, Kind.NAME):
        found += PHONES
    if feed.role(Role.PERSON_NAME) is not None:
        found += NAMES
    return [form for form in found if _fits(column, form)]


def _fits(column: Column, form: Form) -> bool:
    text = form(Person(1))
    return (column.max_length or 200) >= len(text) and column.code_match not in ("prefix", "first_two")


def planted(feed: Feed, row: Row, person: Person, turn: int) -> tuple[Row, list[str]]:
    """A row that is about the person and holds an identifier wherever it can; and the columns where it does.

    Args:
        feed: Its feed.
        row: A sound row.
        person: About whom it is, and whose identifiers stand in it.
        turn: Which of the forms of each column.
    """
    changed, columns = row | _about(feed, person), []
    for position, column in enumerate(feed.columns):
        possible = forms(feed, column)
        if person.has_passport and not column.is_free_text:  # a number without a check is found as the row's own
            possible = [form for form in possible if form is NUMBERS[0] or form in NAMES] if feed.has_person else ()
            if column.kind is Kind.NAME:
                possible = [form for form in possible if form in NAMES]
        if possible:
            changed[column.name] = possible[(turn + position) % len(possible)](person)
            columns.append(column.name)
    return changed, columns


def _about(feed: Feed, person: Person) -> Row:
    """The direct identifiers of the person, and nothing that contradicts them."""
    values: Row = {}
    for column in feed.columns:
        if column.kind is Kind.CERTNO:
            values[column.name] = person.certno
        elif column.kind is Kind.CERT_TYPE:
            chinese = [code for code, name in classes(column).items() if name == CN]
            values[column.name] = "08" if person.has_passport else chinese[0]
        elif column.kind is Kind.MOBILE:
            values[column.name] = person.phone
        elif column.role is Role.PERSON_NAME:
            values[column.name] = person.name
        elif column.role in (Role.SEX, Role.BIRTH_DATE) and not column.required:
            values[column.name] = ""
    return values


def spoiled(feed: Feed, row: Row, person: Person, turn: int) -> Row:
    """A row that is rejected: identifiers stand where a number, a date or a code belongs."""
    values = {}
    for position, column in enumerate(feed.columns):
        texts = person.identifiers
        values[column.name] = texts[(turn + position) % len(texts)]
    return row | values


def one_person_business(feed: Feed, row: Row, person: Person) -> Row | None:
    """A row about an employer that is a one-person business named after the person; None where no feed tells that."""
    code = numbering.credit_code(
        92, pl.Series([440102]).to_numpy(), pl.Series([600_000_000 + person.number]).to_numpy()
    )
    values: Row = {}
    for column in feed.columns:
        if column.role is Role.EMPLOYER:
            values[column.name] = code[0]
        elif column.role in (Role.EMPLOYER_NAME, Role.ORGANISATION_NAME) and not column.personal:
            values[column.name] = f"{person.name}餐饮店"
    return row | values if len(values) > 1 and any(c.role is Role.EMPLOYER for c in feed.columns) else None


# --- files and packages ------------------------------------------------------------------------------------------


@dataclass
class Package:
    """A package of a synthetic sender, read, to be changed and written again."""

    folder: Path
    manifest: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Package":
        folder = path
        if path.suffix == ".zip":
            folder = path.with_suffix("")
            shutil.unpack_archive(path, folder)
            path.unlink()
        return cls(folder, json.loads((folder / "datapackage.json").read_text("utf-8")))

    def feed(self, contracts: Contracts, entry: Mapping[str, Any]) -> Feed:
        return contracts.feeds[self.manifest["source"], entry.get("feed", entry["name"])]

    def rows(self, entry: Mapping[str, Any]) -> list[Row]:
        return list(csv.DictReader(io.StringIO((self.folder / entry["path"]).read_text("utf-8"))))

    def write_rows(self, entry: dict[str, Any], rows: Sequence[Row], kind: str, *more: str) -> None:
        """Replace a file by one of another format; ``more`` are the names of further columns."""
        (self.folder / entry["path"]).unlink()
        entry["path"] = f"{Path(entry['path']).stem}.{kind}"
        path = self.folder / entry["path"]
        frame = pl.DataFrame(rows).with_columns(pl.lit(text).alias(text) for text in more)
        if kind == "xlsx":
            entry["sheet"] = more[0] if more else "1"
            with xlsxwriter.Workbook(path) as book:
                sheet = book.add_worksheet(entry["sheet"])
                for number, cells in enumerate([frame.columns, *frame.iter_rows()]):
                    for position, cell in enumerate(cells):
                        sheet.write_string(number, position, cell or "")
        elif kind == "parquet":
            frame.write_parquet(path)
        else:
            frame.write_csv(path)
        self.hash_again(entry)

    def hash_again(self, entry: dict[str, Any]) -> None:
        data = (self.folder / entry["path"]).read_bytes()
        entry |= {"bytes": len(data), "hash": f"sha256:{hashlib.sha256(data).hexdigest()}"}

    def write(self, **changes: Any) -> None:
        self.manifest |= changes
        text = json.dumps(self.manifest, ensure_ascii=False)
        (self.folder / "datapackage.json").write_text(text, "utf-8")

    def copy(self, folder: Path) -> "Package":
        shutil.copytree(self.folder, folder)
        return Package(folder, json.loads(json.dumps(self.manifest)))


#: Numbers of passports and of other documents, as ``Person`` and the synthetic senders make them.
_OTHER_NUMBER = re.compile(r"PZ7[0-9]{6}|(?<![0-9A-Za-z])P[0-9]{9}(?![0-9])|字第[0-9]{8}号")


# --- searching ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Search:
    """Finds identifiers of planted and of synthetic persons in texts and bytes.

    Attributes:
        numbers: Identity numbers: of residents with 18 characters, and any others.
    """

    numbers: frozenset[str]

    @cached_property
    def _stems(self) -> frozenset[str]:
        return frozenset(number[:17] for number in self.numbers if len(number) == 18 and number[:17].isdigit())

    @cached_property
    def _old(self) -> frozenset[str]:
        return frozenset(stem[:6] + stem[8:] for stem in self._stems)

    @cached_property
    def _marks(self) -> re.Pattern[bytes]:
        """The mark of planted names as programs write it."""
        encoded = {MARK.encode(code) for code in ("utf-8", "gb18030", "utf-16-le", "utf-16-be")}
        read_as_others = {MARK.encode(code).decode("cp437").encode() for code in ("utf-8", "gb18030")}
        written = {json.dumps(MARK)[1:-1], MARK.encode().hex(), "".join(f"%{b:02X}" for b in MARK.encode())}
        written |= {
            "".join(f"&#{ord(c)};" for c in MARK),
            "".join(f"&#x{ord(c):x};" for c in MARK),
            repr(MARK.encode())[2:-1],
        }
        found = encoded | read_as_others | {text.encode() for text in written}
        return re.compile(b"|".join(map(re.escape, sorted(found))), re.IGNORECASE)

    def text(self, text: str) -> Iterator[str]:
        """What of a person stands in a text."""
        for run in re.finditer(r"[0-9]{15,}", text):
            digits = run[0]
            windows = range(len(digits) - 14)
            if any(digits[i : i + 17] in self._stems or digits[i : i + 15] in self._old for i in windows):
                yield digits
        for found in re.finditer(r"(?<![0-9A-Fa-f-])1990000[0-9]{4}(?![0-9A-Fa-f-])", text):
            yield found[0]
        for found in _OTHER_NUMBER.finditer(text):
            if found[0] in self.numbers:
                yield found[0]

    def bytes(self, data: bytes) -> Iterator[str]:
        """What of a person stands in bytes."""
        for found in self._marks.finditer(data):
            yield found[0].decode(errors="replace")
        yield from self.text(data.decode(errors="replace"))

    def everything(self, text: str) -> list[str]:
        """What of a person stands in a text, names included."""
        return sorted(set(self.bytes(text.encode(errors="surrogateescape"))))

    def file(self, path: Path) -> Iterator[str]:
        """What of a person stands in a file, in those that an archive holds, in their names, and in a Parquet table."""
        yield from self.bytes(path.name.encode(errors="surrogateescape"))
        if path.suffix == ".parquet":
            yield from self.everything(pl.read_parquet(path).write_csv())
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for entry in archive.infolist():
                    yield from self.bytes(entry.filename.encode() + archive.read(entry))
        else:
            yield from self.bytes(path.read_bytes())

    def folder(self, root: Path) -> dict[str, set[str]]:
        """By file below a folder what of a person stands in it."""
        found = {str(path.relative_to(root)): set(self.file(path)) for path in root.rglob("*") if path.is_file()}
        return {path: texts for path, texts in found.items() if texts}

    def database(self, conn: psycopg.Connection, without: Sequence[str] = ("vault",)) -> dict[str, set[str]]:
        """By column what of a person stands in any table of any schema, those of PostgreSQL itself included."""
        tables = conn.execute(
            "SELECT n.nspname, c.relname, a.attname FROM pg_attribute AS a INNER JOIN pg_class AS c ON a.attrelid = c.oid"
            " INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid WHERE c.relkind IN ('r', 'm', 'S')"
            " AND a.attnum > 0 AND NOT a.attisdropped AND n.nspname <> ALL(%s) AND n.nspname !~ '^pg_toast'"
            " ORDER BY 1, 2, a.attnum",
            [list(without)],
        ).fetchall()
        found: dict[str, set[str]] = {}
        for schema, table, column in tables:
            values = sql.SQL("SELECT DISTINCT {c}::text FROM {t} WHERE {c} IS NOT NULL").format(
                c=sql.Identifier(column), t=sql.Identifier(schema, table)
            )
            joined = "\n".join(value for (value,) in conn.execute(values))
            if texts := self.everything(joined):
                found[f"{schema}.{table}.{column}"] = set(texts)
        return found


def replaced_columns(conn: psycopg.Connection) -> set[tuple[str, str]]:
    """Landing table and column of every text that went to the vault."""
    rows = conn.execute("SELECT DISTINCT column_name FROM vault.text").fetchall()
    return {tuple(name.split(".", 1)) for (name,) in rows}  # type: ignore[misc]


def warned(conn: psycopg.Connection) -> set[str]:
    """The codes of warnings, with their columns."""
    rows = conn.execute("SELECT DISTINCT unnest(codes) FROM ops.row_warning").fetchall()
    return {code for (code,) in rows if code.startswith(RowCode.IDENTIFIER)}
