"""The manifest of a delivery: its schema, its rules, and the findings for a manifest that breaks them.

A manifest is a Frictionless Data Package with additional properties. ``parse`` reads its JSON, ``read`` applies the
rules and reports every broken rule.
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

from ingest import shown
from ingest.errors import DeliveryCode, Finding

with warnings.catch_warnings():  # the models of dplib shadow attributes of pydantic, which warns on import
    warnings.simplefilter("ignore", UserWarning)
    from dplib.models import Dialect as StandardDialect
    from dplib.models import Package as StandardPackage
    from dplib.models import Resource as StandardResource

MANIFEST = "datapackage.json"
MANIFEST_BYTES = 16 * 1024 * 1024  # more than a manifest of a hundred thousand files needs
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
    "gbk": "gb18030",  # files declared as GBK often have characters of GB18030, its superset
    "utf-16": "utf-16",
    "utf16": "utf-16",
}
#: Properties of a dialect that the readers support, or that do not affect reading.
DIALECT_PROPERTIES = {
    *("delimiter", "quoteChar", "header", "headerRows", "doubleQuote"),
    *("headerJoin", "profile", "title", "description"),
    *("csvddfVersion", "caseSensitiveHeader"),  # from older versions of the standard
}
#: Values of other properties that agree with what the readers do anyway.
ACCEPTED_VALUES = {"sheetNumber": (1,), "lineTerminator": ("\n", "\r\n", "\r")}
#: What each property must be, for the message to the sender.
RULES = {
    "name": "1 to 128 of the characters a-z 0-9 . _ -, the first a letter or digit, and hold no number of a person",
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

    ``index`` is its index in the manifest's list. ``header_rows`` of the dialect is empty for a sheet whose manifest
    does not declare them: the reader then searches for the header.
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

    @property
    def shown_path(self) -> str:
        """Its path as ledger, logs and pages show it."""
        return shown.path(self.path, self.index)


@dataclass(frozen=True)
class Manifest:
    """A valid manifest. ``created_date`` is the date as written, in the sender's UTC offset."""

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

    @property
    def shown_version(self) -> str | None:
        """The version of the contract as ledger and pages show it."""
        return shown.of_manifest("contract_version", self.contract_version)

    def to_ledger(self) -> dict[str, Any]:
        """The manifest as the ledger keeps it: what its rules know, without words of the sender's own."""
        return {
            "name": self.name,
            "created": self.created.isoformat(),
            "source": self.source,
            "sender": self.sender,
            "period": self.period,
            "mode": self.mode,
            "contract_version": self.shown_version or f"{self.contract_version.partition('.')[0]}.0.0",
            "resources": [_entry_of_ledger(resource) for resource in self.resources],
        }


def _entry_of_ledger(resource: Resource) -> dict[str, Any]:
    dialect = resource.dialect
    entry = {
        "name": f"{resource.feed}-{resource.index + 1}",
        "feed": resource.feed,
        "path": resource.shown_path,
        "format": resource.format,
        "encoding": resource.encoding,
        "amount_unit": resource.amount_unit,
        "hash": resource.hash,
        "bytes": resource.bytes,
        "rows": resource.rows,
        "dialect": {
            "delimiter": dialect.delimiter,
            "quoteChar": dialect.quote_char,
            "header": dialect.header,
            "headerRows": list(dialect.header_rows),
        },
        "sheet": None if resource.sheet is None else f"sheet {resource.index + 1}",
    }
    return {name: value for name, value in entry.items() if value is not None}


class _DeclaredPropertiesOnly(pydantic.BaseModel):
    """Validates only the properties that the class declares.

    Other properties may have any shape: dplib's models are stricter about them than the standard.
    """

    @pydantic.model_validator(mode="before")
    @classmethod
    def _drop_others(cls, given: Any) -> Any:
        declared = cls.__annotations__
        return {key: value for key, value in given.items() if key in declared} if isinstance(given, dict) else given


class _Dialect(StandardDialect):
    header: pydantic.StrictBool = True
    headerRows: list[Annotated[pydantic.StrictInt, pydantic.Field(ge=1)]] = []  # noqa: N815, RUF012
    delimiter: Annotated[str, pydantic.Field(min_length=1, max_length=1, pattern=r"^[^\x00\r\n]$")] | None = None
    quoteChar: Annotated[str, pydantic.Field(min_length=1, max_length=1, pattern=r"^[^\x00\r\n]$")] = '"'  # noqa: N815


class ResourceEntry(_DeclaredPropertiesOnly, StandardResource):
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


