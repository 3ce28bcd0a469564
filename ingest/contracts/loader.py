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
    CLASSIFICATIONS,
    DIRECT_IDENTIFIER,
    FREE_TEXT,
    INTEGER_BITS,
    ROLE_KINDS,
    SOURCE_FILE,
    CodeList,
    Column,
    ContractError,
    Contracts,
    Feed,
    Kind,
    OrderRule,
    Role,
    SignRule,
    Source,
    SumRule,
    TogetherRule,
    header_key,
)
from ingest.contracts.properties import (
    RULES,
    CodeListProperties,
    ColumnProperties,
    ContractProperties,
    DescriptionProperties,
    FeedProperties,
    Group,
    OrderProperties,
    SignProperties,
    SourceProperties,
    SumProperties,
    TogetherProperties,
    validate,
)

#: The folder of the code lists, beside the folders of the sources, and its file of their names.
CODES = "codes"
LISTS = "_lists.yaml"

_SPELLED = ("code", "label", "label_en", "spellings")
#: SQL types of the kinds that have exactly one.
_TYPES = {Kind.DATE: "date", Kind.MONTH: "date", Kind.DATETIME: "timestamp", Kind.FLAG: "boolean"}
_DAYS = frozenset({Kind.DATE, Kind.MONTH})
_NUMERIC = frozenset({Kind.INTEGER, Kind.NUMBER, Kind.MONEY})
#: Sums are computed in hundredths, in 64 bits.
_HIGHEST_SUM = Decimal(2**63 - 1)

# The parser written in C takes a tenth of the time where PyYAML was built with it.
_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_contracts(root: Path) -> Contracts:
    """Reads ``<root>/<source>/<feed>.yaml`` and ``_source.yaml``, and ``<root>/codes/*.csv``."""
    code_lists = read_code_lists(root / CODES)
    sources = {path.parent.name: _source(path) for path in sorted(root.glob(f"*/{SOURCE_FILE}"))}
    feeds = {}
    for path in sorted(root.glob("*/[!_]*.yaml")):
        feed = read_feed(path, code_lists)
        feeds[feed.source, feed.name] = feed
        if feed.source not in sources:
            raise ContractError(f"{path.parent}: no {SOURCE_FILE}, which says who sends the feeds of this folder")
        if feed.required_in_snapshot and not sources[feed.source].snapshots:
            source_file = path.with_name(SOURCE_FILE)
            raise ContractError(f"{source_file}: the source has no snapshots, but {feed.name} is required in one")
    if not feeds:
        raise ContractError(f"no contract below {root}")
    return Contracts(feeds=feeds, code_lists=code_lists, source_files=sources)


def _source(path: Path) -> Source:
    try:
        return Source(name=path.parent.name, **validate(SourceProperties, _yaml(path)).model_dump())
    except (yaml.YAMLError, ValueError) as error:
        raise ContractError(f"{path}: {error}") from error


def read_code_lists(folder: Path) -> dict[str, CodeList]:
    """Reads every list of a folder, each with its entry in ``_lists.yaml``."""
    path = folder / LISTS
    try:
        listed = {name: validate(CodeListProperties, entry, name) for name, entry in (_yaml(path) or {}).items()}
    except (OSError, AttributeError, yaml.YAMLError, ValueError) as error:
        raise ContractError(f"{path}: {error}") from error
    files = {file.stem: file for file in sorted(folder.glob("*.csv"))}
    if unmatched := files.keys() ^ listed.keys():
        raise ContractError(f"{path}: {', '.join(sorted(unmatched))}: every list has a file and an entry here")
    return {name: read_code_list(file, listed[name]) for name, file in files.items()}


def read_code_list(path: Path, custom: CodeListProperties) -> CodeList:
    """Reads one list: columns ``code, label, label_en, spellings`` (separated by ``|``), and any further ones."""
    codes: dict[str, str] = {}
    spellings: dict[str, str] = {}
    extra: dict[str, dict[str, str]] = defaultdict(dict)
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if missing := set(_SPELLED) - set(rows.fieldnames or ()):
            raise ContractError(f"{path}: no column {', '.join(sorted(missing))}")
        types = {name: custom.types.get(name, "text") for name in rows.fieldnames or ()}
        if unknown := custom.types.keys() - types.keys():
            raise ContractError(f"{path.with_name(LISTS)}: {path.name} has no column {', '.join(sorted(unknown))}")
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
    return CodeList(
        name=path.stem,
        codes=codes,
        spellings=spellings,
        extra=dict(extra),
        label=custom.label,
        label_en=custom.label_en,
        standard=custom.standard,
        types=types,
    )


