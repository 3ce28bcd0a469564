"""What the union federations tell of the services they give."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from ingest.synthetic import numbering
from ingest.synthetic.world import RowMaker, Rows, World, choose, constant, dates, where

#: Types of services with their weights.
_TYPES = {"11": 6, "12": 6, "13": 3, "14": 3, "15": 2, "21": 12, "22": 12, "23": 10, "31": 12, "41": 6, "51": 18}
_TYPES |= {"52": 1, "61": 4, "62": 4, "99": 1}
_AID, _MUTUAL, _STATION = ("11", "12", "13"), "31", "51"
_IN_KIND = ("21", "22", "23")
#: Schemes of mutual aid (``mutual_aid_scheme``), by the first two digits of the provinces that have one.
_SCHEMES = {"35": "inpatient-13", "44": "second-claim"}


def records(world: World, province: int, month: int, snapshot: bool) -> Iterator[Rows]:  # noqa: ARG001 - events
    """Services of the month; a station counts visitors that it does not know."""
    draws = world.draws
    scheme = _SCHEMES.get(world.pair(province))
    for index in world.events(province, month, max(world.persons // len(world.provinces) // 3, 20)):
        who = world.anyone("service.who", index, province)
        kind = choose(list(_TYPES), draws.weighted("service.type", index, list(_TYPES.values())))
        aided, given, mutual, at_station = (
            kind.is_in(list(kinds)).to_numpy() for kinds in (_AID, _IN_KIND, [_MUTUAL], [_STATION])
        )
        mutual &= scheme is not None
        known = ~at_station | (draws.share("service.known", index) < 0.3)
        base = world.base_of(who, province)
        money = 20_000 + draws.below("service.money", index, 300_000)
        yield Rows(
            index=index,
            values={
                **{name: where(known, value) for name, value in world.person(who).items()},
                "organisation.code": world.base_code(province, base),
                "organisation.division": world.employer(province, base)["organisation.division"],
                "service.number": numbering.padded(f"FW{world.provinces[province]}", index.astype(np.int64), 10),
                "service.type": kind,
                "service.day": dates(world.day_in("service.day", index, month)),
                "service.visitors": pl.Series(np.where(known, 1, 1 + draws.below("service.visitors", index, 40))),
                "service.money": where(aided | mutual, pl.Series(money)),
                "service.goods": where(given, pl.Series(money // 10)),
                "service.source": where(aided | given | mutual, choose(["3", "1", "5"], aided + 2 * mutual)),
                "service.hardship": where(
                    aided, choose(["1", "2", "3"], draws.weighted("service.hard", index, [4, 4, 2]))
                ),
                "service.scheme": where(mutual, constant(scheme, index)),
                "service.site": where(at_station, numbering.padded("YZ", base % 50, 3)),
            },
        )


ROW_MAKERS: dict[str, RowMaker] = {"service_record": records}
