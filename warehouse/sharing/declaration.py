"""Declarations of shares: YAML files, one a share.

``declaration.schema.json`` is the only list of their keys.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonschema import Draft202012Validator, FormatChecker, TypeChecker, validators
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator

from ingest.settings import Settings
from warehouse.sharing.codes import ShareCode, ShareFinding

#: The declarations that come with the warehouse.
SHIPPED = Path(__file__).resolve().parents[1] / "shares"
#: A value in a filter.
Scalar = str | int | float | bool


@dataclass(frozen=True)
class Recipient:
    """The body that gets a share."""

    name: str
    uscc: str
    admdvs: str


@dataclass(frozen=True)
class Basis:
    """The legal basis of a share."""

    kind: str
    reference: str = ""
    number: str = ""
    on: date | None = None


@dataclass(frozen=True)
class RowFilter:
    """A filter as declared: a column, an operator, and one value or several."""

    column: str
    op: str
    value: Scalar | None = None
    values: tuple[Scalar, ...] | None = None

    @property
    def operands(self) -> tuple[Scalar, ...]:
        """The values, whether the file says ``value`` or ``values``."""
        single = () if self.value is None else (self.value,)
        return (*single, *(self.values or ()))


@dataclass(frozen=True)
class Declaration:
    """A share as its file declares it. ``content`` is the whole file as it was parsed."""

    name: str
    version: int
    title_zh: str
    title_en: str
    recipient: Recipient
    purpose: str
    purpose_text: str
    basis: Basis
    attribute: str
    resource: str
    columns: tuple[str, ...]
    rows: tuple[RowFilter, ...]
    persons: Literal["none", "pseudonym", "identified"]
    valid_from: date
    valid_until: date
    serve_as: Literal["view", "extract"]
    format: str | None  # csv, parquet; None of a view
    every: str | None  # month, quarter, once; None of a view
    retention_days: int
    onward: bool
    content: dict[str, Any] = field(compare=False, repr=False)

    @property
    def schema(self) -> str:
        """Schema of the resource."""
        return self.resource.partition(".")[0]

    @property
    def relation(self) -> str:
        """Name of the resource in its schema."""
        return self.resource.partition(".")[2]


@dataclass(frozen=True)
class DeclarationFile:
    """A file in the folder of declarations.

    ``name`` is the name of the file, ``version`` what the file says, if it says so. ``findings`` say what the JSON
    Schema refuses. ``draft`` is what the file declares, None where it is no mapping; ``broken`` are the keys that are
    missing or wrong: the draft has values in their place that mean nothing.
    """

    path: Path
    name: str
    hash: str
    version: int | None
    draft: Declaration | None
    findings: tuple[ShareFinding, ...] = ()
    broken: frozenset[str] = frozenset()

    @property
    def declaration(self) -> Declaration | None:
        """What the file declares; None where it cannot be read whole."""
        return None if self.broken else self.draft


class _Loader(yaml.SafeLoader):
    """YAML whose dates stay text, as the JSON Schema sees them, whose ``on`` is a word.

    Without repeated keys, and without aliases, by which a few lines could stand for gigabytes.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed", self.peek_event().start_mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} occurs twice", node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":bool"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


#: What a draft has in place of a key that is missing or wrong.
_STAND_INS: dict[str, Any] = {
    "share": "",
    "version": 1,
    "title": {"zh": "", "en": ""},
    "recipient": {"name": "", "uscc": "", "admdvs": ""},
    "purpose": {"code": "", "text": ""},
    "basis": {"kind": ""},
    "attribute": "conditional",
    "resource": "",
    "columns": [],
    "rows": [],
    "persons": "none",
    "valid": {"from": "0001-01-01", "until": "0001-01-01"},
    "serve": {"as": "view"},
    "retention_days": 1,
    "onward": False,
}


def _is_integer(_: TypeChecker, value: object) -> bool:
    """Whether a value is a whole number. JSON Schema takes 1.0 for one; YAML does not write whole numbers so."""
    return isinstance(value, int) and not isinstance(value, bool)


@cache
def _validator() -> Validator:
    text = resources.files(__package__).joinpath("declaration.schema.json").read_text(encoding="utf-8")
    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer)
    strict = validators.extend(Draft202012Validator, type_checker=types)
    return strict(json.loads(text), format_checker=FormatChecker())


