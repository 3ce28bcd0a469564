"""A small world of persons, unions and employers, from which the rows of every feed are taken.

Everything is a function of a number (person 17, settlement 4031), so any part can be had without the rest. Values
have names such as ``person.birth``; the contracts say which column takes which (``sample``).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ingest.contracts.model import CodeList
from ingest.synthetic import numbering
from ingest.synthetic.draws import Draws, Index, Numbers

#: Rows made at a time.
CHUNK = 20_000
#: Each series of numbers (persons, events, the organisations of a province) has fewer than this.
SERIES_SIZE = 2_000_000_000

Mask = NDArray[np.bool_]
Days = NDArray[np.datetime64]

_SURNAMES = list("王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎")
_SURNAMES += ["欧阳", "司徒", "诸葛"]
_GIVEN = list("明芳国秀兰强伟霞波雪梅春晓宁海涛鹏凤玉桂英静怡思欣轩浩志康岚磊峰斌娜超岩然子安力龙雨辉勇嘉冬秋")
_RARE = ["㛃", "𬀩", "䶮"]  # characters that GBK lacks
_DOTTED = ["古丽娜尔·艾合买提", "买买提·吐尔逊", "阿依古丽·麦麦提", "扎西·多吉"]
#: Persons are born within so many days.
_FIRST_BIRTH_DAY, _BIRTH_DAYS = np.datetime64("1960-01-01", "D"), 15_500
#: Combinations of the area and the sequence of an identity number.
_SLOTS = np.uint64(49_500)
_OF_AGE = 18 * 366


@dataclass(frozen=True)
class Rows:
    """Rows of a feed before they are written.

    Attributes:
        index: the number of each row's person, event or organisation; random values are drawn by it.
        values: by source name (``sample`` in the contract). Amounts are whole hundredths of a yuan.
        columns: by column name; these take precedence over the source that the contract names.
        bare: optional columns without a value here stay empty.
    """

    index: Index
    values: Mapping[str, pl.Series]
    bare: bool = False
    columns: Mapping[str, pl.Series] = field(default_factory=dict)

    def filter(self, keep: Mask) -> "Rows":
        """Some of the rows."""
        mask = pl.Series(keep)
        values, columns = (
            {name: value.filter(mask) for name, value in some.items()} for some in (self.values, self.columns)
        )
        return Rows(self.index[keep], values, self.bare, columns)


@dataclass(frozen=True)
class World:
    """The world of one seed.

    Attributes:
        provinces: six-digit codes of the senders.
        months: first days of the months covered, in order and without gaps.
        persons: how many there are; person ``n`` lives in province ``n`` modulo the number of provinces.
        settlements: how many there are in all, reversals and second ends apart.
        code_lists: those of the contracts.
    """

    draws: Draws
    provinces: tuple[str, ...]
    months: tuple[date, ...]
    persons: int
    settlements: int
    code_lists: Mapping[str, CodeList]

    # --- time --------------------------------------------------------------------------------------------------------

    def last_day(self, month: int) -> np.datetime64:
        """Last day of month number ``month``."""
        return (np.datetime64(self.months[month], "M") + 1).astype("datetime64[D]") - 1

    def day_in(self, purpose: str, index: Index, month: int | Numbers) -> Days:
        """A day in the month of each element (0 is the first month covered, negative numbers lie before it)."""
        start = np.datetime64(self.months[0], "M") + month
        first, after = start.astype("datetime64[D]"), (start + 1).astype("datetime64[D]")
        return np.asarray(first + self.draws.below(purpose, index, (after - first).astype(np.int64)), "datetime64[D]")

    def updated(self, index: Index, month: int) -> pl.Series:
        """When a sender last changed each row: a time in the month."""
        return times(self.day_in("updated.day", index, month), self.draws.below("updated.second", index, 86_400))

    # --- persons -----------------------------------------------------------------------------------------------------

    def of_province(self, province: int) -> Iterator[Index]:
        """All persons who live in a province, in chunks."""
        step = len(self.provinces)
        for start in range(province, self.persons, step * CHUNK):
            yield np.arange(start, min(start + step * CHUNK, self.persons), step, dtype=np.uint64)

    def anyone(self, purpose: str, index: Index, province: int) -> Index:
        """For each event a person who lives in the province."""
        step = len(self.provinces)
        living = max((self.persons - province + step - 1) // step, 1)
        return (self.draws.below(purpose, index, living) * step + province).astype(np.uint64)

    def events(self, province: int, month: int, every: int) -> Iterator[Index]:
        """Numbers of the ``every`` events that a province reports in a month, in chunks; unique in the world."""
        first = (province * len(self.months) + month) * every
        for start in range(first, first + every, CHUNK):
            yield np.arange(start, min(start + CHUNK, first + every), dtype=np.uint64)

    def person(self, who: Index) -> dict[str, pl.Series]:
        """The values about a person that every source has."""
        draws = self.draws
        male = (draws.share("person.sex", who) < 0.55).astype(np.int64)
        slot, cycle = _slot_and_cycle(who)
        days = self._birth_days(slot, cycle)
        born = as_number(days)
        sequence, area = slot % 500 * 2 + male, slot // 500 + 1
        kind = draws.weighted("person.document", who, [93, 2, 3, 1, 1])
        pair = np.where(
            kind == 1,
            numbering.PERMITS[draws.below("person.permit", who, len(numbering.PERMITS))],
            numbering.PROVINCES[draws.below("person.from", who, len(numbering.PROVINCES))],
        )
        serial = who.astype(np.int64)
        return {
            "person.document": choose(["01", "17", "08", "07", "99"], kind),
            "person.number": one_of(
                np.maximum(kind - 1, 0),
                numbering.resident(pair, area, born, sequence),
                numbering.padded("P", serial, 9),
                numbering.foreign_resident(area, born, sequence),
                numbering.padded("字第", serial, 8) + "号",
            ),
            "person.name": self._names(who),
            "person.sex": choose(["2", "1"], male),
            "person.birth": dates(days),
            "person.phone": numbering.padded("1990000", draws.below("person.phone", who, 10_000), 4),
        }

    def of_age(self, who: Index) -> Days:
        """A day on which each person is at least 18."""
        return self._birth_days(*_slot_and_cycle(who)) + _OF_AGE

    def _birth_days(self, slot: Numbers, cycle: Numbers) -> Days:
        first = self.draws.below("person.born", slot.astype(np.uint64), _BIRTH_DAYS)
        return _FIRST_BIRTH_DAY + (first + cycle) % _BIRTH_DAYS

    def _names(self, who: Index) -> pl.Series:
        draws = self.draws
        surname = choose(_SURNAMES, draws.below("person.surname", who, len(_SURNAMES)))
        first = choose(_GIVEN, draws.below("person.given", who, len(_GIVEN)))
        second = choose(["", *_GIVEN], draws.below("person.second", who, len(_GIVEN) + 1))
        rare = choose(_RARE, draws.below("person.character", who, len(_RARE)))
        dotted = choose(_DOTTED, draws.below("person.dotted", who, len(_DOTTED)))
        return one_of(
            draws.weighted("person.naming", who, [98, 1, 1]), surname + first + second, surname + rare, dotted
        )

    # --- unions and employers ----------------------------------------------------------------------------------------

    @cached_property
    def bases(self) -> int:
        """Base organisations of a province."""
        return max(self.persons // len(self.provinces) // 15, 6)

    def pair(self, province: int) -> str:
        """First two digits of a province's codes."""
        return self.provinces[province][:2]

    def divisions(self, province: int) -> list[int]:
        """The districts of a province that have unions."""
        return [int(self.pair(province)) * 10_000 + district for district in (102, 105, 203, 205)]

    def organisation(self, province: int, base: Numbers) -> Index:
        """Numbers of base organisations in all the world."""
        return (base + (province + 1) * SERIES_SIZE).astype(np.uint64)

    def base_of(self, who: Index, province: int) -> Numbers:
        """The base organisation that a person belongs to in a province."""
        return self.draws.below(f"member.base/{province}", who, self.bases)

    def base_chunks(self) -> Iterator[Numbers]:
        """All base organisations of a province, in chunks."""
        for start in range(0, self.bases, CHUNK):
            yield np.arange(start, min(start + CHUNK, self.bases), dtype=np.int64)

    def base_code(self, province: int, base: Numbers) -> pl.Series:
        """Codes of base organisations."""
        return numbering.padded(f"{self.pair(province)}9", base, 7)

    def employer(self, province: int, base: Numbers) -> dict[str, pl.Series]:
        """The employer of base organisations; a few have none that is known."""
        division = np.array(self.divisions(province))[base % 4]
        known = pl.Series(self.draws.share("employer.known", self.organisation(province, base)) >= 0.05)
        name = numbering.padded(f"样例{self.pair(province)}第", base) + "有限公司"
        return {
            "employer.uscc": where(known, numbering.credit_code(91, division, 500_000_000 + base)),
            "employer.name": where(known, name),
            "organisation.division": pl.Series(division).cast(pl.String),
        }


