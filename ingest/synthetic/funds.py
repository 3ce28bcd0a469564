"""Rows that the union federations report about money: budgets with their execution, findings of audits."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from ingest.synthetic import numbering
from ingest.synthetic.draws import Index
from ingest.synthetic.membership import federations
from ingest.synthetic.world import SERIES_SIZE, RowMaker, Rows, World, choose, constant, dates, where

#: Accounts with the size of their budgets (yuan); a federation's is larger.
_ACCOUNTS = {"I1": 4_000, "I2": 60_000, "I3": 20_000, "I8": 2_000, "E1": 30_000, "E3": 15_000, "E4": 5_000, "E5": 9_000}
_OF_FEDERATIONS = {"E6": 12_000, "E8": 40_000}
_LARGER = 40
_REFORM = "1"


def budgets(world: World, province: int, month: int, snapshot: bool) -> Iterator[Rows]:  # noqa: ARG001 - events
    """The budgets of the year with what was spent since January: at first all, then those of federations and some."""
    draws = world.draws
    unions = federations(world, province)
    for account, size in {**_ACCOUNTS, **_OF_FEDERATIONS}.items():
        yield _budget(world, unions.index, unions.values["organisation.code"], account, size * _LARGER, month)
    yield _budget(world, unions.index, unions.values["organisation.code"], "E5", 3_000 * _LARGER, month, _REFORM)
    for base in world.base_chunks():
        index, code = world.organisation(province, base), world.base_code(province, base)
        reported = draws.share(f"budget.told/{month}", index) < (0.2 if month else 0.9)
        for account, size in _ACCOUNTS.items():
            yield _budget(world, index, code, account, size, month).filter(reported)


def _budget(
    world: World, organisation: Index, code: pl.Series, account: str, size: int, month: int, purpose: str = "0"
) -> Rows:
    draws, item = world.draws, f"budget/{account}/{purpose}"
    year, elapsed = world.months[month].year, world.months[month].month
    index = organisation + np.uint64(year * 100 * SERIES_SIZE)
    budget = (size * 100 * (0.5 + draws.share(item, index))).astype(np.int64)
    adjusted = (budget * (0.9 + 0.3 * draws.share(item + "/adjusted", index))).astype(np.int64)
    spent = adjusted * elapsed // 12 * (70 + draws.below(item + f"/spent/{month}", index, 35)) // 100
    return Rows(
        index=index,
        values={
            "organisation.code": code,
            "budget.year": constant(str(year), index).cast(pl.Int64),
            "budget.account": constant(account, index),
            "budget.use": constant(purpose, index),
            "budget.planned": pl.Series(budget),
            "budget.changed": where(draws.share(item + "/changed", index) < 0.4, pl.Series(adjusted)),
            "budget.spent": pl.Series(spent),
            "budget.until": dates(np.full(len(index), world.last_day(month))),
        },
    )


def findings(world: World, province: int, month: int, snapshot: bool) -> Iterator[Rows]:  # noqa: ARG001 - events
    """Those reported in the month, and once more those of former months that were put right in it."""
    every = max(world.bases // 10, 5)
    for reported_month in range(month + 1):
        for index in world.events(province, reported_month, every):
            draws = world.draws
            base = draws.below("finding.base", index, world.bases)
            issued = world.day_in("finding.issued", index, reported_month)
            due = issued + 60
            done = issued + 10 + draws.below("finding.days", index, 100)
            over = (done <= world.last_day(month)) & (draws.share("finding.done", index) < 0.85)
            amount = 10_000 + draws.below("finding.amount", index, 20_000_000)
            priced = draws.share("finding.priced", index) < 0.8
            partly = draws.share("finding.partly", index) < 0.2
            yield Rows(
                index=index,
                values={
                    "organisation.code": world.base_code(province, base),
                    "finding.number": numbering.padded(f"WT{world.pair(province)}", index.astype(np.int64), 8),
                    "audit.number": numbering.padded(
                        f"SJ{world.pair(province)}", (index // np.uint64(3)).astype(np.int64), 8
                    ),
                    "audit.organisation": federations(world, province)
                    .values["organisation.code"][:1]
                    .new_from_index(0, len(index)),
                    "audit.kind": choose(list("12349"), draws.weighted("finding.audit", index, [40, 20, 20, 15, 5])),
                    "finding.issued": dates(issued),
                    "finding.sum": where(priced, pl.Series(amount)),
                    "finding.due": dates(due),
                    "finding.done": where(over, dates(done)),
                    "finding.repaid": where(over & priced, pl.Series(np.where(partly, amount // 2, amount))),
                },
            ).filter(
                np.full(len(index), True) if reported_month == month else over & (done > world.last_day(month - 1))
            )


ROW_MAKERS: dict[str, RowMaker] = {"fund_budget": budgets, "audit_finding": findings}
