"""Amounts that keep the identities of a contract, exactly and all of them at once.

Whole amounts that are not negative and keep sums such as ``a = b + c`` or ``a <= b`` form a cone: the sum of two
solutions is a solution too. So its edges are computed once (the double description method of Motzkin), and amounts are
sums of edges drawn at random.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ingest.synthetic.draws import Draws, Index, Numbers

#: The greatest number of edges of a cone, and how many are added up to a row.
_EDGES, _DRAWN = 400, 4


def edges(names: Sequence[str], rules: Sequence[tuple[Mapping[str, int], str]]) -> NDArray[np.int64]:
    """The edges of the cone, one per row, one column per name.

    Args:
        names: of the amounts.
        rules: coefficients by name, and ``=`` or ``<=``: their sum is 0, or at most 0.
    """
    slack = [number for number, (_, operator) in enumerate(rules) if operator == "<="]
    rays = np.eye(len(names) + len(slack), dtype=np.int64)
    for number, (coefficients, _) in enumerate(rules):
        rule = np.array([coefficients.get(name, 0) for name in names] + [int(number == other) for other in slack])
        value = rays @ rule
        crossing = [
            value[over] * rays[under] - value[under] * rays[over]
            for over in np.flatnonzero(value > 0)
            for under in np.flatnonzero(value < 0)
        ]
        rays = _minimal([*rays[value == 0], *(ray // math.gcd(*ray.tolist()) for ray in crossing)], len(rule))
    found = rays[:, : len(names)]
    return found[found.any(axis=1)]


def _minimal(rays: Sequence[NDArray[np.int64]], width: int) -> NDArray[np.int64]:
    """The rays of which no other ray is a part: the rest are sums of these."""
    minimal: list[NDArray[np.int64]] = []
    for ray in sorted(rays, key=lambda ray: int((ray > 0).sum())):
        if not any(((other > 0) <= (ray > 0)).all() for other in minimal):
            minimal.append(ray)
    return np.array(minimal[:_EDGES], dtype=np.int64).reshape(-1, width)


def drawn(
    cone: NDArray[np.int64], low: Numbers, high: Numbers, most: int, draws: Draws, purpose: str, index: Index
) -> NDArray[np.int64] | None:
    """Amounts of the cone, one row per element of ``index``, one column per amount.

    Args:
        cone: its edges.
        low: each amount is at least so great; at least 0.
        high: each amount is at most so great.
        most: drawn amounts do not exceed this, even if ``high`` is greater.
        draws: of the world.
        purpose: of the draws.
        index: the rows.

    Returns:
        None where the bounds leave no amounts that are easily found.
    """
    least = np.zeros(len(low), dtype=np.int64)
    for amount in np.flatnonzero(low > 0):
        candidates = cone[cone[:, amount] > 0]
        if least[amount] < low[amount] and len(candidates):
            edge = candidates[candidates.sum(axis=1).argmin()]
            least += edge * -((least[amount] - low[amount]) // edge[amount])
    if (least < low).any() or (least > high).any():
        return None
    result = np.repeat(least[None, :], len(index), axis=0)
    if not len(cone):
        return result
    room = np.minimum(high - least, most) // _DRAWN
    times = np.where(cone > 0, room // np.maximum(cone, 1), most).min(axis=1)
    for turn in range(_DRAWN):
        edge = draws.below(f"{purpose}/edge/{turn}", index, len(cone))
        result += cone[edge] * draws.below(f"{purpose}/times/{turn}", index, times[edge] + 1)[:, None]
    return result
