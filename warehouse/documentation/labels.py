"""Short labels of columns, from the descriptions of the models (``English. 中文。``)."""

import re
from collections import Counter
from collections.abc import Callable, Iterable

_CHINESE = re.compile(r"[\u4e00-\u9fff][^，。；：（(]*")
_ENGLISH = re.compile(r"[^\u4e00-\u9fff]*?(?=[.;:](?:\s|$)|\(|[\u4e00-\u9fff]|$)")


def chinese(description: str) -> str:
    """The first phrase of the Chinese part of a description; empty where there is none."""
    found = _CHINESE.search(description)
    return found[0].strip() if found else ""


def english(description: str) -> str:
    """The first phrase of the English part of a description; empty where there is none."""
    found = _ENGLISH.match(description)
    return found[0].strip() if found else ""


def distinct(columns: Iterable[tuple[str, str]], label: Callable[[str], str]) -> list[str]:
    """A label for each column of a table, given as name and description.

    The name stands for a label that is missing, and behind one that several columns share.
    """
    labels = [(name, label(description) or name) for name, description in columns]
    counts = Counter(text for _, text in labels)
    return [text if counts[text] == 1 else f"{text} {name}" for name, text in labels]
