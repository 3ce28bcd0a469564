"""Reads values that are written the way they should be; whatever else a value is, its row is odd.

Each function takes spans of one column (``block, starts, ends``) and marks rows in ``odd``. What it reads it reads as
``ingest.cleaning`` and ``ingest.checks`` do, which a property test holds it to. ``low`` and ``high`` are the least and
greatest value that is fine.
"""

# The decorator says the types; comparisons one by one are what the compiler likes.
# mypy: ignore-errors

import numba
import numpy as np
from numba import boolean, int64, uint8, uint64

from ingest.compiled import BYTES, INTEGERS, NULL, PLACES, compiled
from ingest.compiled.repeats import stirred, text_hash
from ingest.compiled.words import HIGHS, ONES, few, word

_SPANS = (BYTES, PLACES, PLACES)
_MARKS = boolean[::1]
_NOTHING = numba.void

#: Kinds of ``texts``.
CODE, NAME, FREE = 0, 1, 2
#: Kinds of documents: see ``identities``.
RESIDENT, FOREIGN, OTHER = 1, 2, 3
#: Characters of a resident's number.
RESIDENT_SIZE = 18
#: The longest word that means no value has so many bytes (a test compares).
_WORD = 6

_WEIGHTS = np.array([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2], dtype=np.int64)
_CHECK = np.frombuffer(b"10X98765432", dtype=np.uint8).copy()
_MONTH_DAYS = np.array([31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int64)


@compiled(int64, BYTES, int64, int64, inline="always")
def _number(block, at, places):
    """The number that ``places`` digits make; less than 0 where one is none."""
    value = 0
    for offset in range(places):
        digit = np.int64(block[np.uintp(at + offset)]) - 48
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value


@compiled(int64, int64, int64, int64)
def _day(year, month, day):
    """Days since 1970-01-01, or NULL where there is no such date."""
    if year < 1 or month < 1 or month > 12 or day < 1 or day > _MONTH_DAYS[month - 1]:
        return NULL
    if month == 2 and day == 29 and (year % 4 != 0 or (year % 100 == 0 and year % 400 != 0)):
        return NULL
    # years begin in March, so that the leap day is the last
    shifted = year - (month <= 2)
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


@compiled(boolean, int64, int64, int64)
def _placeholder(year, month, day):
    """Whether senders write this date for "none"."""
    if month == 1 and day == 1:
        return year == 1900 or year == 1970
    return month == 12 and day == 31 and (year == 2099 or year == 9999)


@compiled(_NOTHING, *_SPANS, int64, int64, int64, int64, int64[::1], _MARKS)
def amounts(block, starts, ends, whole, decimals, low, high, values, odd):
    """Amounts with at most ``whole`` digits before the dot and ``decimals`` behind it, as whole numbers of the last."""
    for row in range(starts.size):
        at, end = np.uintp(starts[row]), np.uintp(ends[row])
        if at == end:
            values[row] = NULL
            continue
        negative = block[at] == 45
        if negative:
            at += np.uintp(1)
        value = 0
        first = at
        while at < end:
            digit = np.int64(block[at]) - 48
            if digit < 0 or digit > 9:
                break
            value = value * 10 + digit
            at += np.uintp(1)
            if at - first > 18:
                break
        before = np.int64(at - first)
        behind = 0
        if at < end and block[at] == 46:
            at += np.uintp(1)
            while at < end and behind < decimals:
                digit = np.int64(block[at]) - 48
                if digit < 0 or digit > 9:
                    break
                value = value * 10 + digit
                behind += 1
                at += np.uintp(1)
        if at != end or before == 0 or before > whole:
            odd[row] = True
            values[row] = NULL
            continue
        for _ in range(decimals - behind):
            value *= 10
        if negative:
            value = -value
        values[row] = value
        if value < low or value > high:
            odd[row] = True


@compiled(_NOTHING, *_SPANS, boolean, int64, int64, int64[::1], _MARKS)
def times(block, starts, ends, timed, low, high, values, odd):
    """Dates as days since 1970-01-01 within ``low`` and ``high`` (days); date-times, where ``timed``, as seconds.

    ``yyyy-MM-dd`` or with ``/``, date-times also followed by a blank or ``T`` and ``HH:mm:ss``.
    """
    for row in range(starts.size):
        at = np.int64(starts[row])
        size = ends[row] - at
        values[row] = NULL
        if size == 0:
            continue
        odd[row] |= not (size == 10 or (timed and size == 19))
        if size != 10 and not (timed and size == 19):
            continue
        mark = block[np.uintp(at + 4)]
        year, month, day = _number(block, at, 4), _number(block, at + 5, 2), _number(block, at + 8, 2)
        days = _day(year, month, day)
        fine = (mark == 45 or mark == 47) and block[np.uintp(at + 7)] == mark
        fine = fine and days != NULL and low <= days <= high and not _placeholder(year, month, day)
        seconds = 0
        if fine and size == 19:
            between = block[np.uintp(at + 10)]
            hour, minute, second = _number(block, at + 11, 2), _number(block, at + 14, 2), _number(block, at + 17, 2)
            fine = (
                (between == 32 or between == 84) and block[np.uintp(at + 13)] == 58 and block[np.uintp(at + 16)] == 58
            )
            fine = fine and 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60
            seconds = hour * 3600 + minute * 60 + second
        if fine:
            values[row] = days * 86_400 + seconds if timed else days
        else:
            odd[row] = True


@compiled(boolean, BYTES, int64, int64)
def _perhaps_no_value(block, at, end):
    """Whether a short text may be a word that means no value."""
    if end - at > _WORD:
        return False
    first = block[np.uintp(at)]
    if first >= 0x80:  # 无 空, and 不 as in 不详
        return end - at == 3 or (first == 0xE4 and block[np.uintp(at + 1)] == 0xB8 and block[np.uintp(at + 2)] == 0x8D)
    return first == 45 or first == 47 or first == 35 or first == 42 or first == 110 or first == 78  # - / # * n N


@compiled(boolean, BYTES, int64, int64)
def _odd_ends(block, at, end):
    """Whether free text begins or ends with something that may have to go."""
    first, last = block[np.uintp(at)], block[np.uintp(end - 1)]
    if first < 0x28 or first == 61 or first == 0xC2 or first == 0xE2 or first == 0xE3 or first == 0xEF:
        return True
    # the last bytes of U+00A0, U+3000, U+200B, U+FEFF
    return last <= 32 or last == 0xA0 or last == 0x80 or last == 0x8B or last == 0xBF


@compiled(boolean, BYTES, int64, int64)
def _to_be_put_right(block, place, end):
    """Whether a byte of a name begins a blank or a dot that is to become another one."""
    byte = block[np.uintp(place)]
    if byte < 0x80:
        return byte < 0x28 or byte == 0x7F
    if byte == 0xC2:
        return place + 1 < end and block[np.uintp(place + 1)] == 0xA0  # U+00A0
    if (byte != 0xE2 and byte != 0xE3 and byte != 0xEF) or place + 2 >= end:
        return False
    second, third = block[np.uintp(place + 1)], block[np.uintp(place + 2)]
    if byte == 0xE2:  # U+200B, U+2022, U+2027, U+2219
        return (second == 0x80 and (third == 0x8B or third == 0xA2 or third == 0xA7)) or (
            second == 0x88 and third == 0x99
        )
    if byte == 0xE3:  # U+3000, U+30FB
        return (second == 0x80 and third == 0x80) or (second == 0x83 and third == 0xBB)
    return (second == 0xBB and third == 0xBF) or (second == 0xBC and third == 0x8E)  # U+FEFF, U+FF0E


#: Bytes that make a name worth a second look, or a code or number odd.
_BYTES = np.arange(256)
_SUSPECT = (_BYTES < 0x28) | np.isin(_BYTES, [0x7F, 0xC2, 0xE2, 0xE3, 0xEF])
_NOT_PLAIN = (_BYTES < 0x28) | (_BYTES > 0x7E) | (_BYTES == 46)


@compiled(uint64, uint64, inline="always")
def _not_plain(eight):
    """Whether one of eight bytes of a code is not ASCII, a blank, a quote or a dot: the highest bit of some byte."""
    # the highest bit of a byte: not ASCII; borrows: less than "("; 0 once the dot or DEL is taken away
    dot, delete = eight ^ (ONES * np.uint64(46)), eight ^ (ONES * np.uint64(127))
    return (eight | (eight - ONES * np.uint64(40)) | ((dot - ONES) & ~dot) | ((delete - ONES) & ~delete)) & HIGHS


@compiled(numba.types.UniTuple(uint64, 2), BYTES, int64, int64, uint64, inline="always")
def _code(block, at, end, seed):
    """What ``text_hash`` makes of a code or number, and not 0 where it is not plain; both in one reading."""
    state = stirred(seed, np.uint64(end - at))
    odd = np.uint64(0)
    place, last = np.uintp(at), np.uintp(end)
    while place + np.uintp(8) <= last:
        eight = word(block, place)
        state = stirred(state, eight)
        odd |= _not_plain(eight)
        place += np.uintp(8)
    if place < last:
        size = np.int64(last - place)
        eight = few(block, place, size)
        state = stirred(state, eight)
        odd |= _not_plain(eight | (ONES * np.uint64(48) << np.uint64(8 * size)))
    return state, odd


@compiled(boolean, BYTES, int64, int64)
def _plain_name(block, at, end):
    """Whether a name has nothing to put right, and is certainly one."""
    found = False
    for place in range(at, end):
        found |= _SUSPECT[block[np.uintp(place)]]
    if found:
        for place in range(at, end):
            if _to_be_put_right(block, place, end):
                return False
    return not _perhaps_no_value(block, at, end)


@compiled(_NOTHING, *_SPANS, int64, int64, int64, uint64, uint64[::1], _MARKS)
def texts(block, starts, ends, kind, shortest, longest, seed, hashes, odd):
    """Texts of ``shortest`` to ``longest`` characters that cleaning leaves as they are, and their hashes.

    ``kind``: CODE, which is ASCII without blanks and dots; NAME, in which blanks and dots are put right; FREE text.
    """
    for row in range(starts.size):
        at, end = np.int64(starts[row]), np.int64(ends[row])
        hashes[row] = 0
        if at == end:
            continue
        if kind == CODE:
            hashed, wrong = _code(block, at, end, seed)
            fine = wrong == 0 and not _perhaps_no_value(block, at, end)
        else:
            hashed = text_hash(block, at, end, seed)
            if kind == NAME:
                fine = _plain_name(block, at, end)
            else:
                fine = not _odd_ends(block, at, end) and not _perhaps_no_value(block, at, end)
        hashes[row] = hashed
        size = end - at
        if size > longest or shortest > 0:
            size = 0  # of characters, not of bytes
            for place in range(at, end):
                size += (block[np.uintp(place)] & 0xC0) != 0x80
        if not fine or size > longest or size < shortest:
            odd[row] = True


@compiled(_NOTHING, *_SPANS, int64[::1], boolean[::1], int64, int64, int64[::1], int64[::1], _MARKS)
def identities(block, starts, ends, kinds, provinces, low, high, codes, births, odd):
    """Identity numbers: of residents 18 characters, check character, province and birth date right.

    Args:
        block: Where the numbers lie.
        starts: Where each begins,
        ends: and ends.
        kinds: What the document is: RESIDENT; FOREIGN, whose numbers of 18 characters begin with 9 and have the same
            check; OTHER (4 to 50 characters); or anything else, whose rows are odd.
        provinces: Which of the numbers 0 to 99 begin a resident number.
        low: First day of birth,
        high: and last, from 1970-01-01 on.
        codes: Take a number for each resident, one to one: 17 digits times 11 and the check's value; else -1.
        births: Take residents' days since 1970-01-01; of other rows nonsense.
        odd: Marks.
    """
    for row in range(starts.size):
        at, end = np.int64(starts[row]), np.int64(ends[row])
        codes[row] = -1
        births[row] = 0
        kind = kinds[row]
        if kind == OTHER or (kind == FOREIGN and end - at != 18):
            size = 0
            fine = not _perhaps_no_value(block, at, end)
            for place in range(at, end):
                byte = block[np.uintp(place)]
                size += (byte & 0xC0) != 0x80
                # no plus as in 4.4E+17; of what is not ASCII U+4000 to U+9FFF, which NFKC leaves alone
                fine = fine and byte != 43 and (not _NOT_PLAIN[byte] or 0x80 <= byte < 0xC0 or 0xE4 <= byte <= 0xE9)
            # of FOREIGN numbers 18 characters, not bytes, would count
            odd[row] |= not fine or size < 4 or size > 50 or (kind == FOREIGN and size == 18)
            continue
        if (kind != RESIDENT and kind != FOREIGN) or end - at != 18:
            odd[row] = True
            continue
        total = 0
        body = 0
        fine = True
        for place in range(17):
            digit = np.int64(block[np.uintp(at + place)]) - 48
            fine = fine and 0 <= digit <= 9
            total += digit * _WEIGHTS[place]
            body = body * 10 + digit
        last = block[np.uintp(at + 17)]
        fine = fine and last == _CHECK[total % 11]
        if kind == FOREIGN:
            odd[row] |= not (fine and block[np.uintp(at)] == 57)
            continue
        birth = _day(_number(block, at + 6, 4), _number(block, at + 10, 2), _number(block, at + 12, 2))
        fine = fine and birth != NULL and low <= birth <= high
        if fine and provinces[_number(block, at, 2)]:
            codes[row] = body * 11 + (10 if last == 88 else np.int64(last) - 48)
            births[row] = birth
        else:
            odd[row] = True


@compiled(uint8[::1], INTEGERS)
def residents(codes):
    """The numbers of residents, one after another, from the codes that ``identities`` gave them."""
    out = np.empty(RESIDENT_SIZE * codes.size, dtype=np.uint8)
    for row in range(codes.size):
        rest = codes[row] // 11
        check = codes[row] % 11
        at = RESIDENT_SIZE * row
        out[at + 17] = 88 if check == 10 else 48 + check
        for place in range(17):
            out[at + 16 - place] = 48 + rest % 10
            rest //= 10
    return out


@compiled(_NOTHING, *_SPANS, _MARKS)
def mobiles(block, starts, ends, odd):
    """Mobile telephone numbers: 1, a digit from 3 to 9, nine digits."""
    for row in range(starts.size):
        at = np.int64(starts[row])
        size = ends[row] - at
        if size and (size != 11 or not 13_000_000_000 <= _number(block, at, 11) <= 19_999_999_999):
            odd[row] = True


@compiled(_NOTHING, INTEGERS, INTEGERS, _MARKS)
def order(earlier, later, odd):
    """Where both are given, ``later`` must not lie before ``earlier``."""
    for row in range(earlier.size):
        if later[row] != NULL and earlier[row] != NULL and later[row] < earlier[row]:
            odd[row] = True


@compiled(_NOTHING, PLACES, PLACES, INTEGERS, _MARKS)
def signs(starts, ends, values, odd):
    """Values must not be negative in rows without the text, nor positive in rows with it."""
    for row in range(values.size):
        value = values[row]
        if value != NULL and (value > 0 if starts[row] < ends[row] else value < 0):
            odd[row] = True


@compiled(_NOTHING, INTEGERS, int64, int64[::1], _MARKS)
def add(values, factor, total, given):
    """Add values times ``factor`` to ``total``, and mark the rows that have one."""
    for row in range(values.size):
        if values[row] != NULL:
            total[row] += factor * values[row]
            given[row] = True
