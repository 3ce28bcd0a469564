"""The manifest of a delivery: its shape, its rules, and what can be told of one that breaks them.

A manifest is a Frictionless Data Package with properties of its own. ``parse`` reads its JSON, ``read`` applies the
rules and tells the sender of every one that is broken.
"""

import copy
import datetime as dt
import json
import math
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

import pydantic

from ingest.errors import DeliveryCode, Finding

with warnings.catch_warnings():  # the library's models shadow names of pydantic's and warn about it on import
    warnings.simplefilter("ignore", UserWarning)
    from dplib.models import Dialect as StandardDialect
    from dplib.models import Package as StandardPackage
    from dplib.models import Resource as StandardResource

MANIFEST = "datapackage.json"
MANIFEST_BYTES = 16 * 1024 * 1024  # a manifest of a hundred thousand files is smaller
MANIFEST_DEPTH = 32

NAME = r"^[a-z0-9][a-z0-9._-]{0,127}$"
SEMVER = (
    r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
    r"(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$"
)
INSTANT = re.compile(
    r"[0-9]{4}(-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?"
    r"|[0-9]{4}[Tt][0-9]{4}([0-9]{2}([.,][0-9]{1,9})?)?)"
    r"([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)"
)
FORMATS = {"csv": "csv", "tsv": "tsv", "txt": "txt", "xlsx": "xlsx", "xls": "xls", "parquet": "parquet"}
ENCODINGS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "gb18030": "gb18030",
    "gbk": "gb18030",  # what calls itself GBK often holds characters that only GB18030 has
    "utf-16": "utf-16",
    "utf16": "utf-16",
}
#: Properties of a dialect that are honoured, or say nothing about how to read.
DIALECT = {
    *("delimiter", "quoteChar", "header", "headerRows", "doubleQuote"),
    *("headerJoin", "profile", "title", "description"),
    *("csvddfVersion", "caseSensitiveHeader"),  # older programs write them
}
#: Values of others that ask for what is done anyway; a line may end in any of these ways.
UNASKED = {"sheetNumber": (1,), "lineTerminator": ("\n", "\r\n", "\r")}
#: What each property must be, for the message to the sender.
RULES = {
    "name": "1 to 128 of the characters a-z 0-9 . _ -, the first a letter or digit",
    "created": "an instant in ISO 8601 with its offset, such as 2026-10-03T08:15:00+08:00",
    "sender": "the six-digit division code of the sender, as text; 100000 is no sender",
    "period": "a month written YYYY-MM",
    "mode": "snapshot or delta",
    "contract_version": "a version of three numbers, such as 1.0.0",
    "resources": "a list with one entry for each file",
    "hash": "sha256: or sm3: and 64 hexadecimal digits, computed over the bytes of the file",
    "path": "the plain relative path of one file inside the package",
    "bytes": "the size of the file in bytes, a whole number",
    "rows": "the number of data rows, a whole number",
    "amount_unit": "yuan or wanyuan",
    "delimiter": "one character",
    "quoteChar": "one character",
    "headerRows": "a list of row numbers, counted from 1",
    "header": "true or false",
    "dialect": "an object with delimiter, quoteChar, header and headerRows",
}


@dataclass(frozen=True)
class Dialect:
    """How a text file is written; ``header_rows`` count from 1."""

    delimiter: str = ","
    quote_char: str = '"'
    header: bool = True
    header_rows: tuple[int, ...] = (1,)


@dataclass(frozen=True)
class Resource:
    """One file of a delivery, as its manifest describes it.

    ``index`` is its place in the manifest's list. ``header_rows`` of the dialect is empty for a sheet whose manifest
    does not name them: the reader then looks for the header.
    """

    name: str
    feed: str
    path: str
    format: str
    encoding: str = "utf-8"
    dialect: Dialect = field(default_factory=Dialect)
    sheet: str | None = None
    amount_unit: Literal["yuan", "wanyuan"] = "yuan"
    hash: str = ""
    bytes: int | None = None
    rows: int | None = None
    index: int = 0


