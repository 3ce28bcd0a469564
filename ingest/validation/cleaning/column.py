"""A cleaned column, and what its cleaning depends on besides the contract."""

from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ingest.kernels.byte_column import Mask
from ingest.privacy.erased import NOBODY, Erased
from ingest.validation.constants import MONEY_DECIMALS


@dataclass(frozen=True)
class Context:
    """What the cleaning of a file's values depends on besides the contract."""

    created_date: date
    amount_unit: Literal["yuan", "wanyuan"] = "yuan"
    sheet: bool = False
    erased: Erased = NOBODY

    @property
    def money_decimals(self) -> int:
        """The decimal place of an amount that is one fen."""
        return MONEY_DECIMALS[self.amount_unit]


@dataclass
class Cleaned:
    """A cleaned column.

    ``text`` is what lands (null: no value), ``value`` the same in the type that rules and the content hash work on
    (money in cents, dates and months in days and date-times in seconds since 1970, else text; both null where the value
    is wrong), ``flags`` the rows of each row code that holds, without codes that hold nowhere.
    """

    text: pl.Series
    value: pl.Series
    flags: dict[str, Mask] = field(default_factory=dict)
    longest: int | None = None  # bytes of the longest text, where known; a longer estimate is allowed

    @property
    def wrong(self) -> Mask:
        """Rows whose value breaks a rule (not those where it is missing)."""
        return any_of([mask for code, mask in self.flags.items() if code.startswith("E_")], len(self.text))

    def flag(self, code: str, rows: Mask) -> None:
        """Note ``code`` for ``rows``."""
        if rows.any():
            self.flags[code] = self.flags[code] | rows if code in self.flags else rows

    def drop(self, rows: Mask) -> None:
        """Make the value of ``rows`` no value."""
        if rows.any():
            same = self.value is self.text
            self.text = blank(self.text, rows)
            self.value = self.text if same else blank(self.value, rows)

    def reject(self, code: str, rows: Mask) -> None:
        """Note ``code`` for ``rows``, which have no value then."""
        self.flag(code, rows)
        self.drop(rows)

    def spread(self, indices: NDArray[np.int64]) -> "Cleaned":
        """The result for all rows, from a result for distinct values: ``indices`` has the position of each row's."""
        picks = pl.Series(indices)
        text = self.text.gather(picks)
        value = text if self.value is self.text else self.value.gather(picks)
        flags = {code: mask[indices] for code, mask in self.flags.items()}
        return Cleaned(text, value, {code: mask for code, mask in flags.items() if mask.any()})

    def append(self, other: "Cleaned") -> "Cleaned":
        """This column, and below it the rows of another one of the same kind."""
        text = pl.concat([self.text, other.text], rechunk=True)
        same = self.value is self.text and other.value is other.text
        return Cleaned(
            text,
            text if same else pl.concat([self.value, other.value], rechunk=True),
            {
                code: np.concatenate([part.flags.get(code, any_of([], len(part.text))) for part in (self, other)])
                for code in self.flags | other.flags
            },
        )


def any_of(masks: list[Mask], height: int) -> Mask:
    """The union of row masks."""
    return np.logical_or.reduce(masks) if masks else np.zeros(height, dtype=np.bool_)


def blank(series: pl.Series, rows: Mask) -> pl.Series:
    """A copy with null in ``rows``."""
    return pl.select(pl.when(~pl.Series(rows)).then(series)).to_series()


def patch(series: pl.Series, rows: NDArray[np.int64], values: pl.Series) -> pl.Series:
    """A copy with ``values`` in ``rows``."""
    if len(rows) == 0:
        return series
    return values if len(rows) == len(series) else series.clone().scatter(rows, values)
