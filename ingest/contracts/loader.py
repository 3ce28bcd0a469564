"""Contracts from their files: Open Data Contract Standard YAML and code lists become the dataclasses of ``model``."""

import csv
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from open_data_contract_standard.model import CustomProperty, DataQuality, OpenDataContractStandard, SchemaProperty
from pydantic import ValidationError

from ingest.contracts.model import (
    CodeList,
    Column,
    Contracts,
    Feed,
    Kind,
    OrderRule,
    SignRule,
    SumRule,
    header_key,
)
from ingest.errors import WarehouseError

#: The folder of the code lists, beside the folders of the sources.
CODES = "codes"
#: A column of this classification names a person: it goes to the vault and nowhere else.
DIRECT_IDENTIFIER = "direct_identifier"

_COLUMN_PROPERTIES = {
    "kind",
    "descriptionZh",
    "codeList",
    "codeMatch",
    "patternCode",
    "usccFirst",
    "maximumYear",
    "mayLieAhead",
    "stripLeadingZeros",
    "defaultZero",
    "aliases",
    "sample",
}
_FEED_PROPERTIES = {"kind", "descriptionZh", "requiredInSnapshot", "droppedColumns"}
_CONTRACT_PROPERTIES = {"supportedMajorVersions", "rejectedShareTolerance"}
_MATCHES = {"exact", "prefix", "open", "first_two"}
_INTEGER_BITS = {"smallint": 15, "integer": 31, "bigint": 63}

# The parser written in C takes a tenth of the time where PyYAML was built with it.
_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ContractError(WarehouseError):
    """A contract or code list that cannot be used; the message names the file and the place in it."""


def read_contracts(root: Path) -> Contracts:
    """Reads ``<root>/<source>/<feed>.yaml`` and ``<root>/codes/*.csv``."""
    code_lists = {path.stem: read_code_list(path) for path in sorted((root / CODES).glob("*.csv"))}
    feeds = {}
    for path in sorted(root.glob("*/*.yaml")):
        feed = read_feed(path, code_lists)
        feeds[feed.source, feed.name] = feed
    if not feeds:
        raise ContractError(f"no contract below {root}")
    return Contracts(feeds=feeds, code_lists=code_lists)


def read_code_list(path: Path) -> CodeList:
    """Reads one list: columns ``code, label, label_en, spellings`` (separated by ``|``), and any further ones."""
    codes: dict[str, str] = {}
    spellings: dict[str, str] = {}
    extra: dict[str, dict[str, str]] = defaultdict(dict)
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if missing := {"code", "label", "label_en", "spellings"} - set(rows.fieldnames or ()):
            raise ContractError(f"{path}: no column {', '.join(sorted(missing))}")
        for row in rows:
            code = row["code"]
            if code in codes:
                raise ContractError(f"{path}: code {code} stands twice")
            codes[code] = row["label"]
            for text in (code, row["label"], *filter(None, row["spellings"].split("|"))):
                key = unicodedata.normalize("NFKC", text).strip()
                if spellings.setdefault(key, code) != code:
                    raise ContractError(f"{path}: '{text}' means both {spellings[key]} and {code}")
            for name, value in row.items():
                if name not in {"code", "label", "spellings"} and value:
                    extra[name][code] = value
    return CodeList(name=path.stem, codes=codes, spellings=spellings, extra=dict(extra))


def read_feed(path: Path, code_lists: Mapping[str, CodeList]) -> Feed:
    """Reads one contract; its file's place gives source and feed, which the contract must repeat."""
    try:
        contract = OpenDataContractStandard(**yaml.load(path.read_text("utf-8"), Loader=_YAML_LOADER))  # noqa: S506 - safe
    except (yaml.YAMLError, ValidationError, TypeError) as error:
        raise ContractError(f"{path}: not a data contract: {error}") from error
    try:
        return _feed(contract, path.parent.name, path.stem, code_lists)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise ContractError(f"{path}: {error}") from error