def read_feed(path: Path, code_lists: Mapping[str, CodeList]) -> Feed:
    """Reads one contract; the path of its file gives source and feed, which the contract must repeat."""
    try:
        contract = OpenDataContractStandard(**_yaml(path))
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
    of_contract = _custom(ContractProperties, contract.customProperties)
    of_feed = _custom(FeedProperties, schema.customProperties)
    if contract.description:
        _custom(DescriptionProperties, contract.description.customProperties)
    version = contract.version or ""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ValueError(f"version '{version}' is not semantic")
    columns = tuple(_column(item, code_lists) for item in schema.properties or [])
    feed = Feed(
        source=source,
        name=name,
        label=schema.businessName or name,
        kind=of_feed.kind,
        version=version,
        versions=of_contract.supported_major_versions or (int(version.split(".")[0]),),
        columns=columns,
        dropped=frozenset(header_key(text) for text in of_feed.dropped_columns),
        required_in_snapshot=of_feed.required_in_snapshot,
        tolerance=of_contract.rejected_share_tolerance,
        description=schema.description or "",
        description_zh=of_feed.description_zh,
        purpose=contract.description.purpose or "" if contract.description else "",
        retention=" ".join(
            f"{item.value} {item.unit}" for item in contract.slaProperties or [] if item.property == "retention"
        ),
        frequency="".join(
            f"P{item.value}{(item.unit or '')[:1].upper()}"
            for item in contract.slaProperties or []
            if item.property == "frequency"
        ),
        **_rules(schema.quality or [], {column.name: column for column in columns}),
    )
    _verify(feed)
    return feed


def _column(item: SchemaProperty, code_lists: Mapping[str, CodeList]) -> Column:
    name = item.name
    if name is None or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"'{name}' is no column name")
    custom = _custom(ColumnProperties, item.customProperties, name)
    options = item.logicalTypeOptions or {}
    sql_type = item.physicalType or "text"
    lowest, highest = type_bounds(sql_type)
    if custom.code_list is not None and custom.code_list not in code_lists:
        raise ValueError(f"{name}: no code list '{custom.code_list}'")
    if (custom.kind in {Kind.CODE, Kind.CERT_TYPE}) != (custom.code_list is not None):
        raise ValueError(f"{name}: a code has a code list, and nothing else has")
    if item.classification not in CLASSIFICATIONS:
        raise ValueError(f"{name}: its classification is none of {', '.join(CLASSIFICATIONS)}")
    return Column(
        name=name,
        label=item.businessName or name,
        kind=custom.kind,
        aliases=custom.aliases,
        required=bool(item.required),
        key=bool(item.primaryKey),
        personal=item.classification == DIRECT_IDENTIFIER,
        max_length=options.get("maxLength"),
        min_length=options.get("minLength"),
        pattern=_regular(options.get("pattern")),
        pattern_code=custom.pattern_code,
        minimum=_decimal(options.get("minimum"), lowest),
        maximum=_decimal(options.get("maximum"), highest),
        maximum_year=custom.maximum_year,
        may_lie_ahead=custom.may_lie_ahead,
        code_list=code_lists[custom.code_list] if custom.code_list else None,
        code_match=custom.code_match,
        other_code=custom.other_code,
        strip_leading_zeros=custom.strip_leading_zeros,
        default_zero=custom.default_zero,
        role=custom.role,
        uscc_first=_regular(custom.uscc_first),
        sql_type=sql_type,
        description=item.description or "",
        description_zh=custom.description_zh,
        sample=custom.sample,
        classification=item.classification,
    )


def _rules(quality: Iterable[DataQuality], columns: Mapping[str, Column]) -> dict[str, Any]:
    """The contract's quality rules that our engine runs; rules for other tools are left to them."""
    sums, orders, signs, together = [], [], [], []
    for item in quality:
        if item.type != "custom" or item.engine != "warehouse":
            continue
        rule = f"rule {item.name}"
        given = item.implementation
        if not isinstance(given, dict):
            raise TypeError(f"{rule}: implementation must be an object")
        if given.get("rule") not in RULES:
            raise ValueError(f"{rule}: '{given.get('rule')}' is no rule")
        match validate(RULES[given["rule"]], given, rule):
            case SumProperties() as custom:
                left, right = _signed(custom.left), _signed(custom.right)
                default = tuple(right) if custom.op == "<=" else ()
                if item.severity not in {"error", "warning"}:
                    raise ValueError(f"{rule}: its severity is neither error nor warning")
                sums.append(
                    SumRule(
                        name=item.name or "",
                        left=left,
                        right=right,
                        op=custom.op,
                        tolerance=custom.tolerance,
                        hard=item.severity == "error",
                        when_any=default if custom.when_any is None else custom.when_any,
                    )
                )
                used = {*left, *right, *sums[-1].when_any}
            case OrderProperties() as custom:
                orders.append(OrderRule(earlier=custom.earlier, later=custom.later))
                used = {custom.earlier, custom.later}
            case SignProperties() as custom:
                signs.append(SignRule(reversal_column=custom.reversal_column, columns=custom.columns))
                used = {custom.reversal_column, *custom.columns}
            case TogetherProperties() as custom:
                together.append(TogetherRule(columns=custom.columns))
                used = set(custom.columns)
        if unknown := used - columns.keys():
            raise ValueError(f"{rule}: unknown {', '.join(sorted(unknown))}")
    return {"sums": tuple(sums), "orders": tuple(orders), "signs": tuple(signs), "together": tuple(together)}


