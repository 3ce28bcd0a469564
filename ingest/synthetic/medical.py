"""Rows that the medical-insurance bureaux report: insured persons, insurance relations, settlements."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from ingest.synthetic import numbering
from ingest.synthetic.draws import Index, Numbers
from ingest.synthetic.world import Mask, RowMaker, Rows, World, choose, constant, dates, one_of, times, where

#: How persons are insured: weight, scheme, category.
_INSURED = [
    (8, "", ""),
    (69, "310", "1101"),
    (8, "310", "1103"),
    (5, "310", "1201"),
    (1, "310", "116014"),
    (1, "31099", "1101"),
    (8, "390", "1501"),
]
_UNINSURED, _EMPLOYEE, _FLEXIBLE, _RESIDENT = 0, 1, 2, 6
#: Kinds of care: weight, median fee in yuan, spread of its logarithm, days of stay.
_CARE = {
    "11": (34, 260, 0.7, 0),
    "41": (22, 130, 0.6, 0),
    "21": (14, 9_000, 1.0, 9),
    "14": (10, 600, 0.7, 0),
    "13": (4, 500, 0.8, 0),
    "25": (3, 14_000, 1.0, 12),
    "1404": (3, 400, 0.5, 0),
    "140104": (2, 700, 0.6, 0),
    "28": (2, 6_000, 0.5, 1),
    "52": (2, 7_000, 0.4, 4),
    "51": (2, 400, 0.5, 0),
    "9901": (2, 3_000, 0.9, 0),
}
_HOSPITALS = 60
#: A reversal is drawn by the number of its settlement and this bit.
_REVERSAL = np.uint64(1 << 62)
#: When a settlement is refunded.
_SAME_MONTH, _NEXT_MONTH = 1, 2


def persons(world: World, province: int, month: int, snapshot: bool) -> Iterator[Rows]:  # noqa: ARG001 - a delta
    """Everybody insured at first, then a few updates."""
    for who in world.of_province(province):
        reported = _insured(world, who) != _UNINSURED
        if month:
            reported &= world.draws.share(f"insured.updated/{month}", who) < 0.01
        yield Rows(
            index=who,
            values={
                **world.person(who),
                "insured.number": _insured_number(world, who, province),
                "updated": world.updated(who, month),
            },
        ).filter(reported)


def spells(world: World, province: int, month: int, snapshot: bool) -> Iterator[Rows]:  # noqa: ARG001 - a delta
    """Everybody's at first, then those that were suspended."""
    for who in world.of_province(province):
        how = _insured(world, who)
        yield _spells(world, who, province, month, 0).filter(_is_reported(world, who, month, 0) & (how != _UNINSURED))
        maternity = (how == _EMPLOYEE) & (world.draws.share("spell.maternity", who) < 0.3)
        yield _spells(world, who, province, month, 1).filter(_is_reported(world, who, month, 1) & maternity)


def _is_reported(world: World, who: Index, month: int, second: int) -> Mask:
    ends, end_month = _end(world, who, second)
    return ends & (end_month == month) if month else np.ones(len(who), dtype=np.bool_)


def _end(world: World, who: Index, second: int) -> tuple[Mask, Numbers]:
    """Whether a spell is suspended in one of the months covered, and in which."""
    ends = world.draws.share(f"spell.ends/{second}", who) < 0.05
    return ends, 1 + world.draws.below(f"spell.end/{second}", who, max(len(world.months) - 1, 1))


def _spells(world: World, who: Index, province: int, month: int, second: int) -> Rows:
    draws, index = world.draws, who * np.uint64(2) + np.uint64(second)
    ends, end_month = _end(world, who, second)
    ended = ends & (end_month <= month)
    pause = world.day_in("spell.pause", index, end_month)
    ahead = draws.share("spell.ahead", index) < 0.03  # reported long before
    return Rows(
        index=index,
        values={
            **_insurance(world, who, province),
            "spell.number": numbering.padded(world.provinces[province], index.astype(np.int64), 14),
            **({"spell.scheme": constant("510", index)} if second else {}),
            "spell.state": choose(["1", "2"], ended.astype(np.int64)),
            "spell.start": dates(world.day_in("spell.start", index, -1 - draws.below("spell.years", index, 96))),
            "spell.pause": where(ended | ahead, dates(np.where(ended, pause, pause + 365))),
            "updated": world.updated(index, month),
        },
    )


