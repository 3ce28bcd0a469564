"""Rows that the departments of human resources report: employment registrations, social insurance contributions."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import polars as pl

from ingest.synthetic import numbering
from ingest.synthetic.draws import Index, Numbers
from ingest.synthetic.training import occupation
from ingest.synthetic.world import Mask, RowMaker, Rows, World, choose, constant, dates, where

#: How people work: weight, form of employment.
_FORMS = {"1": 80, "2": 4, "3": 9, "4": 2}
_UNIT, _FLEXIBLE = "1", "3"
#: Kinds of insurance of who works at a unit: share of them in a hundred, shares of the base that unit and person pay.
_OF_UNITS = {"110": (97, 16, 8), "210": (95, 0.5, 0.5), "410": (96, 0.4, 0), "310": (4, 7, 2), "510": (6, 0.8, 0)}
_RESIDENT, _PLATFORM = "170", "900"
#: Platforms that do not exist.
_PLATFORMS = ["yangli-chuxing", "yangli-waimai", "yangli-kuaidi"]
#: The number of a payment is made of those of its person, kind and month.
_FACTOR = np.uint64(1_000)


def spells(world: World, province: int, month: int, snapshot: bool) -> Iterator[Rows]:  # noqa: ARG001 - a delta
    """Everybody's at first, then those that began or ended in the month."""
    for who in world.of_province(province):
        rows, form, begins, ends = _spells(world, who, province, month)
        reported = (form != "") & (begins <= month)
        yield rows.filter(reported & ((begins == month) | (ends == month)) if month else reported)


def _spells(world: World, who: Index, province: int, month: int) -> tuple[Rows, Mask, Numbers, Numbers]:
    """Spells at the end of a month; their forms ("": none), the months they begin (negative: before) and end."""
    draws = world.draws
    form, begins, ends = _working(world, who)
    base = world.base_of(who, province)
    employer = world.employer(province, base)
    started = world.day_in("spell.started", who, begins)
    over = ends <= month
    unit = form == _UNIT
    fixed = unit & (draws.share("spell.fixed", who) < 0.7)
    rows = Rows(
        index=who,
        values={
            **world.person(who),
            **occupation(world, who),
            "employer.uscc": where(unit, employer["employer.uscc"]),
            "employer.name": where(unit, employer["employer.name"]),
            "organisation.division": employer["organisation.division"],
            "job.number": numbering.padded(f"JY{world.provinces[province]}", who.astype(np.int64), 10),
            "job.form": pl.Series(form),
            "job.start": dates(started),
            "job.contract": where(unit, choose(["2", "1"], fixed.astype(np.int64))),
            "job.term": where(fixed, dates(started + 1_095 * (1 + draws.below("spell.terms", who, 3)))),
            "job.end": where(over, dates(world.day_in("spell.ended", who, np.maximum(ends, begins + 1)))),
            "job.reason": where(over, choose(list("1234"), draws.weighted("spell.reason", who, [4, 3, 4, 2]))),
            "updated": world.updated(who, month),
        },
    )
    return rows, form, begins, ends


def _working(world: World, who: Index) -> tuple[np.ndarray, Numbers, Numbers]:
    """Form of employment ("": none), number of the month it begins, and of the month it ends in (a late one: never)."""
    draws = world.draws
    forms = ["", *_FORMS]
    form = np.array(forms)[draws.weighted("spell.form", who, [5, *_FORMS.values()])]
    new = draws.share("spell.new", who) < 0.06
    begins = np.where(
        new, draws.below("spell.begins", who, len(world.months)), -1 - draws.below("spell.since", who, 90)
    )
    ends = np.where(
        ~new & (draws.share("spell.leaves", who) < 0.06), draws.below("spell.ends", who, len(world.months)), 9_999
    )
    return form, begins, ends


def payments(world: World, province: int, month: int, snapshot: bool) -> Iterator[Rows]:  # noqa: ARG001 - events
    """What was paid for the month, and of some for the one before as well."""
    draws = world.draws
    for everybody in world.of_province(province):
        form, begins, ends = _working(world, everybody)
        works = (begins <= month) & (ends > month)
        for kind, (share, unit, person) in _OF_UNITS.items():
            insured = draws.share(f"paid/{kind}", everybody) < share / 100
            who = everybody[works & (form == _UNIT) & insured]
            rows = _payments(world, who, province, month, kind, unit, person)
            yield rows
            late = draws.share(f"paid.late/{month}", who) < 0.02
            yield _back_payments(world, rows.filter(late), month)
        alone = everybody[works & (form == _FLEXIBLE)]
        rides = draws.share("paid.rides", alone) < 0.6
        yield _payments(world, alone[rides], province, month, _PLATFORM, 1, 0)
        yield _payments(world, alone[~rides], province, month, _RESIDENT, 0, 3)


def _payments(world: World, who: Index, province: int, month: int, kind: str, unit: float, person: float) -> Rows:
    draws = world.draws
    index = who * _FACTOR * _FACTOR + np.uint64(int(kind)) * np.uint64(100) + np.uint64(month)
    employer = world.employer(province, world.base_of(who, province))
    base = 400_000 + draws.below("paid.base", who, 1_600_000)
    rides = np.full(len(who), kind == _PLATFORM)
    with_unit = np.full(len(who), kind != _RESIDENT)
    status = draws.weighted("paid.status", index, [95, 4, 1])
    return Rows(
        index=index,
        values={
            **world.person(who),
            "employer.uscc": where(with_unit, employer["employer.uscc"]),
            "employer.name": where(with_unit, employer["employer.name"]),
            "organisation.division": employer["organisation.division"],
            "payment.number": numbering.padded(f"JF{world.pair(province)}", index.astype(np.int64), 18),
            "payment.insurance": constant(kind, index),
            "payment.month": dates(np.full(len(index), np.datetime64(world.months[month], "D"))),
            "payment.platform": where(rides, choose(_PLATFORMS, draws.below("paid.platform", who, len(_PLATFORMS)))),
            "payment.type": constant("10", index),
            "payment.base": pl.Series(base),
            "payment.unit": pl.Series((base * unit / 100).astype(np.int64)),
            "payment.person": pl.Series((base * person / 100).astype(np.int64)),
            "payment.day": where(status != 1, dates(world.day_in("paid.day", index, month))),
            "payment.status": choose(["1", "2", "3"], status),
        },
    )


def _back_payments(world: World, rows: Rows, month: int) -> Rows:
    """Payments like ``rows`` for the month before, paid together with them."""
    before = np.datetime64(world.months[month], "M") - 1
    return replace(
        rows,
        index=rows.index + np.uint64(50),
        values={
            **rows.values,
            "payment.number": rows.values["payment.number"] + "B",
            "payment.type": constant("31", rows.index),
            "payment.month": dates(np.full(len(rows.index), before.astype("datetime64[D]"))),
        },
    )


ROW_MAKERS: dict[str, RowMaker] = {"employment_spell": spells, "social_insurance_month": payments}
