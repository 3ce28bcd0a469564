"""Values that come again: each distinct one gets a number, so that what is costly is done once for it."""

# The decorator says the types; comparisons one by one are what the compiler likes.
# mypy: ignore-errors

import numba
import numpy as np
from numba import boolean, int32, int64, uint8, uint64

from ingest.compiled import BYTES, HASHES, INTEGERS, PLACES, compiled
from ingest.compiled.words import few, word

_TWO = numba.types.UniTuple(int64, 2)


@compiled(uint64, uint64, uint64, inline="always")
def stirred(state, value):
    """A state that has taken in one more number."""
    state = (state ^ value) * np.uint64(0x9E3779B97F4A7C15)
    return state ^ (state >> np.uint64(29))


@compiled(uint64, BYTES, int64, int64, uint64)
def text_hash(block, at, end, seed):
    """The hash of a piece of a block, eight bytes at a time; its length is part of it."""
    state = stirred(seed, np.uint64(end - at))
    place = np.uintp(at)
    last = np.uintp(end)
    while place + np.uintp(8) <= last:
        state = stirred(state, word(block, place))
        place += np.uintp(8)
    if place < last:
        state = stirred(state, few(block, place, np.int64(last - place)))
    return state


@compiled(numba.void, BYTES, PLACES, PLACES, uint64, uint64[::1])
def add_texts(block, starts, ends, seed, states):
    """Add the hash of each text to the state of its row; that of no text is 0."""
    for row in range(starts.size):
        if starts[row] < ends[row]:
            states[row] += text_hash(block, starts[row], ends[row], seed)


@compiled(numba.void, INTEGERS, int64, uint64, uint64[::1])
def add_numbers(values, nothing, seed, states):
    """The same for whole numbers, of which ``nothing`` is as good as none."""
    for row in range(values.size):
        if values[row] != nothing:
            states[row] += stirred(seed, np.uint64(values[row]))


@compiled(boolean, uint8[::1], int64, BYTES, int64, int64, inline="always")
def _same(kept, begin, block, at, size):
    """Whether two pieces of ``size`` bytes are equal from their ninth byte on."""
    equal = True
    for offset in range(8, size):
        equal = equal and kept[np.uintp(begin + offset)] == block[np.uintp(at + offset)]
    return equal


@compiled(
    _TWO,
    *(BYTES, PLACES, PLACES, int64, int32[::1], int64[::1], uint64[::1], uint8[::1], int64, int64[::1]),
)
def number_texts(block, starts, ends, row, slots, bounds, words, kept, count, numbers):
    """Number the texts of a column from ``row`` on, until there is no room for a new one.

    Args:
        block: Where the texts lie.
        starts: Where each begins,
        ends: and ends.
        row: Where to begin.
        slots: (a power of two) 1 + the number of the text kept there, 0 where there is none.
        bounds: Where the kept texts begin and end: the text of number n lies in ``bounds[n]`` to ``bounds[n + 1]``.
        words: The first eight bytes of each: most texts have no more.
        kept: Their bytes.
        count: How many there are.
        numbers: Takes the numbers.

    Returns:
        The row it came to, and how many texts are kept then.
    """
    mask = np.uint64(slots.size - 1)
    last, last_word, last_size = 0, np.uint64(0), -1
    while row < starts.size:
        at, end = np.int64(starts[row]), np.int64(ends[row])
        size = end - at
        first = word(block, np.uintp(at)) if size >= 8 else few(block, np.uintp(at), size)
        if size == last_size and first == last_word and _same(kept, bounds[last], block, at, size):
            numbers[row] = last  # often the same as the one before
            row += 1
            continue
        hashed = stirred(np.uint64(size), first) if size <= 8 else text_hash(block, at, end, np.uint64(0))
        slot = hashed & mask
        found = -1
        while slots[slot] != 0:
            candidate = slots[slot] - 1
            begin = bounds[candidate]
            fits = words[candidate] == first and bounds[candidate + 1] - begin == size
            if fits and _same(kept, begin, block, at, size):
                found = candidate
                break
            slot = (slot + np.uint64(1)) & mask
        if found < 0:
            begin = bounds[count]
            if count + 2 > bounds.size or begin + size > kept.size or 2 * (count + 1) > slots.size:
                break
            for offset in range(size):
                kept[begin + offset] = block[at + offset]
            slots[slot] = count + 1
            words[count] = first
            found = count
            count += 1
            bounds[count] = begin + size
        numbers[row] = found
        last, last_word, last_size = found, first, size
        row += 1
    return row, count


@compiled(
    numba.void,
    *(INTEGERS, PLACES, PLACES, HASHES, numba.types.Array(numba.boolean, 1, "C", readonly=True)),
    *(int32[::1], int32[::1], uint64[::1], numba.boolean[::1]),
)
def spread(numbers, starts, ends, hashes, odd, row_starts, row_ends, row_hashes, row_odd):
    """Give each row what is known of its number: where its text begins and ends, its hash, whether it is odd."""
    for row in range(numbers.size):
        number = np.uintp(numbers[row])
        row_starts[row] = starts[number]
        row_ends[row] = ends[number]
        row_hashes[row] = hashes[number]
        row_odd[row] |= odd[number]


@compiled(_TWO, INTEGERS, numba.boolean[::1], int64, int32[::1], int64[::1], int64, int64[::1], numba.boolean[::1])
def number_numbers(values, asked, row, slots, kept, count, numbers, fresh):
    """The same for whole numbers in the rows that are ``asked`` for; marks in ``fresh`` where each came first."""
    mask = np.uint64(slots.size - 1)
    while row < values.size:
        numbers[row] = -1
        fresh[row] = False
        if asked[row]:
            value = values[row]
            slot = stirred(np.uint64(0), np.uint64(value)) & mask
            while slots[slot] != 0 and kept[slots[slot] - 1] != value:
                slot = (slot + np.uint64(1)) & mask
            if slots[slot] == 0:
                if count >= kept.size or 2 * (count + 1) > slots.size:
                    break
                kept[count] = value
                count += 1
                slots[slot] = count
                fresh[row] = True
            numbers[row] = slots[slot] - 1
        row += 1
    return row, count


@compiled(numba.void, HASHES, INTEGERS, numba.boolean[::1], uint64[::1], numba.boolean[::1])
def changed(states, numbers, asked, last, fresh):
    """Mark in ``fresh`` the rows asked for whose state is another than the last one of their number."""
    for row in range(states.size):
        if asked[row] and last[numbers[row]] != states[row]:
            last[numbers[row]] = states[row]
            fresh[row] = True
