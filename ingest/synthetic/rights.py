"""What the union federations tell of rights: democratic management, collective contracts, disputes."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from ingest.synthetic import numbering
from ingest.synthetic.draws import Index, Numbers
from ingest.synthetic.world import Days, RowMaker, Rows, World, choose, constant, dates, where

#: Forms of democratic management, and how many organisations in a hundred have each.
_REGIMES = {"1": 62, "21": 55, "22": 14, "31": 4, "33": 6, "34": 5, "35": 3, "39": 2}
#: Kinds of contracts, likewise.
_KINDS = {"1": 38, "2": 26, "3": 15, "4": 8, "9": 3}
_WAGES = "2"
#: Outcomes of disputes with weights, and those in which money is recovered.
_OUTCOMES = {"1": 22, "2": 34, "3": 10, "4": 10, "5": 11, "6": 5, "7": 6, "9": 2}
_RECOVERED = ["1", "2", "4", "5"]
#: The number of a contract is made of those of its organisation, kind and month.
_FACTOR = np.uint64(100)


def regimes(world: World, province: int, month: int, snapshot: bool) -> Iterator[Rows]:  # noqa: ARG001 - a delta
    """All forms at first, then those that met in the month."""
    draws = world.draws
    for base in world.base_chunks():
        for number, (regime, share) in enumerate(_REGIMES.items()):
            index = world.organisation(province, base) * _FACTOR + np.uint64(number)
            held = draws.below("regime.held", index, 12) == (month + number) % 12
            months_ago = 1 if month else 1 + draws.below("regime.ago", index, 16)
            established = world.day_in("regime.established", index, -18 - draws.below("regime.years", index, 120))
            ended = draws.share("regime.ended", index) < 0.02
            delegates = 12 + draws.below("regime.delegates", index, 90)
            proposals = draws.below(f"regime.proposals/{month}", index, 30)
            yield Rows(
                index=index,
                values={
                    "organisation.code": world.base_code(province, base),
                    "regime.form": constant(regime, index),
                    "regime.start": dates(established),
                    "regime.end": where(ended, dates(established + 400)),
                    "regime.document": numbering.padded("样工发", base % 900, 3) + "号",
                    "regime.held": dates(world.day_in(f"regime.day/{month}", index, month + 1 - months_ago)),
                    "regime.delegates": pl.Series(delegates),
                    "regime.frontline": _part(world, "regime.frontline", index, delegates, 0.5),
                    "regime.present": _part(world, f"regime.attended/{month}", index, delegates, 0.65),
                    "regime.motions": pl.Series(proposals),
                    "regime.settled": _part(world, f"regime.closed/{month}", index, proposals, 0.5),
                },
            ).filter((draws.share("regime.has", index) < share / 100) & (held if month else True))


def contracts(world: World, province: int, month: int, snapshot: bool) -> Iterator[Rows]:  # noqa: ARG001 - events
    """Those of the last three years at first, then what each month brings."""
    for base in world.base_chunks():
        for kind in _KINDS:
            yield _contracts(world, province, base, kind, month)


def units(world: World, province: int, month: int, snapshot: bool) -> Iterator[Rows]:  # noqa: ARG001 - events
    """Those that contracts of an area or industry cover: the neighbours of the organisation that signed."""
    draws = world.draws
    for base in world.base_chunks():
        for kind in _KINDS:
            signed = _contracts(world, province, base, kind, month)
            wide = signed.filter((signed.values["contract.reach"] != "1").to_numpy())
            signer = wide.values["contract.signer"].to_numpy()
            for step in range(1, 6):
                unit, index = (signer + step) % world.bases, wide.index * _FACTOR + np.uint64(step)
                employer = world.employer(province, unit)
                left = draws.share("unit.left", index) < 0.04
                signed_on = wide.values["contract.signed"].to_numpy().astype("datetime64[D]")
                yield Rows(
                    index=index,
                    values={
                        **employer,
                        "organisation.code": world.base_code(province, unit),
                        "contract.number": wide.values["contract.number"],
                        "unit.staff": pl.Series(8 + draws.below("unit.workers", index, 60)),
                        "unit.left": where(left, dates(np.minimum(signed_on + 90, world.last_day(month)))),
                    },
                ).filter(employer["employer.uscc"].is_not_null().to_numpy() & (step <= 3 + signer % 3))


def _contracts(world: World, province: int, base: Numbers, kind: str, month: int) -> Rows:
    """Contracts of one kind that organisations signed in a month, or in the years before."""
    draws = world.draws
    index = (world.organisation(province, base) * _FACTOR + np.uint64(int(kind))) * _FACTOR + np.uint64(month)
    when = np.full(len(index), month) if month else -draws.below("contract.ago", index, 34)
    signed = world.day_in("contract.signed", index, when)
    scope = choose(["1", "2", "3"], draws.weighted("contract.scope", base.astype(np.uint64), [86, 9, 5]))
    sent = (draws.share("contract.sent", index) < 0.93) & (signed + 12 <= world.last_day(month))
    start, years = signed + 1, 1 + draws.below("contract.years", index, 3)
    ends = draws.share("contract.terminated", index) < 0.02
    workers = 10 + draws.below("contract.workers", index, 60)
    return Rows(
        index=index,
        values={
            **world.employer(province, base),
            "organisation.code": world.base_code(province, base),
            "contract.signer": pl.Series(base),
            "contract.number": numbering.padded(f"HT{world.pair(province)}{kind}-", index.astype(np.int64), 18),
            "contract.sort": constant(kind, index),
            "contract.reach": scope,
            "contract.passed": dates(signed - 8),
            "contract.signed": dates(signed),
            "contract.sent": where(sent, dates(signed + 6)),
            "contract.reviewed": choose(["2", "1", "3"], draws.weighted("contract.review", index, [88, 9, 3])).zip_with(
                pl.Series(sent), constant("0", index)
            ),
            "contract.start": dates(start),
            "contract.end": dates(start + years * 365 - 1),
            "contract.broken": where(ends & (start + 60 <= world.last_day(month)), dates(start + 60)),
            "contract.units": where(scope != "1", pl.Series(3 + base % 3)),
            "contract.staff": pl.Series(workers),
            "contract.women": _part(world, "contract.women", index, workers, 0.1),
            "contract.raise": where(
                np.full(len(index), kind == _WAGES), pl.Series(draws.below("contract.wages", index, 16) * 0.5)
            ),
        },
    ).filter(draws.share("contract.has", index) < _KINDS[kind] / (2_000 if month else 100))


def disputes(world: World, province: int, month: int, snapshot: bool) -> Iterator[Rows]:  # noqa: ARG001 - events
    """Those taken up in the month, and once more those of the two before that were closed in it."""
    every = max(world.persons // len(world.provinces) // 25, 12)
    for reported_month in range(max(month - 2, 0), month + 1):
        for index in world.events(province, reported_month, every):
            rows, closed = _disputes(world, province, index, reported_month, month)
            again = (
                (closed <= world.last_day(month)) & (closed > world.last_day(month - 1)) if month else closed < closed
            )
            yield rows if reported_month == month else rows.filter(again)


def _disputes(world: World, province: int, index: Index, reported_month: int, month: int) -> tuple[Rows, Days]:
    draws = world.draws
    who = world.anyone("dispute.who", index, province)
    accepted = world.day_in("dispute.accepted", index, reported_month)
    closed = accepted + 2 + draws.below("dispute.days", index, 70)
    over = closed <= world.last_day(month)
    outcome = choose(list(_OUTCOMES), draws.weighted("dispute.outcome", index, list(_OUTCOMES.values())))
    claimed = 100_000 + draws.below("dispute.claimed", index, 9_000_000)
    recovered = (claimed * (0.4 + 0.7 * draws.share("dispute.recovered", index))).astype(np.int64)
    base = world.base_of(who, province)
    group = draws.share("dispute.group", index) < 0.06
    rows = Rows(
        index=index,
        values={
            **world.person(who),
            **world.employer(province, base),
            "employer.name": numbering.padded(f"样例{world.pair(province)}第", base) + "有限公司",
            "organisation.code": world.base_code(province, base),
            "dispute.number": numbering.padded(f"ZY{world.provinces[province]}", index.astype(np.int64), 10),
            "dispute.staff": pl.Series(np.where(group, 10 + draws.below("dispute.workers", index, 60), 1)),
            "dispute.accepted": dates(accepted),
            "dispute.closed": where(over, dates(closed)),
            "dispute.result": where(over, outcome),
            "dispute.claim": pl.Series(claimed),
            "dispute.won": where(over & outcome.is_in(_RECOVERED).to_numpy(), pl.Series(recovered)),
        },
    )
    return rows, closed


def _part(world: World, purpose: str, index: Index, whole: Numbers, least: float) -> pl.Series:
    """At least this share of the whole, at most all."""
    return pl.Series((whole * (least + (1 - least) * world.draws.share(purpose, index))).astype(np.int64))


ROW_MAKERS: dict[str, RowMaker] = {
    "regime": regimes,
    "collective_contract": contracts,
    "contract_unit": units,
    "dispute_case": disputes,
}
