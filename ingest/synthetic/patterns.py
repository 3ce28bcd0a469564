"""Texts that match a regular expression: its parse tree is walked, and every choice in it is drawn."""

import re
import string
from collections.abc import Iterable
from re import _parser  # type: ignore[attr-defined]  # the standard library's own parser of expressions
from typing import Any

import polars as pl

from ingest.errors import WarehouseError
from ingest.synthetic.draws import Draws, Index
from ingest.synthetic.world import choose, constant, one_of

#: Where a repetition has no upper bound, at most so many more than its lower bound.
_MORE = 6
_ALPHANUMERIC = string.digits + string.ascii_letters
_PRINTABLE = _ALPHANUMERIC + string.punctuation + " "
_CATEGORIES = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}


def matching(pattern: str, draws: Draws, purpose: str, index: Index) -> pl.Series:
    """Texts that match the whole of an expression, one per element of ``index``.

    Raises:
        WarehouseError: The expression looks around or back. The engine that checks rows does not know these either.
    """
    try:
        return _sequence(_parser.parse(pattern), draws, purpose, index)
    except NotImplementedError as error:
        raise WarehouseError(f"no text can be drawn for '{pattern}': {error} is not supported") from error


def _sequence(tree: Iterable[tuple[Any, Any]], draws: Draws, purpose: str, index: Index) -> pl.Series:
    text = constant("", index)
    for number, (operation, given) in enumerate(tree):
        text = text + _piece(str(operation), given, draws, f"{purpose}/{number}", index)
    return text


def _piece(operation: str, given: Any, draws: Draws, purpose: str, index: Index) -> pl.Series:
    match operation:
        case "AT":  # an anchor matches no character
            return constant("", index)
        case "SUBPATTERN":
            return _sequence(given[-1], draws, purpose, index)
        case "BRANCH":
            branches = [
                _sequence(branch, draws, f"{purpose}.{number}", index) for number, branch in enumerate(given[1])
            ]
            return one_of(draws.below(purpose, index, len(branches)), *branches)
        case "MAX_REPEAT" | "MIN_REPEAT":
            least, most, repeated = given
            most = min(int(most), least + _MORE)
            turns = least + draws.below(purpose, index, most - least + 1)
            text = constant("", index)
            for turn in range(most):
                longer = text + _sequence(repeated, draws, f"{purpose}.{turn}", index)
                text = longer.zip_with(pl.Series(turn < turns), text)
            return text
        case "LITERAL" | "NOT_LITERAL" | "ANY" | "IN":
            characters = _characters(operation, given)
            return choose(characters, draws.below(purpose, index, len(characters)))
    raise NotImplementedError(operation)


def _characters(operation: str, given: Any) -> list[str]:
    """The characters that match at one position; of a negated set only letters and digits, where it has any."""
    if operation == "LITERAL":
        return [chr(given)]
    members = {"NOT_LITERAL": [("LITERAL", given)], "ANY": []}.get(operation, given)
    listed: set[str] = set()
    negated = operation != "IN"
    for kind, value in members:
        match str(kind):
            case "NEGATE":
                negated = True
            case "LITERAL":
                listed.add(chr(value))
            case "RANGE":
                listed |= {chr(code) for code in range(value[0], value[1] + 1)}
            case "CATEGORY":
                listed |= {char for char in _PRINTABLE if re.match(_CATEGORIES[str(value)], char)}
            case other:
                raise NotImplementedError(other)
    if not negated:
        return sorted(listed)
    return [char for char in _ALPHANUMERIC if char not in listed] or [char for char in _PRINTABLE if char not in listed]