def _insured(world: World, who: Index) -> Numbers:
    """Positions in ``_INSURED``."""
    return world.draws.weighted("insured.how", who, [weight for weight, _, _ in _INSURED])


def _insured_number(world: World, who: Index, province: int) -> pl.Series:
    return numbering.padded(world.provinces[province], who.astype(np.int64), 14)


def _insurance(world: World, who: Index, province: int) -> dict[str, pl.Series]:
    """How and where persons are insured, and by which employer: mostly the one of the union, sometimes another.

    Who is not insured any more was so as an employee.
    """
    draws, how = world.draws, np.maximum(_insured(world, who), _EMPLOYEE)
    moved = draws.share("insured.moved", who) < 0.12
    base = np.where(moved, draws.below("insured.base", who, world.bases), world.base_of(who, province))
    employer = world.employer(province, base)
    alone = np.isin(how, [_FLEXIBLE, _RESIDENT]) | (draws.share("insured.unknown", who) < 0.1)
    with_employer = pl.Series(~alone) & employer["employer.uscc"].is_not_null()
    pair = world.pair(province)
    return {
        "insured.number": _insured_number(world, who, province),
        "insured.employer.number": where(with_employer, numbering.padded("E", base + 500_000_000)),
        "insured.employer.name": where(with_employer, employer["employer.name"]),
        "insured.employer.uscc": where(with_employer, employer["employer.uscc"]),
        "insured.division": choose([f"{pair}9900", f"{pair}0199"], draws.below("insured.division", who, 2)),
        "spell.scheme": choose([scheme for _, scheme, _ in _INSURED], how),
        "spell.category": choose([category for _, _, category in _INSURED], how),
    }


