"""Hashes of values, and small ids for distinct values, so that costly work is done once per distinct value."""

# The decorator declares the types; separate comparisons compile to faster code than ``in``.
# mypy: ignore-errors

import numba
import numpy as np
from numba import boolean, int32, int64, uint8, uint64

from ingest.kernels import BYTES, HASHES, INTEGERS, OFFSETS, compiled, inlined
from ingest.kernels.unaligned import load_partial_u64, load_u64

_ROW_AND_COUNT = numba.types.UniTuple(int64, 2)


@compiled(uint64, uint64, uint64, inline="always")
def hash_combine(state, value):
    """Mix another integer into a hash state."""
    state = (state ^ value) * np.uint64(0x9E3779B97F4A7C15)
    return state ^ (state >> np.uint64(29))


@compiled(uint64, BYTES, int64, int64, uint64)
def text_hash(buffer, start, end, seed):
    """The hash of a slice of a buffer, eight bytes at a time; the length is part of it."""
    state = hash_combine(seed, np.uint64(end - start))
    position = np.uintp(start)
    last_id = np.uintp(end)
    while position + np.uintp(8) <= last_id:
        state = hash_combine(state, load_u64(buffer, position))
        position += np.uintp(8)
    if position < last_id:
        state = hash_combine(state, load_partial_u64(buffer, position, np.int64(last_id - position)))
    return state


@compiled(numba.void, BYTES, OFFSETS, OFFSETS, uint64, uint64[::1])
def add_text_hashes(buffer, starts, ends, seed, states):
    """Add the hash of each text to the hash of its row; empty text adds 0."""
    for row in range(starts.size):
        if starts[row] < ends[row]:
            states[row] += text_hash(buffer, starts[row], ends[row], seed)


@compiled(numba.void, INTEGERS, int64, uint64, uint64[::1])
def add_integer_hashes(values, missing, seed, states):
    """Add the hash of each integer to the hash of its row; the value ``missing`` adds 0."""
    for row in range(values.size):
        if values[row] != missing:
            states[row] += hash_combine(seed, np.uint64(values[row]))


@compiled(boolean, uint8[::1], int64, BYTES, int64, int64, inline="always")
def _same(stored, stored_start, buffer, start, size):
    """Whether two slices of ``size`` bytes are equal from their ninth byte on."""
    equal = True
    for offset in range(8, size):
        equal = equal and stored[np.uintp(stored_start + offset)] == buffer[np.uintp(start + offset)]
    return equal


@inlined(
    numba.types.Tuple((int64, uint64)),
    *(int32[::1], int64[::1], uint64[::1], uint8[::1], uint64, BYTES, int64, int64, uint64),
)
def _find_text(slots, bounds, prefixes, stored, slot, buffer, start, size, prefix):
    """Find a text in the hash table of ``intern_text``, from a slot on.

    Returns:
        The id of the text, or -1 if it is not stored; its slot, or the empty one where it belongs.
    """
    while slots[slot] != 0:
        candidate = slots[slot] - 1
        stored_start = bounds[candidate]
        may_match = prefixes[candidate] == prefix and bounds[candidate + 1] - stored_start == size
        if may_match and _same(stored, stored_start, buffer, start, size):
            return np.int64(candidate), slot
        slot = (slot + np.uint64(1)) & np.uint64(slots.size - 1)
    return np.int64(-1), slot


