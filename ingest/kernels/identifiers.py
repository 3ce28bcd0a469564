"""Finds numbers of persons within texts, and one text within another.

Each function sets ``found`` for the rows of a text column (``buffer, starts, ends``) that hold one, and never clears
it. What a number must be comes as arguments.
"""

# mypy: ignore-errors

import numba
import numpy as np
from numba import boolean, int64

from ingest.kernels import BYTES, INTEGERS, NULL, OFFSETS, compiled, inlined
from ingest.kernels.values import RESIDENT_SIZE, _days_since_epoch

_TEXT_COLUMN = (BYTES, OFFSETS, OFFSETS)
_MASK = boolean[::1]
#: Digits of the residents' numbers that were given out until 1999.
_OLD_SIZE = 15
#: Digits of a text that are remembered.
_MOST_DIGITS = 512
#: What is no digit; the letter X at the end of a resident's number.
_OTHER, _X = -1, 10


@compiled(numba.types.UniTuple(int64, 2), BYTES, int64, int64, inline="always")
def _next_digit(buffer, position, end):
    """The digit at a position, or ``_X`` or ``_OTHER``, and its bytes: a full-width one (U+FF10) has three."""
    if position == end:
        return _OTHER, 1
    byte = np.int64(buffer[np.uintp(position)])
    if byte < 0x80:
        if 48 <= byte <= 57:
            return byte - 48, 1
        return (_X if byte == 88 or byte == 120 else _OTHER), 1
    if byte == 0xEF and position + 2 < end and buffer[np.uintp(position + 1)] == 0xBC:
        digit = np.int64(buffer[np.uintp(position + 2)]) - 0x90
        if 0 <= digit <= 9:
            return digit, 3
        return (_X if digit == 0x28 else _OTHER), 3
    return _OTHER, 1


@compiled(boolean, INTEGERS, int64, int64, int64, boolean[::1], int64, int64)
def _is_person(digits, first, century, year_digits, prefixes, minimum, maximum):
    """Whether digits begin as a resident's number: a province, and behind six digits a birth date within the bounds."""
    if not prefixes[digits[first] * 10 + digits[first + 1]]:
        return False
    position = first + 6
    year = century
    for offset in range(year_digits):
        year = year * 10 + digits[position + offset]
    position += year_digits
    birth = _days_since_epoch(
        year, digits[position] * 10 + digits[position + 1], digits[position + 2] * 10 + digits[position + 3]
    )
    return birth != NULL and minimum <= birth <= maximum


@compiled(boolean, INTEGERS, int64, INTEGERS, INTEGERS, boolean[::1], int64, int64)
def _is_resident(digits, first, weights, checks, prefixes, minimum, maximum):
    """Whether 18 digits are a resident's number: its check, its province, its birth date."""
    total = 0
    for position in range(weights.size):
        total += digits[first + position] * weights[position]
    if digits[first + weights.size] != checks[total % 11]:
        return False
    return _is_person(digits, first, 0, 4, prefixes, minimum, maximum)


@compiled(boolean, INTEGERS, int64, INTEGERS, INTEGERS)
def _is_phone(digits, run, least, greatest):
    """Whether ``run`` digits are a telephone number."""
    phone = run == least.size and run > 0
    for index in range(run if phone else 0):
        phone = phone and least[index] <= digits[index] <= greatest[index]
    return phone


@inlined(int64, int64[::1], int64, int64)
def _remember(digits, run, digit):
    """Add a digit to a run of them; returns its length. Of a long run only what a number can begin with is kept."""
    if run == _MOST_DIGITS - 1:
        for kept in range(RESIDENT_SIZE):
            digits[kept] = digits[run - RESIDENT_SIZE + kept]
        run = RESIDENT_SIZE
    digits[run] = digit
    return run + 1