class _Package(_DeclaredPropertiesOnly, StandardPackage):
    name: Annotated[str, pydantic.Field(pattern=NAME)]
    created: str
    source: str
    sender: Annotated[str, pydantic.Field(pattern=r"^[0-9]{6}$")]
    period: Annotated[str, pydantic.Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
    mode: Literal["snapshot", "delta"]
    contract_version: Annotated[str, pydantic.Field(pattern=SEMVER)]
    resources: Annotated[list[ResourceEntry], pydantic.Field(min_length=1)]


def _unique_properties(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    repeated = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if repeated:
        known = repeated[0] if repeated[0] in RULES else "of some name"
        raise ValueError(f"a property ({known}) stands twice")
    return dict(pairs)


def _finite_number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too big")
    return value


def _reject_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


def _check_values(value: Any) -> None:
    """Refuse what PostgreSQL cannot store as JSON: deep nesting, NUL characters, lone surrogates."""
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
        ValueError: the bytes are not a JSON object that can be stored; the message is for the sender.
    """
    if len(data) > MANIFEST_BYTES:
        raise ValueError(f"it is longer than {MANIFEST_BYTES // 1024**2} MiB")
    try:
        value = json.loads(
            data.decode("utf-8-sig"),
            object_pairs_hook=_unique_properties,
            parse_constant=_reject_constant,
            parse_float=_finite_number,
        )
        _check_values(value)
    except RecursionError:
        raise ValueError(f"it is nested more than {MANIFEST_DEPTH} levels deep") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 (byte {error.start})") from None
    except UnicodeEncodeError:
        raise ValueError("a text holds half a character (a lone surrogate)") from None
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004  callers catch ValueError only
    return value


def unsafe_path(path: str) -> str | None:
    """Why a path must not be used, as a message; None for a plain relative path."""
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


def _format(resource: ResourceEntry) -> str | None:
    """The format by the ``format`` property, else by the file extension; None when it is not supported."""
    text = resource.format or PurePosixPath(resource.path).suffix[1:]
    return FORMATS.get(text.casefold())


def _dialect(resource: ResourceEntry, file_format: str) -> Dialect:
    given = resource.dialect or _Dialect()
    sheet = file_format in ("xlsx", "xls")
    return Dialect(
        delimiter=given.delimiter or ("," if file_format == "csv" else "\t"),
        quote_char=given.quoteChar,
        header=given.header,
        header_rows=tuple(given.headerRows) or (() if sheet else (1,)),
    )


def _dialect_problem(resource: ResourceEntry, dialect: Dialect) -> str | None:
    """The first property of a dialect that the readers do not support, so that they would read wrong values."""
    given = resource.dialect
    if dialect.delimiter == dialect.quote_char:
        return "delimiter and quoteChar are the same character"
    if given is not None:
        if not given.doubleQuote:
            return "a quote inside a field must be doubled (doubleQuote)"
        for key, value in given.model_dump(exclude_unset=True).items():
            # an empty value requests the default
            if (
                key not in DIALECT_PROPERTIES
                and value not in (None, False, "", [])
                and value not in ACCEPTED_VALUES.get(key, ())
            ):
                name = key if key in StandardDialect.model_fields else "a property"
                return f"{name} is not supported, only delimiter, quoteChar, header and headerRows are"
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
    """A finding for each invalid property, with the rule that it breaks."""
    findings: dict[str, Finding] = {}
    for problem in error.errors(include_url=False, include_context=False):
        names = [part for part in problem["loc"] if isinstance(part, str) and part in RULES]
        location = ".".join(
            str(part) for part in problem["loc"] if not str(part).startswith(("function", "list", "str"))
        )
        rule = RULES.get(names[-1], problem["msg"]) if names else problem["msg"]
        state = "is missing; it" if problem["type"] == "missing" else "is not of its form; it"
        findings.setdefault(location, Finding(DeliveryCode.MANIFEST, f"{location} {state} must be {rule}"))
    return list(findings.values())


def read(
    raw: dict[str, Any], sources: Sequence[str], now: dt.datetime
) -> tuple[Manifest | None, list[Finding], list[ResourceEntry]]:
    """Apply the rules of the manifest. ``sources`` are the existing sources, ``now`` is the current time (aware).

    Returns the manifest if it is valid (paths and feeds are checked elsewhere), the findings, and the valid resources,
    also of an invalid manifest, so that their files are checked in the same step.
    """
    try:
        package = _Package.from_dict(copy.deepcopy(raw))
    except pydantic.ValidationError as error:
        return None, _shape_findings(error), _valid_resources(raw)
    created = _created(package.created)
    findings = _delivery_findings(package, created, sources, now)
    resources: list[Resource] = []
    for index, entry in enumerate(package.resources):
        resource, problems = _resource(entry, index)
        findings += problems
        if resource is not None:
            resources.append(resource)
    findings += _repetition_findings(package.resources)
    if findings or created is None:
        return None, findings, package.resources
    manifest = Manifest(
        name=package.name,
        created=created,
        created_date=created.date(),
        source=package.source,
        sender=package.sender,
        period=package.period,
        month=dt.date(int(package.period[:4]), int(package.period[5:]), 1),
        mode=package.mode,
        contract_version=package.contract_version,
        resources=tuple(resources),
    )
    return manifest, findings, package.resources


def _delivery_findings(
    package: _Package, created: dt.datetime | None, sources: Sequence[str], now: dt.datetime
) -> list[Finding]:
    """Findings about the properties of the delivery as a whole: created, source, sender, period."""
    bad = DeliveryCode.MANIFEST
    findings: list[Finding] = []
    if shown.holds_number(package.name):
        findings.append(Finding(bad, f"name is not of its form; it must be {RULES['name']}"))
    if created is None:
        findings.append(Finding(bad, f"created is not of its form; it must be {RULES['created']}"))
    elif created - now > dt.timedelta(days=1):
        findings.append(Finding(bad, f"created ({package.created}) lies more than a day ahead of our clock"))
    if package.source not in sources:
        findings.append(Finding(bad, f"source is not known; it must be {', '.join(sources)}"))
    if package.sender == "100000":
        findings.append(Finding(bad, "sender is 100000, the whole country; it must be the sender's own division code"))
    year, month = int(package.period[:4]), int(package.period[5:])
    if year < 1:
        findings.append(Finding(bad, f"period is no month; it must be {RULES['period']}"))
    elif created is not None and (year, month) > (created.year, created.month):
        findings.append(Finding(bad, f"period ({package.period}) lies after the month of created"))
    return findings


def _resource(entry: ResourceEntry, index: int) -> tuple[Resource | None, list[Finding]]:
    """A resource with its defaults filled in (None without a known format and encoding), and its findings."""
    bad = DeliveryCode.MANIFEST
    findings = []
    file_format = _format(entry)
    encoding = ENCODINGS.get((entry.encoding or "utf-8").casefold().replace("_", "-"))
    if file_format is None:
        known = ", ".join(FORMATS)
        text = f"the format of the file is not known: give format, or an ending, of {known}"
        findings.append(Finding(bad, text, entry.path))
    if encoding is None:
        text = "encoding is not known; it must be utf-8, gb18030, gbk or utf-16"
        findings.append(Finding(bad, text, entry.path))
    if file_format is None or encoding is None:
        return None, findings
    dialect = _dialect(entry, file_format)
    if problem := _dialect_problem(entry, dialect):
        findings.append(Finding(bad, f"dialect: {problem}", entry.path))
    resource = Resource(
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
    return resource, findings


def _repetition_findings(entries: Sequence[ResourceEntry]) -> list[Finding]:
    """Findings for resources with the same name, or with the same path, feed and sheet."""
    keys_by_kind: list[tuple[str, list[tuple[str, object]]]] = [
        ("name", [(entry.name, ()) for entry in entries]),
        ("path", [(entry.path, (entry.feed or entry.name, entry.sheet)) for entry in entries]),
    ]
    return [
        Finding(DeliveryCode.MANIFEST, f"the {kind} of resource {keys.index(key) + 1} stands in {count} resources")
        for kind, keys in keys_by_kind
        for key, count in Counter(keys).items()
        if count > 1
    ]


def _valid_resources(raw: dict[str, Any]) -> list[ResourceEntry]:
    """The valid resources of an invalid manifest."""
    listed = raw.get("resources")
    resources = []
    for entry in listed if isinstance(listed, list) else []:
        try:
            resources.append(ResourceEntry.model_validate(copy.deepcopy(entry)))
        except pydantic.ValidationError:
            if isinstance(entry, dict) and isinstance(entry.get("path"), str):
                # enough to check whether the path is safe and the file exists
                resources.append(ResourceEntry.model_construct(name="", path=entry["path"], hash="", bytes=None))
    return resources


def summarise(raw: dict[str, Any] | None, fallback: str) -> dict[str, Any]:
    """What the ledger stores of a manifest of any shape, or of none (then the name is ``fallback``).

    Returns a mapping with ``name`` (always), ``source``, ``sender``, ``period``, ``mode``, ``contract_version`` (text
    where it has the form of it, else None), and ``created_at`` (an aware datetime or None). Never raises for what a
    sender wrote.
    """
    values = {key: value for key, value in (raw or {}).items() if isinstance(value, str)}
    summary: dict[str, Any] = {
        key: shown.of_manifest(key, values.get(key))
        for key in ("source", "sender", "period", "mode", "contract_version")
    }
    name = values.get("name", "")
    right = re.fullmatch(NAME[1:-1], name) and not shown.holds_number(name)
    summary["name"] = name if right else fallback
    summary["created_at"] = _created(values.get("created", ""))
    return summary