@dataclass(frozen=True)
class Manifest:
    """A manifest that keeps the rules. ``created_date`` is the date as written, in the sender's own offset."""

    name: str
    created: dt.datetime
    created_date: dt.date
    source: str
    sender: str
    period: str
    month: dt.date
    mode: str
    contract_version: str
    resources: tuple[Resource, ...]
    raw: dict[str, Any]


class _OnlyOurs(pydantic.BaseModel):
    """Looks at the properties that the class names itself.

    What nothing here reads may have any shape: the library's idea of it is narrower than the standard's.
    """

    @pydantic.model_validator(mode="before")
    @classmethod
    def _leave_the_rest(cls, given: Any) -> Any:
        ours = cls.__annotations__
        return {key: value for key, value in given.items() if key in ours} if isinstance(given, dict) else given


class _Dialect(StandardDialect):
    header: pydantic.StrictBool = True
    headerRows: list[Annotated[pydantic.StrictInt, pydantic.Field(ge=1)]] = []  # noqa: N815, RUF012
    delimiter: Annotated[str, pydantic.Field(min_length=1, max_length=1, pattern=r"^[^\x00\r\n]$")] | None = None
    quoteChar: Annotated[str, pydantic.Field(min_length=1, max_length=1, pattern=r"^[^\x00\r\n]$")] = '"'  # noqa: N815


class Listed(_OnlyOurs, StandardResource):
    """An entry of a manifest's list of files, as written."""

    name: Annotated[str, pydantic.Field(min_length=1, max_length=200)]
    path: str
    feed: Annotated[str, pydantic.Field(min_length=1, max_length=200)] | None = None
    hash: Annotated[str, pydantic.Field(pattern=r"^(sha256|sm3):[0-9A-Fa-f]{64}$")]
    bytes: Annotated[pydantic.StrictInt, pydantic.Field(ge=0)] | None = None
    rows: Annotated[pydantic.StrictInt, pydantic.Field(ge=0)] | None = None
    format: str | None = None
    encoding: str | None = None
    dialect: _Dialect | None = None
    sheet: str | None = None
    amount_unit: Literal["yuan", "wanyuan"] = "yuan"


class _Package(_OnlyOurs, StandardPackage):
    name: Annotated[str, pydantic.Field(pattern=NAME)]
    created: str
    source: str
    sender: Annotated[str, pydantic.Field(pattern=r"^[0-9]{6}$")]
    period: Annotated[str, pydantic.Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
    mode: Literal["snapshot", "delta"]
    contract_version: Annotated[str, pydantic.Field(pattern=SEMVER)]
    resources: Annotated[list[Listed], pydantic.Field(min_length=1)]


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    doubled = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if doubled:
        raise ValueError(f"the property {doubled[0]!r:.60} stands twice")
    return dict(pairs)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:20]} is too big")
    return value


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


def _check_values(value: Any) -> None:
    """Refuse what a ledger cannot keep: too deep a nesting, NUL characters, halves of surrogate pairs."""
    stack = [(value, 1)]
    while stack:
        item, depth = stack.pop()
        if depth > MANIFEST_DEPTH:
            raise ValueError(f"it is nested more than {MANIFEST_DEPTH} levels deep")
        if isinstance(item, dict):
            stack.extend((part, depth + 1) for pair in item.items() for part in pair)
        elif isinstance(item, list):
            stack.extend((part, depth + 1) for part in item)
        elif isinstance(item, str):
            if "\0" in item:
                raise ValueError("a text holds the character U+0000")
            item.encode()  # UnicodeEncodeError, a ValueError, for a lone surrogate


