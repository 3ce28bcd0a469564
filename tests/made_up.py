"""Made-up contracts, and rows that keep what a contract says: what holds for every feed is tried on feeds that nobody has."""

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ingest.contracts import ROOT, Column, Feed, Kind
from tests.packages import certno

_TYPES = {
    Kind.DATE: ("date", "date"),
    Kind.MONTH: ("date", "date"),
    Kind.DATETIME: ("timestamp", "timestamp"),
    Kind.INTEGER: ("integer", "integer"),
    Kind.NUMBER: ("number", "numeric(8,2)"),
    Kind.MONEY: ("number", "numeric(16,2)"),
    Kind.FLAG: ("boolean", "boolean"),
}
_LABELS = "甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉戌亥"


def column(
    name: str,
    kind: str,
    *,
    required: bool = False,
    key: bool = False,
    classification: str = "internal",
    options: Mapping[str, Any] | None = None,
    **custom: Any,
) -> dict[str, Any]:
    """A column as a contract has it; ``custom`` are its custom properties."""
    logical, physical = _TYPES.get(Kind(kind), ("string", "text"))
    label = custom.pop("label", None)
    properties = {"kind": kind, "descriptionZh": "列。", **custom}
    return {
        "name": name,
        "businessName": label,
        "description": f"The {name}.",
        "logicalType": logical,
        "physicalType": physical,
        **({"logicalTypeOptions": dict(options)} if options else {}),
        **({"primaryKey": True} if key else {}),
        **({"required": True} if required or key else {}),
        "classification": classification,
        "customProperties": [{"property": one, "value": value} for one, value in properties.items()],
    }


def person(required: bool = True) -> list[dict[str, Any]]:
    """The columns of a person."""
    return [
        column("name", "name", required=required, classification="direct_identifier", role="person_name"),
        column("cert_type", "cert_type", required=required, classification="personal", codeList="cert_type"),
        column("certno", "certno", required=required, classification="direct_identifier"),
    ]


def rule(name: str, severity: str = "error", **implementation: Any) -> dict[str, Any]:
    """A rule as a contract has it."""
    return {
        "name": name,
        "type": "custom",
        "engine": "warehouse",
        "severity": severity,
        "implementation": {"rule": implementation.pop("kind"), **implementation},
    }


def write_feed(
    root: Path,
    source: str,
    name: str,
    columns: Sequence[Mapping[str, Any]],
    *,
    kind: str = "events",
    rules: Sequence[Mapping[str, Any]] = (),
    tolerance: str = "0.05",
    dropped: Sequence[str] = (),
    **of_feed: Any,
) -> None:
    """Write a contract below a folder of contracts."""
    labelled = [
        {**one, "businessName": one["businessName"] or f"{_LABELS[number]}列"} for number, one in enumerate(columns)
    ]
    contract = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": f"made-up.{source}.{name}",
        "name": f"{source}.{name}",
        "version": "1.0.0",
        "status": "active",
        "domain": source,
        "description": {"purpose": "Nothing but tests."},
        "schema": [
            {
                "name": name,
                "physicalName": f"{source}_{name}",
                "physicalType": "table",
                "logicalType": "object",
                "businessName": "样例",
                "description": "A made-up feed.",
                "customProperties": [
                    {"property": "kind", "value": kind},
                    {"property": "descriptionZh", "value": "样例数据。"},
                    {"property": "droppedColumns", "value": list(dropped)},
                    *({"property": one, "value": value} for one, value in of_feed.items()),
                ],
                "quality": list(rules),
                "properties": labelled,
            }
        ],
        "slaProperties": [{"property": "retention", "value": 10, "unit": "year"}],
        "customProperties": [{"property": "rejectedShareTolerance", "value": tolerance}],
    }
    (root / source).mkdir(exist_ok=True)
    (root / source / f"{name}.yaml").write_text(yaml.safe_dump(contract, allow_unicode=True, sort_keys=False), "utf-8")


def write_source(root: Path, source: str, *, snapshots: bool = False) -> None:
    """Write who sends a source."""
    (root / source).mkdir(exist_ok=True)
    said = {"title": "Made up", "titleZh": "样例", "sender": "tests", "senderZh": "测试", "snapshots": snapshots}
    (root / source / "_source.yaml").write_text(yaml.safe_dump(said, allow_unicode=True), "utf-8")


def write_list(root: Path, name: str, codes: Mapping[str, str]) -> None:
    """Write a code list: Chinese labels by code."""
    lines = ["code,label,label_en,spellings", *(f"{code},{label},{code}," for code, label in codes.items())]
    (root / "codes" / f"{name}.csv").write_text("\n".join(lines) + "\n", "utf-8")
    with (root / "codes" / "_lists.yaml").open("a", encoding="utf-8") as file:
        file.write(f"{name}: {{label: 样例, labelEn: made up, standard: none}}\n")


def copy_of_contracts(folder: Path) -> Path:
    """The contracts of the project, to be added to."""
    return Path(shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__")))


def usual_row(feed: Feed, number: int = 1) -> dict[str, str]:
    """A row in the usual form that breaks no rule, except where a sum of columns has to equal others."""
    left_out = {sign.reversal_column for sign in feed.signs}
    values = {one.name: _usual(one, number) for one in feed.columns if one.name not in left_out}
    return {name: value for name, value in values.items() if value is not None}


def _usual(one: Column, number: int) -> str | None:
    if one.pattern is not None and one.kind is not Kind.MOBILE:
        return f"{one.name}{number}" if one.required else None
    if one.kind in {Kind.CODE, Kind.CERT_TYPE}:
        assert one.code_list is not None
        return next(iter(one.code_list.codes))
    if one.kind is Kind.USCC:
        known = ("91110000600037341L", "81110000MC0000001T")
        return next((code for code in known if re.match(one.uscc_first or "", code)), None)
    if one.kind in {Kind.INTEGER, Kind.NUMBER, Kind.MONEY}:
        return str(max(1, int(one.minimum or 0)) if one.maximum is None or one.maximum >= 1 else one.maximum)
    return {
        Kind.TEXT: "某文本",
        Kind.NAME: "某名称",
        Kind.IDENTIFIER: f"{one.name[:8]}{number}",
        Kind.DIVISION: "440100",
        Kind.CERTNO: certno(number),
        Kind.MOBILE: "13800000000",
        Kind.DATE: "2026-01-02",
        Kind.MONTH: "202601",
        Kind.DATETIME: "2026-01-02 03:04:05",
        Kind.FLAG: "1",
    }[one.kind]
