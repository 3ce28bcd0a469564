"""Rows that the union federations report about training: enrolments, certificates, education funds."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from ingest.synthetic import numbering
from ingest.synthetic.draws import Index
from ingest.synthetic.world import SERIES_SIZE, RowMaker, Rows, World, choose, constant, dates, one_of, where

_OCCUPATIONS = {
    "4-01-02-01": "营销员",
    "4-02-07-02": "快递员",
    "4-07-05-01": "保安员",
    "5-05-02-01": "农机修理工",
    "6-18-01-01": "车工",
    "6-29-01-03": "砌筑工",
}


def enrolments(world: World, province: int, month: int, snapshot: bool) -> Iterator[Rows]:  # noqa: ARG001 - events
    """Most of courses of the month, some older ones."""
    every = max(world.persons // len(world.provinces) // 6, 20)
    draws = world.draws
    for index in world.events(province, month, every):
        who = world.anyone("enrolment.who", index, province)
        late = draws.below("enrolment.late", index, 24) * (draws.share("enrolment.old", index) < 0.4)
        start = world.day_in("course.start", index, month - late)
        end = start + 2 + draws.below("course.days", index, 40)
        over = pl.Series(end <= world.last_day(month))
        paid = over & pl.Series(draws.share("course.paid", index) < 0.8)
        planned = 8 + draws.below("course.hours", index, 140)
        school = draws.below("provider", index, 12)
        division = np.full(len(index), world.divisions(province)[0])
        yield Rows(
            index=index,
            values={
                **world.person(who),
                **world.employer(province, world.base_of(who, province)),
                **occupation(world, index),
                "enrolment.number": numbering.padded(f"BM{world.provinces[province]}", index.astype(np.int64), 10),
                "provider.uscc": numbering.credit_code(52, division, 800_000_000 + school),
                "provider.name": numbering.padded("样例第", school) + "职业技能培训学校",
                "course.number": numbering.padded("C", draws.below("course.number", index, 400), 3),
                "course.start": dates(start),
                "course.end": where(over, dates(end)),
                "course.hours": pl.Series(planned.astype(np.float64)),
                "course.attended": pl.Series(planned - draws.below("course.missed", index, 15) * 0.5),
                "course.result": where(
                    over, choose(["1", "2", "4"], draws.weighted("course.result", index, [82, 10, 8]))
                ).fill_null("3"),
                "course.subsidy": where(paid, pl.Series(60_000 + draws.below("course.subsidy", index, 200_000))),
                "course.paid": where(paid, dates(end)),
            },
        )


def certificates(world: World, province: int, month: int, snapshot: bool) -> Iterator[Rows]:  # noqa: ARG001 - events
    """At first those of former years, then what each month brings."""
    draws, salt = world.draws, f"/{month}"
    ranks = world.code_lists["skill_level"].extra["rank"]
    levels = [next(code for code, rank in ranks.items() if rank == str(level)) for level in range(1, 8)]
    for everybody in world.of_province(province):
        who = everybody[draws.share("certificate.has" + salt, everybody) < (0.03 if month else 0.35)]
        when = np.full(len(who), month) if month else -1 - draws.below("certificate.years", who, 60)
        issued = world.day_in("certificate.day" + salt, who, when)
        rank = draws.weighted("certificate.level" + salt, who, [30, 28, 25, 9, 5, 2, 1])
        serial = who.astype(np.int64) + month * world.persons
        site = numbering.padded(world.pair(province), serial // 1_000_000, 6)
        year = numbering.padded("", issued.astype("datetime64[Y]").astype(np.int64) - 30, 2)
        level = pl.Series(np.maximum(5 - rank, 1)).cast(pl.String)
        last = numbering.padded("", serial % 1_000_000, 6)
        kind = draws.weighted("certificate.kind" + salt, who, [50, 40, 8, 2])
        yield Rows(
            index=who + np.uint64(month * SERIES_SIZE),
            values={
                **world.person(who),
                **occupation(world, who),
                "certificate.number": one_of(
                    kind,
                    "Y0000" + site + year + level + last,
                    "S0000" + site + year + level + last,
                    site + year + last,  # the old sixteen digits
                    "RSN" + site + year + level + last,  # another scheme
                ),
                "certificate.level": choose(levels, rank),
                "certificate.issued": dates(issued),
                "certificate.issuer": choose(["样例集团评价机构", "样例职业技能鉴定中心"], kind % 2),
            },
        )


def funds(world: World, province: int, month: int, snapshot: bool) -> Iterator[Rows]:  # noqa: ARG001 - events
    """The two years before; after the first month a few corrections."""
    draws, this_year = world.draws, world.months[0].year
    for base in world.base_chunks():
        employer = world.employer(province, base)
        for year in (this_year - 2, this_year - 1):
            index = world.organisation(province, base) + np.uint64(year * 100 * SERIES_SIZE)
            has_uscc = employer["employer.uscc"].is_not_null().to_numpy()
            corrected = draws.share(f"fund.corrected/{month}", index) < 0.05
            wages = 30_000_000 + draws.below("fund.wages", index, 2_000_000_000)
            accrued = (wages * (0.015 + 0.01 * draws.share("fund.accrued", index))).astype(np.int64)
            carried = draws.below("fund.carried", index, 2) * 500_000
            spent = ((accrued + carried) * (0.5 + 0.5 * draws.share(f"fund.spent/{month}", index))).astype(np.int64)
            frontline = (spent * (0.3 + 0.65 * draws.share("fund.frontline", index))).astype(np.int64)
            amounts = {"wages": wages, "accrued": accrued, "carried": carried, "spent": spent, "frontline": frontline}
            yield Rows(
                index=index,
                values={
                    **employer,
                    "fund.year": constant(str(year), index).cast(pl.Int64),
                    **{f"fund.{name}": pl.Series(amount) for name, amount in amounts.items()},
                },
            ).filter(has_uscc & corrected if month else has_uscc)


def occupation(world: World, index: Index) -> dict[str, pl.Series]:
    """The occupation of each person."""
    which = world.draws.below("occupation", index, len(_OCCUPATIONS))
    return {
        "occupation.code": choose(list(_OCCUPATIONS), which),
        "occupation.name": choose(list(_OCCUPATIONS.values()), which),
    }


#: When the deliveries of the source are created: days after the end of their month, and the time.
DAYS_AFTER = 6
CREATED_AT = "T09:00:00+08:00"
ROW_MAKERS: dict[str, RowMaker] = {"enrolment": enrolments, "certificate": certificates, "fund": funds}