def folder(settings: Settings) -> Path:
    """The folder of the declarations."""
    return settings.shares.absolute() if settings.shares is not None else SHIPPED


def load_all(folder: Path) -> list[DeclarationFile]:
    """The declarations in a folder, in name order. A folder that does not exist has none."""
    return [load(path) for path in sorted(folder.glob("*.yaml"))]


def load(path: Path) -> DeclarationFile:
    """Read one declaration. Never raises for what the file says."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        finding = ShareFinding(ShareCode.DECLARATION, f"the file cannot be read: {error.strerror}")
        return DeclarationFile(path, path.stem, "", None, None, (finding,))
    digest = hashlib.sha256(raw).hexdigest()

    try:
        content = _mapping(yaml.load(raw.decode("utf-8"), _Loader))  # noqa: S506 a subclass of SafeLoader
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        reason = f"the file cannot be read: {' '.join(str(error).split())}"
        return DeclarationFile(path, path.stem, digest, None, None, (ShareFinding(ShareCode.DECLARATION, reason),))
    errors = sorted(_validator().iter_errors(content), key=lambda error: list(map(str, error.absolute_path)))
    broken = frozenset(key for error in errors for key in _broken(error, content))
    return DeclarationFile(
        path,
        path.stem,
        digest,
        None if "version" in broken else content["version"],
        parse(content | {key: _STAND_INS[key] for key in broken}),
        tuple(ShareFinding(ShareCode.DECLARATION, message) for error in errors for message in _messages(error)),
        broken,
    )


def _broken(error: ValidationError, content: dict[str, Any]) -> set[str]:
    """The keys of a declaration that an error leaves without a value; an unknown key does not."""
    if error.validator == "additionalProperties":
        return set()
    return {str(error.absolute_path[0])} if error.absolute_path else _STAND_INS.keys() - content.keys()


def _mapping(content: object) -> dict[str, Any]:
    """The content of a file.

    Raises:
        TypeError, ValueError: It is no mapping, or the ledger cannot keep it: what is no JSON, and the character NUL.
    """
    if not isinstance(content, dict):
        raise TypeError("it is no mapping of keys to values")
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    text.encode("utf-8")
    if "\\u0000" in text:
        raise ValueError("the character NUL occurs in it")
    return content


def _messages(error: ValidationError) -> Iterator[str]:
    """What is wrong, with the place; of alternatives what is wrong with the one that was meant."""
    location = ".".join(str(part) for part in error.absolute_path)
    causes = [cause for cause in error.context or () if list(cause.relative_path) != ["as"]]
    if error.validator == "oneOf" and causes:
        for cause in causes:
            yield from _messages(cause)
        return
    yield f"{location}: {error.message}" if location else error.message


def parse(content: dict[str, Any]) -> Declaration:
    """The declaration of a content that the JSON Schema accepts (but for unknown keys)."""
    basis, valid, serve = content["basis"], content["valid"], content["serve"]
    day = basis.get("on")
    return Declaration(
        name=content["share"],
        version=int(content["version"]),
        title_zh=content["title"]["zh"],
        title_en=content["title"]["en"],
        recipient=Recipient(**{key: content["recipient"][key] for key in ("name", "uscc", "admdvs")}),
        purpose=content["purpose"]["code"],
        purpose_text=content["purpose"]["text"],
        basis=Basis(
            basis["kind"],
            basis.get("reference", ""),
            basis.get("number", ""),
            date.fromisoformat(day) if day else None,
        ),
        attribute=content["attribute"],
        resource=content["resource"],
        columns=tuple(content["columns"]),
        rows=tuple(_row_filter(row) for row in content.get("rows") or ()),
        persons=content["persons"],
        valid_from=date.fromisoformat(valid["from"]),
        valid_until=date.fromisoformat(valid["until"]),
        serve_as=serve["as"],
        format=serve.get("format"),
        every=serve.get("every"),
        retention_days=int(content["retention_days"]),
        onward=content["onward"],
        content=content,
    )


def _row_filter(row: dict[str, Any]) -> RowFilter:
    values = row.get("values")
    return RowFilter(row["column"], row["op"], row.get("value"), tuple(values) if values is not None else None)