def _feed(contract: OpenDataContractStandard, source: str, name: str, code_lists: Mapping[str, CodeList]) -> Feed:
    if contract.domain != source:
        raise ValueError(f"domain is '{contract.domain}', its folder '{source}'")
    if len(contract.schema_ or []) != 1 or contract.schema_[0].name != name:
        raise ValueError(f"the contract must hold one schema, '{name}'")
    schema = contract.schema_[0]
    of_contract = _custom(contract.customProperties, _CONTRACT_PROPERTIES)
    of_feed = _custom(schema.customProperties, _FEED_PROPERTIES)
    version = contract.version or ""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ValueError(f"version '{version}' is not semantic")
    columns = tuple(_column(item, code_lists) for item in schema.properties or [])
    feed = Feed(
        source=source,
        name=name,
        label=schema.businessName or name,
        kind=_one_of(of_feed["kind"], {"register", "events"}),
        version=version,
        versions=tuple(of_contract.get("supportedMajorVersions", [int(version.split(".")[0])])),
        columns=columns,
        dropped=frozenset(header_key(text) for text in of_feed.get("droppedColumns", [])),
        required_in_snapshot=of_feed.get("requiredInSnapshot", False),
        tolerance=Decimal(str(of_contract.get("rejectedShareTolerance", "0.05"))),
        description=schema.description or "",
        description_zh=of_feed.get("descriptionZh", ""),
        purpose=contract.description.purpose or "" if contract.description else "",
        retention=" ".join(
            f"{item.value} {item.unit}" for item in contract.slaProperties or [] if item.property == "retention"
        ),
        **_rules(schema.quality or [], {column.name: column for column in columns}),
    )
    _verify(feed)
    return feed


def _column(item: SchemaProperty, code_lists: Mapping[str, CodeList]) -> Column:
    custom = _custom(item.customProperties, _COLUMN_PROPERTIES)
    options = item.logicalTypeOptions or {}
    sql_type = item.physicalType or "text"
    lowest, highest = type_bounds(sql_type)
    listed = custom.get("codeList")
    if listed is not None and listed not in code_lists:
        raise ValueError(f"{item.name}: no code list '{listed}'")
    if item.name is None or not re.fullmatch(r"[a-z][a-z0-9_]*", item.name):
        raise ValueError(f"'{item.name}' is no column name")
    kind = Kind(custom["kind"])
    if (kind in {Kind.CODE, Kind.CERT_TYPE}) != (listed is not None):
        raise ValueError(f"{item.name}: a code has a code list, and nothing else has")
    return Column(
        name=item.name,
        label=item.businessName or item.name,
        kind=kind,
        aliases=tuple(custom.get("aliases", ())),
        required=bool(item.required),
        key=bool(item.primaryKey),
        personal=item.classification == DIRECT_IDENTIFIER,
        max_length=options.get("maxLength"),
        min_length=options.get("minLength"),
        pattern=_regular(options.get("pattern")),
        pattern_code=_one_of(custom.get("patternCode", "E_PATTERN"), {"E_PATTERN", "W_CODE_LOCAL", "W_MOBILE"}),
        minimum=_decimal(options.get("minimum"), lowest),
        maximum=_decimal(options.get("maximum"), highest),
        maximum_year=custom.get("maximumYear", False),
        may_lie_ahead=custom.get("mayLieAhead", False),
        code_list=code_lists[listed] if listed else None,
        code_match=_one_of(custom.get("codeMatch", "exact"), _MATCHES),
        strip_leading_zeros=custom.get("stripLeadingZeros", False),
        default_zero=custom.get("defaultZero", False),
        uscc_first=_regular(custom.get("usccFirst")),
        sql_type=sql_type,
        description=item.description or "",
        description_zh=custom.get("descriptionZh", ""),
        sample=custom.get("sample"),
        classification=item.classification or "internal",
    )