@compiled(
    _ROW_AND_COUNT,
    *(BYTES, OFFSETS, OFFSETS, int64, int32[::1], int64[::1], uint64[::1], uint8[::1], int64, int64[::1]),
)
def intern_text(buffer, starts, ends, row, slots, bounds, prefixes, stored, count, ids):
    """Give each distinct text of a column an id, from ``row`` on, until the tables are full.

    Args:
        buffer: The bytes of the column.
        starts: The offset of each row's text.
        ends: The offset after each row's text.
        row: The first row to process.
        slots: Hash table (size a power of two): 1 + the id of the stored text, 0 for an empty slot.
        bounds: The stored text with id n is ``stored[bounds[n]:bounds[n + 1]]``.
        prefixes: The first eight bytes of each stored text; most texts are not longer.
        stored: The bytes of the stored texts.
        count: The number of stored texts.
        ids: Output: the id of each row.

    Returns:
        The row at which it stopped, and the number of stored texts.
    """
    last_id, last_prefix, last_size = 0, np.uint64(0), -1
    while row < starts.size:
        start, end = np.int64(starts[row]), np.int64(ends[row])
        size = end - start
        prefix = load_u64(buffer, np.uintp(start)) if size >= 8 else load_partial_u64(buffer, np.uintp(start), size)
        if size == last_size and prefix == last_prefix and _same(stored, bounds[last_id], buffer, start, size):
            ids[row] = last_id  # the same text as in the row before, which is common
            row += 1
            continue
        hashed = hash_combine(np.uint64(size), prefix) if size <= 8 else text_hash(buffer, start, end, np.uint64(0))
        slot = hashed & np.uint64(slots.size - 1)
        found, slot = _find_text(slots, bounds, prefixes, stored, slot, buffer, start, size, prefix)
        if found < 0:
            stored_start = bounds[count]
            if count + 2 > bounds.size or stored_start + size > stored.size or 2 * (count + 1) > slots.size:
                break
            for offset in range(size):
                stored[stored_start + offset] = buffer[start + offset]
            slots[slot] = count + 1
            prefixes[count] = prefix
            found = count
            count += 1
            bounds[count] = stored_start + size
        ids[row] = found
        last_id, last_prefix, last_size = found, prefix, size
        row += 1
    return row, count


@compiled(
    numba.void,
    *(INTEGERS, OFFSETS, OFFSETS, HASHES, numba.types.Array(numba.boolean, 1, "C", readonly=True)),
    *(int32[::1], int32[::1], uint64[::1], numba.boolean[::1]),
)
def gather_by_id(ids, starts, ends, hashes, needs_check, row_starts, row_ends, row_hashes, row_needs_check):
    """Copy the properties of each row's id to the row: text offsets, hash, and whether it needs a full check."""
    for row in range(ids.size):
        id_ = np.uintp(ids[row])
        row_starts[row] = starts[id_]
        row_ends[row] = ends[id_]
        row_hashes[row] = hashes[id_]
        row_needs_check[row] |= needs_check[id_]


@compiled(
    _ROW_AND_COUNT, INTEGERS, numba.boolean[::1], int64, int32[::1], int64[::1], int64, int64[::1], numba.boolean[::1]
)
def intern_integers(values, selected, row, slots, stored, count, ids, first_seen):
    """Give each distinct integer of the ``selected`` rows an id (-1 elsewhere); marks first occurrences."""
    slot_mask = np.uint64(slots.size - 1)
    while row < values.size:
        ids[row] = -1
        first_seen[row] = False
        if selected[row]:
            value = values[row]
            slot = hash_combine(np.uint64(0), np.uint64(value)) & slot_mask
            while slots[slot] != 0 and stored[slots[slot] - 1] != value:
                slot = (slot + np.uint64(1)) & slot_mask
            if slots[slot] == 0:
                if count >= stored.size or 2 * (count + 1) > slots.size:
                    break
                stored[count] = value
                count += 1
                slots[slot] = count
                first_seen[row] = True
            ids[row] = slots[slot] - 1
        row += 1
    return row, count


@compiled(numba.void, HASHES, INTEGERS, numba.boolean[::1], uint64[::1], numba.boolean[::1])
def mark_changed(states, ids, selected, last_states, first_seen):
    """Mark in ``first_seen`` the selected rows whose hash differs from the last hash of the same id."""
    for row in range(states.size):
        if selected[row] and last_states[ids[row]] != states[row]:
            last_states[ids[row]] = states[row]
            first_seen[row] = True