def parse(data: bytes) -> dict[str, Any]:
    """The manifest's JSON object.

    Raises:
        ValueError: in words, when the bytes are no JSON object that can be kept.
    """
    if len(data) > MANIFEST_BYTES:
        raise ValueError(f"it is longer than {MANIFEST_BYTES // 1024**2} MiB")
    try:
        value = json.loads(
            data.decode("utf-8-sig"),
            object_pairs_hook=_no_duplicates,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
        _check_values(value)
    except RecursionError:
        raise ValueError(f"it is nested more than {MANIFEST_DEPTH} levels deep") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 (byte {error.start})") from None
    except UnicodeEncodeError:
        raise ValueError("a text holds half a character (a lone surrogate)") from None
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004  callers know one kind of error
    return value


def unsafe_path(path: str) -> str | None:
    """Why a path must not be followed, in words; None for a plain relative path."""
    if not path or len(path.encode(errors="replace")) > 4096:
        return "it is empty or too long"
    if any(ord(character) < 32 or ord(character) == 127 for character in path):
        return "it holds control characters"
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", path):
        return "it is a URL or names a drive"
    if "\\" in path:
        return "it holds a backslash; write / between folders"
    if path.startswith(("/", "~")):
        return "it is absolute"
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "it holds '.', '..' or an empty part"
    if any(len(part.encode(errors="replace")) > 255 for part in parts):
        return "a part of it is too long"
    return None


def _format(resource: Listed) -> str | None:
    """The format by the ``format`` property, else by the file's ending; None when it is none of ours."""
    text = resource.format or PurePosixPath(resource.path).suffix[1:]
    return FORMATS.get(text.casefold())


def _dialect(resource: Listed, file_format: str) -> Dialect:
    given = resource.dialect or _Dialect()
    sheet = file_format in ("xlsx", "xls")
    return Dialect(
        delimiter=given.delimiter or ("," if file_format == "csv" else "\t"),
        quote_char=given.quoteChar,
        header=given.header,
        header_rows=tuple(given.headerRows) or (() if sheet else (1,)),
    )


def _dialect_problem(resource: Listed, dialect: Dialect) -> str | None:
    """What in a dialect the reader could not honour: it would read other values than the sender wrote."""
    given = resource.dialect
    if dialect.delimiter == dialect.quote_char:
        return "delimiter and quoteChar are the same character"
    if given is not None:
        if not given.doubleQuote:
            return "a quote inside a field must be doubled (doubleQuote)"
        for key, value in given.model_dump(exclude_unset=True).items():
            # what asks for nothing asks for nothing else than what is done
            if key not in DIALECT and value not in (None, False, "", []) and value not in UNASKED.get(key, ()):
                return f"{key} is not supported, only delimiter, quoteChar, header and headerRows are"
    return None


def _created(text: str) -> dt.datetime | None:
    """The instant, or None when the text is not one."""
    if not INSTANT.fullmatch(text):
        return None
    try:
        instant = dt.datetime.fromisoformat(text.upper().replace(",", "."))
        instant.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None
    return instant


def _shape_findings(error: pydantic.ValidationError) -> list[Finding]:
    """One finding for each wrong property, with the rule it breaks."""
    findings: dict[str, Finding] = {}
    for problem in error.errors(include_url=False, include_context=False):
        names = [part for part in problem["loc"] if isinstance(part, str) and part in RULES]
        place = ".".join(str(part) for part in problem["loc"] if not str(part).startswith(("function", "list", "str")))
        rule = RULES.get(names[-1], problem["msg"]) if names else problem["msg"]
        state = "is missing; it" if problem["type"] == "missing" else f"is {problem['input']!r:.60}; it"
        findings.setdefault(place, Finding(DeliveryCode.MANIFEST, f"{place} {state} must be {rule}"))
    return list(findings.values())


def read(
    raw: dict[str, Any], sources: Sequence[str], now: dt.datetime
) -> tuple[Manifest | None, list[Finding], list[Listed]]:
    """Apply the rules of the manifest. ``sources`` are those that exist, ``now`` is the receiving clock (aware).

    Returns the manifest when it keeps them all (paths and feeds apart), the findings, and the resources that could
    be understood even where the rest could not, so that their files are looked at in the same step.
    """
    bad = DeliveryCode.MANIFEST
    try:
        package = _Package.from_dict(copy.deepcopy(raw))
    except pydantic.ValidationError as error:
        return None, _shape_findings(error), _salvage(raw)
    findings: list[Finding] = []
    created = _created(package.created)
    if created is None:
        findings.append(Finding(bad, f"created is {package.created!r:.60}; it must be {RULES['created']}"))
    elif created - now > dt.timedelta(days=1):
        findings.append(Finding(bad, f"created ({package.created}) lies more than a day ahead of our clock"))
    if package.source not in sources:
        findings.append(Finding(bad, f"source is {package.source!r:.60}; it must be {', '.join(sources)}"))
    if package.sender == "100000":
        findings.append(Finding(bad, "sender is 100000, the whole country; it must be the sender's own division code"))
    year, month_number = int(package.period[:4]), int(package.period[5:])
    if year < 1:
        findings.append(Finding(bad, f"period is {package.period}; it must be {RULES['period']}"))
    elif created is not None and (year, month_number) > (created.year, created.month):
        findings.append(Finding(bad, f"period ({package.period}) lies after the month of created"))

    resources: list[Resource] = []
    for index, entry in enumerate(package.resources):
        file_format = _format(entry)
        encoding = ENCODINGS.get((entry.encoding or "utf-8").casefold().replace("_", "-"))
        if file_format is None:
            known = ", ".join(FORMATS)
            text = f"the format of {entry.path!r:.60} is not known: give format, or an ending, of {known}"
            findings.append(Finding(bad, text, entry.path))
        if encoding is None:
            text = f"encoding is {entry.encoding!r:.60}; it must be utf-8, gb18030, gbk or utf-16"
            findings.append(Finding(bad, text, entry.path))
        if file_format is None or encoding is None:
            continue
        dialect = _dialect(entry, file_format)
        if problem := _dialect_problem(entry, dialect):
            findings.append(Finding(bad, f"dialect: {problem}", entry.path))
        resources.append(
            Resource(
                name=entry.name,
                feed=entry.feed or entry.name,
                path=entry.path,
                format=file_format,
                encoding=encoding,
                dialect=dialect,
                sheet=entry.sheet,
                amount_unit=entry.amount_unit,
                hash=entry.hash,
                bytes=entry.bytes,
                rows=entry.rows,
                index=index,
            )
        )
    named: list[tuple[str, list[tuple[str, object]]]] = [
        ("the name", [(entry.name, ()) for entry in package.resources]),
        ("the path", [(entry.path, (entry.feed or entry.name, entry.sheet)) for entry in package.resources]),
    ]
    for what, keys in named:
        for (key, _), count in Counter(keys).items():
            if count > 1:
                findings.append(Finding(bad, f"{what} {key!r:.60} stands in {count} resources"))
    if findings or created is None:
        return None, findings, package.resources
    manifest = Manifest(
        name=package.name,
        created=created,
        created_date=created.date(),
        source=package.source,
        sender=package.sender,
        period=package.period,
        month=dt.date(year, month_number, 1),
        mode=package.mode,
        contract_version=package.contract_version,
        resources=tuple(resources),
        raw=raw,
    )
    return manifest, findings, package.resources


def _salvage(raw: dict[str, Any]) -> list[Listed]:
    """The resources that are well described in a manifest that as a whole is not."""
    listed = raw.get("resources")
    resources = []
    for entry in listed if isinstance(listed, list) else []:
        try:
            resources.append(Listed.model_validate(copy.deepcopy(entry)))
        except pydantic.ValidationError:
            if isinstance(entry, dict) and isinstance(entry.get("path"), str):
                # enough to say whether the path is safe and the file there
                resources.append(Listed.model_construct(name="", path=entry["path"], hash="", bytes=None))
    return resources


def described(raw: dict[str, Any] | None, fallback: str) -> dict[str, Any]:
    """What the ledger keeps of a manifest of any shape, or of none (``fallback`` is the name then).

    Returns a mapping with ``name`` (always), ``source``, ``sender``, ``period``, ``mode``, ``contract_version``,
    ``created`` (text as written, or None), ``created_at`` (an aware datetime or None) and ``manifest`` (the parsed
    manifest or None). Never raises for what a sender wrote.
    """
    values = raw or {}
    told: dict[str, Any] = {
        key: value[:200] if isinstance(value := values.get(key), str) else None
        for key in ("source", "sender", "period", "mode", "contract_version", "created")
    }
    name = values.get("name")
    told["name"] = name if isinstance(name, str) and re.fullmatch(NAME[1:-1], name) else fallback
    told["created_at"] = _created(told["created"]) if told["created"] else None
    told["manifest"] = raw
    return told