#: Makes the rows of a feed that a province (its position) reports in a month (its position): with ``snapshot`` the
#: whole register, otherwise what changed.
RowMaker = Callable[[World, int, int, bool], Iterator[Rows]]


def _slot_and_cycle(who: Index) -> tuple[Numbers, Numbers]:
    """Area and sequence of each person's number, as one number, and how many persons before had the same.

    The day of birth depends on both, so that no two persons share area, sequence and day.
    """
    cycle, slot = (part.astype(np.int64) for part in np.divmod(who, _SLOTS))
    return slot, cycle


def choose(values: Sequence[str], positions: Numbers) -> pl.Series:
    """The value at each position."""
    return pl.Series(values, dtype=pl.String).gather(positions)


def one_of(positions: Numbers, *choices: pl.Series) -> pl.Series:
    """Row by row the value of the choice at its position."""
    result = choices[0]
    for position, choice in enumerate(choices[1:], start=1):
        result = choice.zip_with(pl.Series(positions == position), result)
    return result


def where(condition: pl.Series | Mask, value: pl.Series) -> pl.Series:
    """The value where ``condition`` is true, else null."""
    return value.set(~pl.Series(condition), None)


def constant(value: str | None, like: Index) -> pl.Series:
    """The same text in every row."""
    return pl.Series([value], dtype=pl.String).new_from_index(0, len(like))


def dates(days: Days) -> pl.Series:
    """Days as dates."""
    return pl.Series(days.astype("datetime64[D]")).cast(pl.Date)


def times(days: Days, seconds: Numbers) -> pl.Series:
    """Days and seconds of the day as date-times."""
    return pl.Series((days.astype("datetime64[s]") + seconds.astype("timedelta64[s]")).astype("datetime64[ms]"))


def as_number(days: Days) -> Numbers:
    """Days as the number yyyymmdd."""
    months = days.astype("datetime64[M]")
    years, month = np.divmod(months.astype(np.int64), 12)
    return (years + 1970) * 10_000 + (month + 1) * 100 + (days - months.astype("datetime64[D]")).astype(np.int64) + 1
