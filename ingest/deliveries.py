"""From a package in the inbox to a checked delivery: its manifest, its archive, its files' hashes.

``check`` is the first step of a delivery's life. It looks at everything that can be known without reading a row and
raises ``DeliveryRefused`` with all it found, in words that tell the sender what to do.
"""

import copy
import datetime as dt
import hashlib
import json
import math
import re
import stat
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Any, Literal, Protocol

import pydantic

from ingest.contracts.model import Contracts
from ingest.errors import DeliveryCode, DeliveryRefused, Finding
from ingest.settings import Settings

with warnings.catch_warnings():  # the library's models shadow names of pydantic's and warn about it on import
    warnings.simplefilter("ignore", UserWarning)
    from dplib.models import Dialect as StandardDialect
    from dplib.models import Package as StandardPackage
    from dplib.models import Resource as StandardResource

MANIFEST = "datapackage.json"
MANIFEST_BYTES = 16 * 1024 * 1024  # a manifest of a hundred thousand files is smaller
MANIFEST_DEPTH = 32
CHUNK = 1024 * 1024

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


@dataclass(frozen=True)
class Checked:
    """A delivery whose package is whole. The mappings go from a resource's path to its local file, size and hash."""

    manifest: Manifest
    files: Mapping[str, Path]
    sizes: Mapping[str, int]
    sha256: Mapping[str, str]
    content_hash: str


class CheckRefused(DeliveryRefused):
    """A delivery refused by the check step.

    ``checked`` is there when the package itself is whole, so that its content is known although it is refused (an
    unknown feed, say): such a package takes its name.
    """

    def __init__(self, findings: list[Finding], checked: Checked | None = None) -> None:
        super().__init__(findings)
        self.checked = checked


# --------------------------------------------------------------------------------------------- the manifest's rules


#: Properties of the standard that nothing here reads. They may have any shape: the library's idea of them is narrower
#: than the standard's.
UNREAD = ("schema", "sources", "licenses", "contributors")


def _without_unread(given: Any) -> Any:
    return {key: value for key, value in given.items() if key not in UNREAD} if isinstance(given, dict) else given


class _Dialect(StandardDialect):
    header: pydantic.StrictBool = True
    headerRows: list[Annotated[pydantic.StrictInt, pydantic.Field(ge=1)]] = []  # noqa: N815, RUF012
    delimiter: Annotated[str, pydantic.Field(min_length=1, max_length=1, pattern=r"^[^\x00\r\n]$")] | None = None
    quoteChar: Annotated[str, pydantic.Field(min_length=1, max_length=1, pattern=r"^[^\x00\r\n]$")] = '"'  # noqa: N815


class _Resource(StandardResource):
    name: Annotated[str, pydantic.Field(min_length=1, max_length=200)]
    path: str
    feed: Annotated[str, pydantic.Field(min_length=1, max_length=200)] | None = None
    hash: Annotated[str, pydantic.Field(pattern=r"^(sha256|sm3):[0-9A-Fa-f]{64}$")]
    bytes: Annotated[pydantic.StrictInt, pydantic.Field(ge=0)] | None = None
    rows: Annotated[pydantic.StrictInt, pydantic.Field(ge=0)] | None = None
    dialect: _Dialect | None = None
    sheet: str | None = None
    amount_unit: Literal["yuan", "wanyuan"] = "yuan"

    _unread = pydantic.model_validator(mode="before")(_without_unread)


