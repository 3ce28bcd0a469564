"""What the union federations tell of honours, studios and contests."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from ingest.synthetic import numbering
from ingest.synthetic.draws import Index
from ingest.synthetic.training import occupation
from ingest.synthetic.world import SERIES_SIZE, RowMaker, Rows, World, choose, constant, dates, where

_TYPES = {"1": 12, "2": 10, "3": 14, "4": 22, "5": 10, "6": 20, "7": 10, "9": 2}
_LEVELS = {"10": 2, "20": 10, "30": 28, "40": 30, "90": 30}
_WON = "7"


def honours(world: World, province: int, month: int, snapshot: bool) -> Iterator[Rows]:  # noqa: ARG001 - events
    """At first those of former years, then what each month brings; what is won in a contest names it."""
    draws, salt = world.draws, f"/{month}"
    for everybody in world.of_province(province):
        who = everybody[draws.share("honour.has" + salt, everybody) < (0.008 if month else 0.06)]
        index = who + np.uint64(month * SERIES_SIZE)
        when = np.full(len(who), month) if month else -1 - draws.below("honour.years", who, 96)
        granted = world.day_in("honour.day" + salt, who, when)
        kind = choose(list(_TYPES), draws.weighted("honour.type", index, list(_TYPES.values())))
        won = (kind == _WON).to_numpy() & (month > 0)
        revoked = draws.share("honour.revoked", index) < (0 if month else 0.01)
        base = world.base_of(who, province)
        contest = world.draws.below("honour.contest", index, _contests(world)) + _first_contest(world, province, month)
        yield Rows(
            index=index,
            values={
                **world.person(who),
                **world.employer(province, base),
                **occupation(world, who),
                "organisation.code": world.base_code(province, base),
                "honour.number": numbering.padded(f"RY{world.pair(province)}", index.astype(np.int64), 14),
                "honour.type": kind,
                "honour.level": choose(list(_LEVELS), draws.weighted("honour.level", index, list(_LEVELS.values()))),
                "honour.granted": dates(granted),
                "honour.body": constant("样例总工会", index),
                "document_no": constant(None, index),
                "contest.number": where(won, _contest_no(world, province, contest.astype(np.uint64))),
                "honour.place": where(won, pl.Series(1 + draws.below("honour.place", index, 8))),
                "honour.status": choose(["1", "0"], revoked.astype(np.int64)),
                "honour.revoked": where(revoked, dates(np.minimum(granted + 300, world.last_day(month)))),
            },
        )


def studios(world: World, province: int, month: int, snapshot: bool) -> Iterator[Rows]:  # noqa: ARG001 - a delta
    """All at first; every month the results since January of some."""
    draws, elapsed = world.draws, world.months[month].month
    for base in world.base_chunks():
        index = world.organisation(province, base)
        who = world.anyone("studio.leader", index, province)
        named = world.day_in("studio.named", index, -13 - draws.below("studio.years", index, 100))
        status = draws.weighted("studio.status", index, [94, 4, 2])
        allied = draws.share("studio.allied", index) < 0.3
        alliance = draws.below("studio.alliance", index, 6)
        changed = draws.share(f"studio.told/{month}", index) < 0.3
        counts = {"studio.projects": 6, "studio.results": 5, "studio.patents": 2, "studio.pupils": 40}
        yield Rows(
            index=index,
            values={
                **world.person(who),
                **world.employer(province, base),
                **occupation(world, who),
                "organisation.code": world.base_code(province, base),
                "studio.number": numbering.padded(f"GZS{world.pair(province)}", base, 8),
                "studio.level": choose(list(_LEVELS), draws.weighted("studio.level", index, list(_LEVELS.values()))),
                "studio.named": dates(named),
                "studio.status": choose(["1", "2", "0"], status),
                "studio.changed": where(status > 0, dates(named + 300)),
                "alliance.number": where(allied, numbering.padded(f"LM{world.pair(province)}", alliance, 3)),
                "alliance.name": where(allied, numbering.padded("样例第", alliance) + "创新联盟"),
                "studio.staff": pl.Series(4 + draws.below("studio.members", index, 16)),
                "studio.funded": pl.Series(draws.below("studio.funded", index, 6) * 100_000 * elapsed),
                **{name: pl.Series(draws.below(name, index, most) * elapsed // 3) for name, most in counts.items()},
            },
        ).filter((draws.share("studio.has", index) < 0.25) & (changed if month else True))


def contests(world: World, province: int, month: int, snapshot: bool) -> Iterator[Rows]:  # noqa: ARG001 - events
    """A few in every month."""
    draws = world.draws
    for index in world.events(province, month, _contests(world)):
        base = draws.below("contest.organiser", index, world.bases)
        started = world.day_in("contest.started", index, month)
        skills = draws.share("contest.skills", index) < 0.5
        takers = 20 + draws.below("contest.takers", index, 400)
        amounts = {"contest.frontline": 0.8, "contest.winners": 0.1, "contest.promoted": 0.05}
        yield Rows(
            index=index,
            values={
                **world.employer(province, base),
                **occupation(world, index),
                "organisation.code": world.base_code(province, base),
                "contest.number": _contest_no(world, province, index),
                "contest.name": numbering.padded("样例第", index.astype(np.int64)) + "届职工竞赛",
                "contest.kind": choose(["1", "2", "3"], np.where(skills, 1, 2 * draws.below("contest.kind", index, 2))),
                "contest.level": choose(list(_LEVELS), draws.weighted("contest.level", index, list(_LEVELS.values()))),
                "contest.class": where(
                    skills, choose(list("1234"), draws.weighted("contest.class", index, [1, 3, 6, 9]))
                ),
                "contest.start": dates(started),
                "contest.end": dates(started + draws.below("contest.days", index, 40)),
                "contest.units": pl.Series(1 + draws.below("contest.units", index, 30)),
                "contest.takers": pl.Series(takers),
                "contest.cost": pl.Series(takers * 8_000),
                **{name: pl.Series((takers * share).astype(np.int64)) for name, share in amounts.items()},
            },
        )


def _contests(world: World) -> int:
    return max(world.bases // 20, 3)


def _first_contest(world: World, province: int, month: int) -> int:
    """Number of the first contest of a province and month, as ``World.events`` gives them."""
    return int(next(world.events(province, month, _contests(world)))[0])


def _contest_no(world: World, province: int, index: Index) -> pl.Series:
    return numbering.padded(f"JS{world.pair(province)}", index.astype(np.int64), 8)


ROW_MAKERS: dict[str, RowMaker] = {"honour": honours, "studio": studios, "contest": contests}
