"""Texts in both languages: of states, of senders, and the two halves of a description."""

import csv
import re
from functools import cache
from pathlib import Path

from ingest.code_texts import Text
from warehouse.build import dbt

#: States of a package in the ledger, as words of a table.
STATES = {
    "received": Text(zh="未处理", en="Not decided"),
    "set_aside": Text(zh="已搁置", en="Set aside"),
    "accepted": Text(zh="已接收", en="Accepted"),
    "refused": Text(zh="已退回", en="Refused"),
    "duplicate": Text(zh="重复", en="Duplicate"),
    "superseded": Text(zh="已被取代", en="Superseded"),
    "withdrawn": Text(zh="已撤回", en="Withdrawn"),
}
SEVERITIES = {"critical": Text(zh="关键", en="Critical"), "warning": Text(zh="提示", en="Warning")}

_CHINESE = re.compile("[\u4e00-\u9fff]")
#: Where a sentence of the English half ends.
_END = re.compile(r"[.:;!?)][\"”’)]?\s+|\n")
_HERE = Path(__file__).parent


def state(status: str) -> str:
    """The state that a status of the ledger is shown as: those between arrival and decision are one."""
    return status if status in STATES else "received"


def halves(description: str) -> Text:
    """The two halves of a description, "English. 中文。", each without line breaks.

    A text in one language alone stands for both.
    """
    text = description.strip()
    found = _CHINESE.search(text)
    ends = [end.end() for end in _END.finditer(text, 0, found.start())] if found else []
    english, chinese = (text[: ends[-1]], text[ends[-1] :]) if ends else (text, text)
    return Text(en=" ".join(english.split()), zh=_joined(chinese))


def _joined(chinese: str) -> str:
    """Chinese text without line breaks: a blank stays only between two words of Latin letters."""
    text = " ".join(chinese.split())
    return re.sub(r"(?<=[\u3000-\u9fff\uff00-\uffef]) (?=[\u3000-\u9fff\uff00-\uffef])", "", text)


@cache
def regions() -> dict[str, Text]:
    """Names of provinces and of the country, by division code."""
    with (_HERE / "province_names.csv").open(encoding="utf-8", newline="") as file:
        english = {row["admdvs"]: row["name_en"] for row in csv.DictReader(file)}
    with (dbt.PROJECT / "seeds" / "division.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["level"] in ("province", "country")]
    return {row["admdvs"]: Text(zh=row["name"], en=english[row["admdvs"]]) for row in rows}


def region(code: str | None) -> Text:
    """Name of a province; its code where it has none, as of a sender that no list knows."""
    return regions().get(code or "", Text(zh=code or "—", en=code or "—"))