class _Package(StandardPackage):
    name: Annotated[str, pydantic.Field(pattern=NAME)]
    created: str
    source: str
    sender: Annotated[str, pydantic.Field(pattern=r"^[0-9]{6}$")]
    period: Annotated[str, pydantic.Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
    mode: Literal["snapshot", "delta"]
    contract_version: Annotated[str, pydantic.Field(pattern=SEMVER)]
    resources: Annotated[list[_Resource], pydantic.Field(min_length=1)]

    _unread = pydantic.model_validator(mode="before")(_without_unread)


def _refuse(code: DeliveryCode, message: str, path: str | None = None) -> CheckRefused:
    return CheckRefused([Finding(code, message, path)])


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


def parse_manifest(data: bytes) -> dict[str, Any]:
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


def _format(resource: _Resource) -> str | None:
    """The format by the ``format`` property, else by the file's ending; None when it is none of ours."""
    text = resource.format or PurePosixPath(resource.path).suffix[1:]
    return FORMATS.get(text.casefold())


def _dialect(resource: _Resource, file_format: str) -> Dialect:
    given = resource.dialect or _Dialect()
    sheet = file_format in ("xlsx", "xls")
    return Dialect(
        delimiter=given.delimiter or ("," if file_format == "csv" else "\t"),
        quote_char=given.quoteChar,
        header=given.header,
        header_rows=tuple(given.headerRows) or (() if sheet else (1,)),
    )


def _dialect_problem(resource: _Resource, dialect: Dialect) -> str | None:
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


def _read_manifest(
    raw: dict[str, Any], contracts: Contracts, now: dt.datetime
) -> tuple[Manifest | None, list[Finding], list[_Resource]]:
    """Apply the rules of the manifest.

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
    if package.source not in contracts.sources:
        findings.append(Finding(bad, f"source is {package.source!r:.60}; it must be {', '.join(contracts.sources)}"))
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


def _salvage(raw: dict[str, Any]) -> list[_Resource]:
    """The resources that are well described in a manifest that as a whole is not."""
    listed = raw.get("resources")
    resources = []
    for entry in listed if isinstance(listed, list) else []:
        try:
            resources.append(_Resource.model_validate(copy.deepcopy(entry)))
        except pydantic.ValidationError:
            if isinstance(entry, dict) and isinstance(entry.get("path"), str):
                # enough to say whether the path is safe and the file there
                resources.append(_Resource.model_construct(name="", path=entry["path"], hash="", bytes=None))
    return resources


def _contract_findings(manifest: Manifest, contracts: Contracts) -> list[Finding]:
    """Unknown feeds, unsupported versions, required feeds that are not there."""
    findings = []
    major = int(manifest.contract_version.split(".", 1)[0])
    known = {feed.name: feed for feed in contracts.of_source(manifest.source)}
    for resource in manifest.resources:
        feed = known.get(resource.feed)
        if feed is None:
            text = f"{resource.feed!r:.60} is no feed of {manifest.source}; it has {', '.join(known)}"
            findings.append(Finding(DeliveryCode.FEED, text, resource.path))
        elif major not in feed.versions:
            versions = ", ".join(f"{version}.x" for version in feed.versions)
            text = f"contract_version {manifest.contract_version}: the contract of {feed.name} supports {versions}"
            findings.append(Finding(DeliveryCode.VERSION, text, resource.path))
    if manifest.mode == "snapshot":
        present = {resource.feed for resource in manifest.resources}
        for feed in known.values():
            if feed.required_in_snapshot and feed.name not in present:
                text = f"a {manifest.source} snapshot must hold the feed {feed.name}"
                findings.append(Finding(DeliveryCode.EMPTY, text))
    return findings


# ------------------------------------------------------------------------------------------------ folders and zips


class _Content(Protocol):
    """What a package holds, be it a folder or a zip."""

    def findings(self) -> list[Finding]:
        """What is wrong with the package as such."""

    def manifest(self) -> bytes:
        """The bytes of the manifest."""

    def bring(self, path: str, workdir: Path) -> Path | None:
        """A local copy of a file (or the file itself); None when the package has no such file."""


class _Folder:
    def __init__(self, root: Path) -> None:
        self.root = root

    def findings(self) -> list[Finding]:
        return []

    def _regular(self, path: str) -> Path | None:
        place = self.root
        for part in path.split("/"):
            place /= part
            try:
                mode = place.lstat().st_mode
            except (FileNotFoundError, NotADirectoryError):
                return None
            if stat.S_ISLNK(mode):
                raise _refuse(DeliveryCode.PATH, "it is a link; put the file itself into the package", path)
        if not stat.S_ISREG(mode):
            raise _refuse(DeliveryCode.PATH, "it is not a file", path)
        return place

    def manifest(self) -> bytes:
        place = self._regular(MANIFEST)
        if place is None:
            raise _refuse(DeliveryCode.MANIFEST, f"the package has no {MANIFEST}")
        with place.open("rb") as stream:
            return stream.read(MANIFEST_BYTES + 1)

    def bring(self, path: str, workdir: Path) -> Path | None:  # noqa: ARG002  a folder's file stays where it is
        return self._regular(path)


_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, RuntimeError, OverflowError)


@contextmanager
def _archive_errors() -> Iterator[None]:
    """Whatever a damaged archive makes the library raise is one finding."""
    try:
        yield
    except DeliveryRefused:
        raise
    except OSError as error:
        if error.errno is not None:  # our disk, not the archive
            raise
        raise _refuse(DeliveryCode.ARCHIVE, f"the archive is damaged: {error}; send it again") from None
    except Exception as error:
        # struct.error and lzma.LZMAError derive from Exception alone
        if isinstance(error, _ZIP_ERRORS) or type(error).__module__ in ("struct", "_lzma", "lzma"):
            raise _refuse(DeliveryCode.ARCHIVE, f"the archive is damaged: {error!s:.200}; send it again") from None
        raise


class _Zip:
    """A zip: nothing is written but the listed files, each under a name of ours, with its bytes counted."""

    def __init__(self, source: Path | IO[bytes], limits: Settings) -> None:
        if isinstance(source, Path):
            size = source.stat().st_size
        else:
            source.seek(0, 2)  # not every remote file says where it went
            size = source.tell()
        self.limit = min(size * limits.archive_ratio, limits.archive_bytes)
        self.limits = limits
        self.written = 0
        with _archive_errors():
            self.archive = zipfile.ZipFile(source)  # names without the UTF-8 flag come as cp437, byte for byte
        self.entries: dict[str, list[zipfile.ZipInfo]] = {}
        self.unsafe: list[Finding] = []
        self.encrypted = False
        for entry in self.archive.infolist():
            self.encrypted |= bool(entry.flag_bits & 0x1)
            names = _entry_names(entry)
            if reason := _unsafe_entry(entry, names):
                self.unsafe.append(Finding(DeliveryCode.PATH, f"archive entry: {reason}", entry.filename[:200]))
            for name in names:
                self.entries.setdefault(name, []).append(entry)
        self.bases = self._find_bases()

    def _find_bases(self) -> list[str]:
        """Where the package begins: at the top, or in the only folder (in each reading of its name); empty: nowhere."""
        if MANIFEST in self.entries:
            return [""]
        members: dict[str, set[int]] = {}
        for name, entries in self.entries.items():
            folder, slash, _ = name.partition("/")
            if slash and folder != "__MACOSX":
                members.setdefault(folder, set()).update(map(id, entries))
        inside = [folder for folder in members if f"{folder}/{MANIFEST}" in self.entries]
        # two folders, or one folder whose name can be read in two ways: then the one holds what the other holds
        widest = max((members[folder] for folder in inside), key=len, default=set())
        only = all(held <= widest for held in members.values())
        return [f"{folder}/" for folder in inside] if only else []

    def findings(self) -> list[Finding]:
        found = self.unsafe[:20]
        if self.encrypted:
            found.append(Finding(DeliveryCode.ARCHIVE, "the archive is encrypted; send it without a password"))
        return found

    def _entry(self, path: str) -> zipfile.ZipInfo | None:
        entries = next((self.entries[base + path] for base in self.bases if base + path in self.entries), [])
        if len(entries) > 1:
            raise _refuse(DeliveryCode.ARCHIVE, "the archive holds this file more than once", path)
        return None if not entries or entries[0].is_dir() else entries[0]

    def manifest(self) -> bytes:
        entry = self._entry(MANIFEST)
        if entry is None:
            text = f"the archive has no {MANIFEST} at its top or in its only folder"
            raise _refuse(DeliveryCode.MANIFEST, text)
        if self.encrypted:
            raise CheckRefused(self.findings())
        with _archive_errors(), self.archive.open(entry) as stream:
            return stream.read(MANIFEST_BYTES + 1)

    def bring(self, path: str, workdir: Path) -> Path | None:
        entry = self._entry(path)
        if entry is None:
            return None
        # a name of ours: what the archive calls it never reaches the file system
        target = workdir / f"{hashlib.sha256(path.encode()).hexdigest()[:32]}"
        try:
            with _archive_errors(), self.archive.open(entry) as source, target.open("wb") as sink:
                self._count(entry.file_size, 0, path)  # what the archive says of itself, before a byte is written
                while chunk := source.read(CHUNK):
                    self._count(0, len(chunk), path)
                    sink.write(chunk)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        return target

    def _count(self, announced: int, written: int, path: str) -> None:
        """Add to the bytes written; refuse when they, or they and the announced ones, pass the limit."""
        self.written += written
        if self.written + announced <= self.limit:
            return
        text = (
            f"the archive expands to more than {self.limits.archive_ratio} times its size or "
            f"{self.limits.archive_bytes} bytes; split the delivery or send a folder"
        )
        raise _refuse(DeliveryCode.ARCHIVE, text, path)


def _entry_names(entry: zipfile.ZipInfo) -> list[str]:
    """The names an entry may go by: Chinese Windows writes GBK without saying so, others UTF-8 without the flag."""
    name = entry.filename
    names = [name]
    if not entry.flag_bits & 0x800 and not name.isascii():
        names = []
        for encoding in ("gb18030", "utf-8"):
            try:
                names.append(entry.orig_filename.encode("cp437").decode(encoding))
            except (UnicodeDecodeError, UnicodeEncodeError):
                continue
        names = names or [name]
    # some programs write ./ before every name, and ./ itself as an entry
    plain = (re.sub(r"^(\./)+", "", text.replace("\\", "/")) for text in names)
    return [text for text in dict.fromkeys(plain) if text]


def _unsafe_entry(entry: zipfile.ZipInfo, names: Iterable[str]) -> str | None:
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "it is a link; put the file itself into the archive"
    if "\0" in entry.orig_filename:
        return "its name holds control characters"
    for name in names:
        if reason := unsafe_path(name.removesuffix("/")):
            return reason
    return None


# ------------------------------------------------------------------------------------------------------- the step


def _open(local: Path, is_zip: bool, limits: Settings) -> _Content:
    return _Zip(local, limits) if is_zip else _Folder(local)


def manifest_of_zip(source: Path | IO[bytes], limits: Settings) -> bytes:
    """The bytes of a zip's manifest; nothing else of it is read.

    Raises:
        DeliveryRefused: when it cannot be had.
    """
    return _Zip(source, limits).manifest()


def fallback_name(local: Path, is_zip: bool) -> str:
    """The name of a package whose manifest cannot be read: its folder, or its file without ``.zip``."""
    return local.name[:-4] if is_zip and local.name.lower().endswith(".zip") else local.name


def describe(local: Path, is_zip: bool, limits: Settings | None = None) -> dict[str, Any]:
    """What can be said of a package that may be refused.

    Returns a mapping with ``name`` (always), ``source``, ``sender``, ``period``, ``mode``, ``contract_version``,
    ``created`` (text as written, or None), ``created_at`` (an aware datetime or None) and ``manifest`` (the parsed
    manifest or None). Never raises for what a sender wrote.
    """
    raw: dict[str, Any] | None = None
    try:
        raw = parse_manifest(_open(local, is_zip, limits or Settings()).manifest())
    except (DeliveryRefused, ValueError, OSError):
        raw = None
    return described(raw, fallback_name(local, is_zip))


def described(raw: dict[str, Any] | None, fallback: str) -> dict[str, Any]:
    """The ledger's fields from a manifest of any shape; see ``describe``."""
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


def hash_file(path: Path, algorithms: Iterable[str]) -> tuple[dict[str, str], int]:
    """Hexadecimal digests of a file by several algorithms in one reading, and its size in bytes."""
    digests = {name: hashlib.new(name) for name in algorithms}
    size = 0
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            for digest in digests.values():
                digest.update(chunk)
    return {name: digest.hexdigest() for name, digest in digests.items()}, size


def content_hash(raw: dict[str, Any], sha256: Mapping[str, str]) -> str:
    """The identity of a content: SHA-256 over the parsed manifest and (path, sha256) of each listed file."""
    text = json.dumps([raw, sorted(sha256.items())], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def check(
    local: Path, is_zip: bool, workdir: Path, contracts: Contracts, settings: Settings, now: dt.datetime
) -> Checked:
    """The check step: manifest, paths, archive, presence, hashes, sizes, feeds, contract versions.

    Args:
        local: the folder or zip on this machine; it is only read.
        is_zip: whether ``local`` is a zip.
        workdir: an empty folder of the caller's; listed files of a zip are extracted there.
        contracts: the feeds that exist.
        settings: the limits for archives.
        now: the receiving clock (aware).

    Raises:
        DeliveryRefused: (a ``CheckRefused``) with everything found.
    """
    package = _open(local, is_zip, settings)
    findings = package.findings()
    try:
        raw = parse_manifest(package.manifest())
    except ValueError as error:
        findings.append(Finding(DeliveryCode.MANIFEST, f"{MANIFEST} cannot be read: {error}"))
        raise CheckRefused(findings) from None
    except DeliveryRefused as refused:
        raise CheckRefused(findings + [item for item in refused.findings if item not in findings]) from None

    manifest, broken, entries = _read_manifest(raw, contracts, now)
    findings += broken
    files: dict[str, Path] = {}
    sizes: dict[str, int] = {}
    sha256: dict[str, str] = {}
    for entry in entries:
        if reason := unsafe_path(entry.path):
            text = f"the path is not plain: {reason}; it must be {RULES['path']}"
            findings.append(Finding(DeliveryCode.PATH, text, entry.path[:200]))
            continue
        try:
            place = files.get(entry.path) or package.bring(entry.path, workdir)
        except DeliveryRefused as refused:
            findings += [item for item in refused.findings if item not in findings]
            continue
        if place is None:
            text = "the manifest lists this file, the package does not hold it"
            findings.append(Finding(DeliveryCode.MISSING_FILE, text, entry.path))
            continue
        algorithm, _, expected = entry.hash.partition(":")
        digests, size = hash_file(place, {"sha256", algorithm} if algorithm else {"sha256"})
        files[entry.path], sizes[entry.path], sha256[entry.path] = place, size, digests["sha256"]
        if algorithm and digests[algorithm] != expected.lower():
            text = f"the file's {algorithm} is {digests[algorithm]}; the file or its hash is not what was sent"
            findings.append(Finding(DeliveryCode.HASH, text, entry.path))
        if entry.bytes is not None and entry.bytes != size:
            text = f"the file has {size} bytes, the manifest says {entry.bytes}"
            findings.append(Finding(DeliveryCode.BYTES, text, entry.path))

    checked = None
    if manifest is not None:
        whole = not findings
        findings += _contract_findings(manifest, contracts)
        if whole:
            checked = Checked(manifest, files, sizes, sha256, content_hash(raw, sha256))
    if findings or checked is None:
        raise CheckRefused(findings, checked)
    return checked