def _rules(quality: Iterable[DataQuality], columns: Mapping[str, Column]) -> dict[str, Any]:
    """The contract's quality rules that our engine runs; rules for other tools are left to them."""
    sums, orders, signs = [], [], []
    for rule in quality:
        if rule.type != "custom" or rule.engine != "warehouse":
            continue
        if not isinstance(rule.implementation, dict):
            raise TypeError(f"rule {rule.name}: implementation must be an object")
        given = dict(rule.implementation)
        match given.pop("rule", None):
            case "sum":
                sums.append(
                    SumRule(
                        name=rule.name or "",
                        left=_signed(given.pop("left")),
                        right=_signed(given.pop("right")),
                        op=_one_of(given.pop("op"), {"=", "<="}),
                        tolerance=Decimal(str(given.pop("tolerance", "0"))),
                        hard=_one_of(rule.severity, {"error", "warning"}) == "error",
                        when_any=tuple(given.pop("whenAny", ())),
                    )
                )
                used = {*sums[-1].left, *sums[-1].right, *sums[-1].when_any}
            case "order":
                orders.append(OrderRule(earlier=given.pop("earlier"), later=given.pop("later")))
                used = {orders[-1].earlier, orders[-1].later}
            case "sign":
                signs.append(SignRule(reversal_column=given.pop("reversalColumn"), columns=tuple(given.pop("columns"))))
                used = {signs[-1].reversal_column, *signs[-1].columns}
            case other:
                raise ValueError(f"rule {rule.name}: '{other}' is no rule")
        if unknown := (used - columns.keys()) | given.keys():
            raise ValueError(f"rule {rule.name}: unknown {', '.join(sorted(unknown))}")
    return {"sums": tuple(sums), "orders": tuple(orders), "signs": tuple(signs)}


def _verify(feed: Feed) -> None:
    """What the engine relies on: a key, unambiguous headers, an identity number with its type."""
    if not feed.keys or not all(column.required for column in feed.keys):
        raise ValueError("a feed needs key columns, and they are required")
    owner: dict[str, str] = {}
    for column in feed.columns:
        for text in (column.name, column.label, *column.aliases):
            key = header_key(text)
            if owner.setdefault(key, column.name) != column.name:
                raise ValueError(f"header '{text}' names both {owner[key]} and {column.name}")
            if key in feed.dropped:
                raise ValueError(f"header '{text}' of {column.name} is dropped")
    if len(feed.by_name) != len(feed.columns):
        raise ValueError("a column name stands twice")
    of_kind = [column.kind for column in feed.columns]
    if of_kind.count(Kind.CERTNO) > 1 or of_kind.count(Kind.CERTNO) != of_kind.count(Kind.CERT_TYPE):
        raise ValueError("an identity number comes alone and with its document type")


def _custom(properties: Iterable[CustomProperty] | None, known: set[str]) -> dict[str, Any]:
    values = {item.property or "": item.value for item in properties or []}
    if unknown := values.keys() - known:  # a misspelt rule must not be a rule that is silently missing
        raise ValueError(f"unknown custom property {', '.join(sorted(unknown))}")
    return values


def _signed(names: Iterable[str]) -> dict[str, int]:
    return {name.removeprefix("-"): -1 if name.startswith("-") else 1 for name in names}


def type_bounds(sql_type: str) -> tuple[Decimal | None, Decimal | None]:
    """Smallest and greatest number that a SQL type holds; None where it knows none."""
    if bits := _INTEGER_BITS.get(sql_type):
        return Decimal(-(2**bits)), Decimal(2**bits - 1)
    if match := re.fullmatch(r"numeric\((\d+),\s*(\d+)\)", sql_type):
        precision, scale = map(int, match.groups())
        greatest = Decimal(10**precision - 1).scaleb(-scale)
        return -greatest, greatest
    return None, None


def _decimal(value: Any, default: Decimal | None) -> Decimal | None:
    return default if value is None else Decimal(str(value))


def _regular(pattern: str | None) -> str | None:
    if pattern is not None:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"'{pattern}' is no regular expression: {error}") from error
    return pattern


def _one_of(value: Any, allowed: set[str]) -> Any:
    if value not in allowed:
        raise ValueError(f"'{value}' is not one of {', '.join(sorted(allowed))}")
    return value