def settlements(world: World, province: int, month: int, snapshot: bool) -> Iterator[Rows]:  # noqa: ARG001 - events
    """Settlements of the month with their refunds, refunds of the month before, and the other side of off-site ones."""
    every = max(world.settlements // len(world.provinces) // len(world.months), 1)
    for index in world.events(province, month, every):
        refund = _refund(world, index, month)
        rows = settled(world, index, province, month, refund == _SAME_MONTH)
        yield rows
        yield _reversed(world, rows.filter(refund == _SAME_MONTH), month)
    if month:
        for index in world.events(province, month - 1, every):
            late = index[_refund(world, index, month - 1) == _NEXT_MONTH]
            rows = settled(world, late, province, month - 1, np.ones(len(late), dtype=np.bool_))
            yield rows
            yield _reversed(world, rows, month)
    if len(world.provinces) > 1:
        neighbour = (province - 1) % len(world.provinces)
        for index in world.events(neighbour, month, every):
            away = index[_away(world, index, month)]
            rows = settled(world, away, neighbour, month, np.zeros(len(away), dtype=np.bool_))
            yield Rows(rows.index, {**rows.values, "settlement.end": constant("2", away)})


def settled(world: World, index: Index, province: int, month: int, refunded: Mask) -> Rows:
    """Settlements reported in a month; a few of them lie some months back."""
    draws = world.draws
    who = world.anyone("settlement.who", index, province)
    care = draws.weighted("settlement.care", index, [weight for weight, *_ in _CARE.values()])
    stay = np.array([days for *_, days in _CARE.values()])[care]
    late = draws.below("settlement.late", index, 8) * (draws.share("settlement.old", index) < 0.15)
    day = world.day_in("settlement.day", index, month - late)
    begin = day - (stay * (0.5 + draws.share("settlement.stay", index))).astype(np.int64)
    hospital = draws.below("settlement.hospital", index, _HOSPITALS)
    pair, code = world.pair(province), world.provinces[province]
    first_hospital = np.full(len(index), int(pair) * 1_000_000_000 + 1_990_000_0)
    away = _away(world, index, month)
    number = index.astype(np.int64)
    clock = 28_800 + draws.below("settlement.second", index, 36_000)
    return Rows(
        index=index,
        values={
            **world.person(who),
            **_insurance(world, who, province),
            **_money(world, index, care),
            "settlement.number": numbering.padded(f"{code}G", number, 13),
            "visit.number": numbering.padded(f"{code}M", number, 13),
            "settlement.reverses": constant(None, index),
            "hospital.code": one_of(
                (draws.share("hospital.local", hospital.astype(np.uint64)) < 0.05).astype(np.int64),
                numbering.padded("H", first_hospital + hospital, 11),
                numbering.padded("", first_hospital + hospital, 11),  # an old local code
            ),
            "hospital.name": numbering.padded(f"样例{pair}第", hospital) + "医院",
            "visit.begin": dates(begin),
            "visit.end": dates(day),
            "visit.kind": choose(list(_CARE), care),
            "settlement.time": times(day, clock),
            "settlement.place": choose(
                ["2", "1", "4"], np.where(away, 2, draws.below("settlement.centre", index, 20) == 0)
            ),
            "settlement.refunded": choose(["0", "1"], refunded.astype(np.int64)),
            "settlement.end": where(
                away | (draws.share("settlement.said", index) < 0.8), choose(["0", "1"], away.astype(np.int64))
            ),
            "updated": times(day, clock + 60),
        },
    )


def _reversed(world: World, rows: Rows, month: int) -> Rows:
    """Reversals of settlements: numbers of their own, every amount negated, some days later."""
    later = rows.values["visit.end"].to_numpy().astype("datetime64[D]") + 1
    later += world.draws.below("reversal.days", rows.index, 5)
    day = np.minimum(later, world.last_day(month))
    number = rows.values["settlement.number"]
    time = times(day, world.draws.below("reversal.second", rows.index, 36_000) + 28_800)
    return Rows(
        index=rows.index | _REVERSAL,
        values={
            **rows.values,
            **{name: -value for name, value in rows.values.items() if name.startswith(("fee.", "fund.", "pay."))},
            "settlement.number": number.str.replace("G", "R", literal=True),
            "settlement.reverses": number,
            "settlement.time": time,
            "updated": time,
        },
    )


def _refund(world: World, index: Index, month: int) -> Numbers:
    share = world.draws.share("settlement.refund", index)
    later = _NEXT_MONTH if month + 1 < len(world.months) else 0
    return np.where(share < 0.012, _SAME_MONTH, np.where(share < 0.02, later, 0))


def _away(world: World, index: Index, month: int) -> Mask:
    """Off-site settlements, of which two provinces report one side each."""
    away = world.draws.share("settlement.away", index) < 0.03
    return away & (_refund(world, index, month) == 0) & (len(world.provinces) > 1)


def _money(world: World, index: Index, care: Numbers) -> dict[str, pl.Series]:
    """Who paid what; every identity of the contract holds."""
    draws = world.draws
    median, spread = (np.array(values) for values in zip(*[kind[1:3] for kind in _CARE.values()], strict=True))
    fee = np.exp(draws.normal("fee", index) * spread[care]) * median[care] * 100
    total = np.clip(fee, 500, 90_000_000).astype(np.int64)

    def part(purpose: str, of: Numbers, least: float, most: float, often: float = 1.0) -> Numbers:
        share = least + (most - least) * draws.share(purpose, index)
        return (of * share * (draws.share(purpose + "/has", index) < often)).astype(np.int64)

    own, over = part("fee.own", total, 0.02, 0.12), part("fee.over", total, 0, 0.03, 0.5)
    first = part("fee.first", total, 0, 0.06, 0.6)
    inside = total - own - over - first
    funds = {"pool": part("fund.pool", inside, 0.5, 0.85)}
    rest = inside - funds["pool"]
    for name, often in {
        "civil": 0.08,
        "company": 0.03,
        "serious": 0.05,
        "large": 0.08,
        "disabled": 0.005,
        "assistance": 0.02,
        "other": 0.01,
    }.items():
        funds[name] = part(f"fund.{name}", rest, 0.02, 0.12, often)
    paid = sum(funds.values(), np.zeros(len(index), dtype=np.int64))
    hospital = part("pay.hospital", rest, 0, 0.05, 0.04)
    person = total - paid - hospital
    account = part("pay.account", person, 0, 0.6, 0.7)
    amounts = {
        "fee.total": total,
        "fee.own": own,
        "fee.over": over,
        "fee.first": first,
        "fee.inside": inside,
        **{f"fund.{name}": amount for name, amount in funds.items()},
        "fund.total": paid,
        "pay.person": person,
        "pay.account": account,
        "pay.cash": person - account,
        "pay.hospital": hospital,
    }
    return {name: pl.Series(amount) for name, amount in amounts.items()}


#: When the deliveries of the source are created: days after the end of their month, and the time.
DAYS_AFTER = 7
CREATED_AT = "T10:00:00+08:00"
ROW_MAKERS: dict[str, RowMaker] = {"person": persons, "insurance": spells, "settlement": settlements}
