"""Random draws as a function: the same seed, purpose and number give the same draw, in any order and any batch.

So the same person appears in three sources, and millions of rows are made, without anything held in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.uint64]
Numbers = NDArray[np.int64]
Shares = NDArray[np.floating]


@dataclass(frozen=True)
class Draws:
    """Draws by ``purpose`` and number (``index``, one draw per element)."""

    seed: int

    def bits(self, purpose: str, index: Index) -> Index:
        """64 uniform bits per element (the finaliser of SplitMix64 over seed, purpose and number)."""
        salt = int.from_bytes(blake2b(f"{self.seed}:{purpose}".encode(), digest_size=8).digest(), "little")
        state = index * np.uint64(0x9E3779B97F4A7C15) + np.uint64(salt)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return state ^ (state >> np.uint64(31))

    def share(self, purpose: str, index: Index) -> Shares:
        """Uniform in [0, 1)."""
        return (self.bits(purpose, index) >> np.uint64(11)) * 2.0**-53

    def below(self, purpose: str, index: Index, bound: int | Numbers) -> Numbers:
        """Uniform in 0 .. bound - 1."""
        return (self.share(purpose, index) * bound).astype(np.int64)

    def normal(self, purpose: str, index: Index) -> Shares:
        """Standard normal (Box-Muller)."""
        radius = np.sqrt(-2.0 * np.log1p(-self.share(purpose + "/radius", index)))
        return radius * np.cos(2.0 * np.pi * self.share(purpose + "/angle", index))

    def weighted(self, purpose: str, index: Index, weights: Sequence[float]) -> Numbers:
        """Positions in ``weights``, each with the probability of its weight."""
        steps = np.cumsum(weights) / np.sum(weights)
        return np.minimum(np.searchsorted(steps, self.share(purpose, index), side="right"), len(weights) - 1)
