"""Rows that the union federations report: organisations and members."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from ingest.synthetic import numbering
from ingest.synthetic.draws import Index, Numbers
from ingest.synthetic.world import SERIES_SIZE, Mask, RowMaker, Rows, World, choose, constant, dates, where


def organisations(world: World, province: int, month: int, snapshot: bool) -> Iterator[Rows]:
    """Federations and base unions; in a delta the few whose counts were corrected."""
    if snapshot:
        yield federations(world, province)
    for base in world.base_chunks():
        rows = _base_unions(world, province, base, month)
        corrected = world.draws.share(f"organisation.corrected/{month}", rows.index) < 0.05
        yield rows if snapshot else rows.filter(corrected)


def federations(world: World, province: int) -> Rows:
    """The federations of a province: its own, those of its cities and of its districts."""
    code, pair, districts = world.provinces[province], world.pair(province), world.divisions(province)
    cities = sorted({district // 100 * 100 for district in districts})
    divisions = [int(code), *cities, *districts]
    parents = [None, *[int(code)] * len(cities), *[district // 100 * 100 for district in districts]]
    number = np.arange(len(divisions), dtype=np.int64)
    index = (number + SERIES_SIZE // 2 + (province + 1) * SERIES_SIZE).astype(np.uint64)
    text = pl.Series(divisions).cast(pl.String)
    unknown = dict.fromkeys(["employer.uscc", "employer.name"], constant(None, index))
    uncounted = dict.fromkeys([f"organisation.{count}" for count in ("staff", "women", "migrants", "units")])
    return Rows(
        index=index,
        values={
            **unknown,
            **{name: constant(None, index).cast(pl.Int64) for name in uncounted},
            "organisation.code": pair + "2" + text.str.zfill(7),
            "organisation.name": text + "总工会",
            "organisation.uscc": numbering.credit_code(89, np.array(divisions), 700_000_000 + number),
            "organisation.parent": pair + "2" + pl.Series(parents).cast(pl.String).str.zfill(7),
            "organisation.level": pl.Series(["20", *["30"] * len(cities), *["40"] * len(districts)]),
            "organisation.type": constant("5", index),
            "organisation.division": text,
            "organisation.status": constant("1", index),
        },
        bare=True,
    )


def _base_unions(world: World, province: int, base: Numbers, month: int) -> Rows:
    draws, index, pair = world.draws, world.organisation(province, base), world.pair(province)
    employer = world.employer(province, base)
    division = employer["organisation.division"]
    staff = 8 + draws.below("organisation.staff", index, 25) + draws.below(f"organisation.staff/{month}", index, 3)
    women = (staff * 0.6 * draws.share("organisation.women", index)).astype(np.int64)
    migrants = (staff * draws.share("organisation.migrants", index)).astype(np.int64)
    joint = draws.share("organisation.joint", index) < 0.12
    return Rows(
        index=index,
        values={
            **employer,
            "organisation.code": world.base_code(province, base),
            "organisation.name": numbering.padded(f"样例{pair}第", base) + "基层工会",
            "organisation.uscc": numbering.credit_code(81, division.cast(pl.Int64).to_numpy(), 600_000_000 + base),
            "organisation.parent": pair + "2" + division.str.zfill(7),
            "organisation.level": constant("90", index),
            "organisation.type": choose(["1", "2"], joint.astype(np.int64)),
            "organisation.status": choose(["1", "4", "0"], draws.weighted("organisation.status", index, [96, 2, 2])),
            "organisation.staff": pl.Series(staff),
            "organisation.women": pl.Series(women),
            "organisation.migrants": pl.Series(migrants),
            "organisation.units": where(joint, pl.Series(3 + draws.below("organisation.units", index, 20))),
        },
    )


def members(world: World, province: int, month: int, snapshot: bool) -> Iterator[Rows]:
    """Members of a province: those who live there, and some who are on two registers."""
    provinces = len(world.provinces)
    for home in range(provinces):
        for everybody in world.of_province(home):
            who = everybody
            if home != province:
                second = (home + 1 + world.draws.below("member.second", who, provinces - 1)) % provinces
                who = who[(world.draws.share("member.twice", who) < 0.05) & (second == province)]
            rows, present, changed = _memberships(world, who, province, month)
            yield rows.filter(present if snapshot else present & changed)


def _memberships(world: World, who: Index, province: int, month: int) -> tuple[Rows, Mask, Mask]:
    """Memberships in a month; which persons are on the register; for which of them something changed in the month."""
    draws, here = world.draws, f"/{province}"
    joins = draws.share("member.joins" + here, who) < 0.06  # in one of the months covered, the others long before
    join_month = draws.below("member.join" + here, who, len(world.months))
    before = np.maximum(
        world.day_in("member.before" + here, who, -1 - draws.below("member.years" + here, who, 240)), world.of_age(who)
    )
    joined = np.where(joins, world.day_in("member.joined" + here, who, join_month), before)
    leaves = ~joins & (draws.share("member.leaves" + here, who) < 0.08)
    leave_month = 1 + draws.below("member.leave" + here, who, max(len(world.months) - 1, 1))
    gone = leaves & (leave_month <= month)
    old = ~joins & (draws.share("member.old" + here, who) < 0.04)  # left before the first month covered
    status = np.where(gone | old, 1 + draws.weighted("member.how" + here, who, [40, 20, 35, 1, 4]), 0)
    changed_on = np.where(gone, world.day_in("member.left" + here, who, leave_month), joined + 30)
    rows = Rows(
        index=who,
        values={
            **world.person(who),
            "member.number": numbering.padded(f"M{world.pair(province)}", who.astype(np.int64), 9),
            "organisation.code": world.base_code(province, world.base_of(who, province)),
            "member.joined": dates(joined),
            "member.status": choose(["1", "4", "2", "3", "5", "6"], status),
            "member.changed": where(status > 0, dates(changed_on)),
            "member.reason": where(status > 0, choose(["", "本人申请", "下岗保留", "转移", "除名", "死亡"], status)),
        },
    )
    present = np.where(joins, join_month, -1) <= month
    changed = (gone & (leave_month == month)) | (joins & (join_month == month))
    return rows, present, changed | (draws.share(f"member.corrected/{month}" + here, who) < 0.02)


#: When the deliveries of the source are created: days after the end of their month, and the time.
DAYS_AFTER = 3
CREATED_AT = "T08:15:00+08:00"
ROW_MAKERS: dict[str, RowMaker] = {"organisation": organisations, "member": members}