@compiled(
    *(boolean, int64[::1], int64, int64, INTEGERS, INTEGERS, boolean[::1], int64, int64, int64, boolean),
    *(INTEGERS, INTEGERS),
)
def _ends_number(
    digits, run, after, weights, checks, prefixes, minimum, maximum, maximum_within, checked_only, least, greatest
):
    """Whether a run of digits, with ``after`` behind it, is a number as a whole, or ends as a number with an X."""
    if after == _X and run >= RESIDENT_SIZE - 1:
        digits[run] = _X
        first = run - (RESIDENT_SIZE - 1)
        latest = maximum if first == 0 else maximum_within
        if _is_resident(digits, first, weights, checks, prefixes, minimum, latest):
            return True
    if run == RESIDENT_SIZE and _is_resident(digits, 0, weights, checks, prefixes, minimum, maximum):
        return True
    if checked_only:
        return False
    if run == _OLD_SIZE and _is_person(digits, 0, 19, 2, prefixes, minimum, maximum):
        return True
    return _is_phone(digits, run, least, greatest)


@compiled(
    *(numba.void, *_TEXT_COLUMN, INTEGERS, INTEGERS, boolean[::1], int64, int64, int64, boolean, INTEGERS, INTEGERS),
    _MASK,
)
def find_numbers(
    buffer, starts, ends, weights, checks, prefixes, minimum, maximum, maximum_within, checked_only, least, greatest,
    found,
):  # fmt: skip
    """Find residents' numbers and telephone numbers.

    A number of 18 characters needs the right check character. Within more digits it counts where its person is old
    enough: numbers of cases and contracts hold a division and a recent day too. A number of 15 digits, which has no
    check character, and a telephone number count only where no digit stands beside them.

    Args:
        buffer: The bytes of the column.
        starts: The offset of each row's text.
        ends: The offset after each row's text.
        weights: Weights of the first 17 digits.
        checks: The check digit of each remainder of their weighted sum modulo 11, 10 for an X.
        prefixes: Which of the numbers 0 to 99 may start a resident's number.
        minimum: Earliest birth date, in days since 1970-01-01.
        maximum: Latest birth date.
        maximum_within: Latest birth date of a number within more digits.
        checked_only: Look for numbers of 18 characters only.
        least: The least digit of each position of a telephone number; empty: none is looked for.
        greatest: The greatest digit of each position.
        found: Output.
    """
    shortest = RESIDENT_SIZE if checked_only else (_OLD_SIZE if least.size == 0 else least.size)
    digits = np.empty(_MOST_DIGITS, dtype=np.int64)
    for row in range(starts.size):
        position, end = np.int64(starts[row]), np.int64(ends[row])
        if end - position < shortest:
            continue
        run = 0
        while position <= end:
            digit, size = _next_digit(buffer, position, end)
            position += size
            if 0 <= digit <= 9:
                run = _remember(digits, run, digit)
                first = run - RESIDENT_SIZE
                if (
                    first >= 0
                    and 1 <= digits[first + 6] <= 2  # the first digit of the year rules most texts out
                    and _is_resident(digits, first, weights, checks, prefixes, minimum, maximum_within)
                ):
                    found[row] = True
            elif run > 0:
                found[row] |= _ends_number(
                    digits, run, digit, weights, checks, prefixes, minimum, maximum, maximum_within, checked_only,
                    least, greatest,
                )  # fmt: skip
                run = 0


@compiled(numba.void, *_TEXT_COLUMN, *_TEXT_COLUMN, int64, _MASK)
def find_texts(buffer, starts, ends, other, other_starts, other_ends, shortest, found):
    """Find the rows whose text holds the other text of the row, if that has at least ``shortest`` bytes."""
    for row in range(starts.size):
        start, size = np.int64(other_starts[row]), np.int64(other_ends[row]) - np.int64(other_starts[row])
        if size < shortest or size == 0:
            continue
        first = other[np.uintp(start)]
        for position in range(np.int64(starts[row]), np.int64(ends[row]) - size + 1):
            if buffer[np.uintp(position)] != first:
                continue
            same = True
            for offset in range(1, size):
                if buffer[np.uintp(position + offset)] != other[np.uintp(start + offset)]:
                    same = False
                    break
            if same:
                found[row] = True
                break