def _verify(feed: Feed) -> None:
    """What the engine relies on: a key, unambiguous headers, columns that rules and roles can be about."""
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
        if column.sql_type != _TYPES.get(column.kind, column.sql_type):
            raise ValueError(f"{column.name}: a {column.kind} is stored as {_TYPES[column.kind]}")
    if len(feed.by_name) != len(feed.columns):
        raise ValueError("a column name stands twice")
    _verify_persons(feed)
    _verify_free_texts(feed)
    _verify_roles(feed)
    _verify_rules(feed)


def _verify_persons(feed: Feed) -> None:
    for column in feed.columns:
        names_person = column.kind in {Kind.CERTNO, Kind.MOBILE} or column.role is Role.PERSON_NAME
        if names_person and not column.personal:
            raise ValueError(f"{column.name} names a person: its classification is {DIRECT_IDENTIFIER}")
    numbers = [column for column in feed.columns if column.kind is Kind.CERTNO]
    types = [column for column in feed.columns if column.kind is Kind.CERT_TYPE]
    if len(numbers) > 1 or [column.required for column in numbers] != [column.required for column in types]:
        raise ValueError("an identity number comes alone and with its document type, both required or neither")
    if not numbers and any(column.personal for column in feed.columns):
        raise ValueError("a direct identifier goes to the vault by the person's key: it needs an identity number")


def _verify_free_texts(feed: Feed) -> None:
    for column in feed.columns:
        listed = column.code_list.codes if column.code_list is not None else {}
        free = column.code_match == "free"
        if column.is_free_text != free:
            raise ValueError(f"{column.name}: a {FREE_TEXT} is a code with codeMatch free, and nothing else is")
        if free != (column.other_code is not None) or (free and column.other_code not in listed):
            raise ValueError(f"{column.name}: otherCode is a code of the list, with codeMatch free only")
        if free and column.key:
            raise ValueError(f"{column.name}: a {FREE_TEXT} is no part of the key")


def _verify_roles(feed: Feed) -> None:
    found: dict[Role, str] = {}
    for column in feed.columns:
        if column.role is None:
            continue
        if found.setdefault(column.role, column.name) != column.name:
            raise ValueError(f"both {found[column.role]} and {column.name} are the {column.role}")
        if column.kind not in ROLE_KINDS[column.role]:
            raise ValueError(f"{column.name}: a {column.kind} cannot be the {column.role}")
        if column.role is Role.SEX and (column.code_list is None or not {"1", "2"} <= column.code_list.codes.keys()):
            raise ValueError(f"{column.name}: the code list of the sex holds 1 (male) and 2 (female)")


def _verify_rules(feed: Feed) -> None:
    for rule in feed.sums:
        added = [feed.by_name[name] for name in {*rule.left, *rule.right}]
        for column in added:
            scale = re.search(r",\s*(\d+)\)$", column.sql_type)
            if column.kind not in _NUMERIC or (scale and int(scale[1]) > 2):
                raise ValueError(f"rule {rule.name}: {column.name} is no number of at most two decimals")
        most = sum(max(abs(end) for end in (c.minimum, c.maximum) if end is not None) * 100 for c in added)
        if most > _HIGHEST_SUM:
            raise ValueError(f"rule {rule.name}: its columns need a minimum and a maximum, sums may overflow")
    for order in feed.orders:
        kinds = {feed.by_name[order.earlier].kind, feed.by_name[order.later].kind}
        if not (kinds <= _DAYS or kinds == {Kind.DATETIME}):
            raise ValueError(f"{order.earlier} and {order.later} are not both dates, or both times")
    for group in feed.together:
        for name in group.columns:
            if feed.by_name[name].required:
                raise ValueError(f"{name} is required: it cannot be left out together with others")


def _yaml(path: Path) -> Any:
    return yaml.load(path.read_text("utf-8"), Loader=_YAML_LOADER)  # noqa: S506 - a safe loader


def _custom(group: type[Group], properties: Iterable[CustomProperty] | None, location: str = "") -> Group:
    return validate(group, {item.property or "": item.value for item in properties or []}, location)


def _signed(names: Iterable[str]) -> dict[str, int]:
    return {name.removeprefix("-"): -1 if name.startswith("-") else 1 for name in names}


def type_bounds(sql_type: str) -> tuple[Decimal | None, Decimal | None]:
    """Smallest and greatest number that a SQL type holds; None where the type has no bound."""
    if bits := INTEGER_BITS.get(sql_type):
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
