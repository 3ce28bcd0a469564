"""Reads values in their usual written form; every other value needs a full check.

Each function takes a text column (``buffer, starts, ends``) and sets ``needs_check`` for the rows that it does not
recognise. What it reads, it reads as ``ingest.validation`` does, which a property test verifies. What a value must be
(weights, bounds, words, characters) comes as arguments: ``minimum`` and ``maximum`` are inclusive, and ``null_words``
holds the words that mean a missing value, each as the integer that ``load_partial_u64`` makes of its bytes.
"""

# The decorator declares the types; separate comparisons compile to faster code than ``in``.
# mypy: ignore-errors

import numba
import numpy as np
from numba import boolean, int64, uint8, uint64

from ingest.kernels import BYTES, HASHES, INTEGERS, NULL, OFFSETS, compiled, inlined
from ingest.kernels.hashing import hash_combine, text_hash
from ingest.kernels.unaligned import HIGHS, ONES, load_partial_u64, load_u64

_TEXT_COLUMN = (BYTES, OFFSETS, OFFSETS)
_MASK = boolean[::1]
_VOID = numba.void

#: Kinds of text: see ``check_text``.
CODE, NAME, FREE = 0, 1, 2
#: Classes of bytes, see ``check_text``: a text that starts with it, ends with it, or a name that contains it may need
#: cleaning; a null word starts with it.
STARTS_UNUSUAL, ENDS_UNUSUAL, IN_NAME_UNUSUAL, STARTS_NULL_WORD = 1, 2, 4, 8
#: Kinds of documents: see ``read_identity_numbers``.
RESIDENT, FOREIGN, OTHER = 1, 2, 3
#: Characters of a resident identity number.
RESIDENT_SIZE = 18

_MONTH_DAYS = np.array([31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int64)


@compiled(int64, BYTES, int64, int64, inline="always")
def _digits_to_int(buffer, start, count):
    """The integer that ``count`` digits spell; -1 where a character is no digit."""
    value = 0
    for offset in range(count):
        digit = np.int64(buffer[np.uintp(start + offset)]) - 48
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value


@compiled(int64, int64, int64, int64)
def _days_since_epoch(year, month, day):
    """Days since 1970-01-01, or NULL for a date that does not exist."""
    if year < 1 or month < 1 or month > 12 or day < 1 or day > _MONTH_DAYS[month - 1]:
        return NULL
    if month == 2 and day == 29 and (year % 4 != 0 or (year % 100 == 0 and year % 400 != 0)):
        return NULL
    # years start in March, so that the leap day is the last day
    shifted = year - (month <= 2)
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


@compiled(_VOID, *_TEXT_COLUMN, int64, int64, int64, int64, int64[::1], _MASK)
def read_amounts(buffer, starts, ends, integer_digits, decimals, minimum, maximum, values, needs_check):
    """Read amounts as integers in units of the last decimal.

    At most ``integer_digits`` digits before the decimal point and ``decimals`` digits after it.
    """
    for row in range(starts.size):
        position, end = np.uintp(starts[row]), np.uintp(ends[row])
        if position == end:
            values[row] = NULL
            continue
        negative = buffer[position] == 45
        if negative:
            position += np.uintp(1)
        value = 0
        first = position
        while position < end:
            digit = np.int64(buffer[position]) - 48
            if digit < 0 or digit > 9:
                break
            value = value * 10 + digit
            position += np.uintp(1)
            if position - first > 18:
                break
        digits_before = np.int64(position - first)
        digits_behind = 0
        if position < end and buffer[position] == 46:
            position += np.uintp(1)
            while position < end and digits_behind < decimals:
                digit = np.int64(buffer[position]) - 48
                if digit < 0 or digit > 9:
                    break
                value = value * 10 + digit
                digits_behind += 1
                position += np.uintp(1)
        if position != end or digits_before == 0 or digits_before > integer_digits:
            needs_check[row] = True
            values[row] = NULL
            continue
        for _ in range(decimals - digits_behind):
            value *= 10
        if negative:
            value = -value
        values[row] = value
        if value < minimum or value > maximum:
            needs_check[row] = True


@compiled(_VOID, *_TEXT_COLUMN, boolean, int64, int64, INTEGERS, int64[::1], _MASK)
def read_times(buffer, starts, ends, with_time, minimum, maximum, placeholders, values, needs_check):
    """Read dates as days since 1970-01-01, or, ``with_time``, date-times as seconds; the bounds are in days.

    The usual forms are ``yyyy-MM-dd`` and ``yyyy/MM/dd``, with a blank or ``T`` and ``HH:mm:ss`` for date-times. Days
    that are ``placeholders`` need a full check.
    """
    for row in range(starts.size):
        start = np.int64(starts[row])
        size = ends[row] - start
        values[row] = NULL
        if size == 0:
            continue
        needs_check[row] |= not (size == 10 or (with_time and size == 19))
        if size != 10 and not (with_time and size == 19):
            continue
        separator = buffer[np.uintp(start + 4)]
        year, month, day = (
            _digits_to_int(buffer, start, 4),
            _digits_to_int(buffer, start + 5, 2),
            _digits_to_int(buffer, start + 8, 2),
        )
        days = _days_since_epoch(year, month, day)
        valid = (separator == 45 or separator == 47) and buffer[np.uintp(start + 7)] == separator
        valid = valid and days != NULL and minimum <= days <= maximum
        for placeholder in placeholders:
            valid = valid and days != placeholder
        seconds = 0
        if valid and size == 19:
            date_time_separator = buffer[np.uintp(start + 10)]
            hour, minute, second = (
                _digits_to_int(buffer, start + 11, 2),
                _digits_to_int(buffer, start + 14, 2),
                _digits_to_int(buffer, start + 17, 2),
            )
            valid = (
                (date_time_separator == 32 or date_time_separator == 84)
                and buffer[np.uintp(start + 13)] == 58
                and buffer[np.uintp(start + 16)] == 58
            )
            valid = valid and 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60
            seconds = hour * 3600 + minute * 60 + second
        if valid:
            values[row] = days * 86_400 + seconds if with_time else days
        else:
            needs_check[row] = True


@compiled(boolean, BYTES, int64, int64, HASHES)
def _is_null_word(buffer, start, end, null_words):
    """Whether a text is one of the words, which have up to eight bytes."""
    size = end - start
    if size > 8:
        return False
    text = load_u64(buffer, np.uintp(start)) if size == 8 else load_partial_u64(buffer, np.uintp(start), size)
    found = False
    for word in null_words:
        found |= word == text
    return found


@compiled(boolean, BYTES, int64, int64, INTEGERS)
def _is_replaced(buffer, position, end, replaced):
    """Whether the character at ``position`` has one byte, or is one of the characters ``replaced`` (code points)."""
    first = np.int64(buffer[np.uintp(position)])
    if first < 0x80:
        return True
    size = 2 if first < 0xE0 else 3
    if position + size > end:
        return False
    character = first & (0x1F if size == 2 else 0x0F)
    for offset in range(1, size):
        character = (character << 6) | (np.int64(buffer[np.uintp(position + offset)]) & 0x3F)
    found = False
    for other in replaced:
        found |= other == character
    return found


#: Bytes that a code or number usually lacks.
_BYTES = np.arange(256)
_IS_UNUSUAL = (_BYTES < 0x28) | (_BYTES > 0x7E) | (_BYTES == 46)


@compiled(uint64, uint64, inline="always")
def _unusual_bytes(word):
    """Not 0 where any of eight bytes is not ASCII, a control character, a blank, a quote, a dot or DEL."""
    # sets the highest bit of a byte that is not ASCII, of one below "(" (by a borrow), and of dot and DEL
    dot, delete = word ^ (ONES * np.uint64(46)), word ^ (ONES * np.uint64(127))
    return (word | (word - ONES * np.uint64(40)) | ((dot - ONES) & ~dot) | ((delete - ONES) & ~delete)) & HIGHS


@compiled(numba.types.UniTuple(uint64, 2), BYTES, int64, int64, uint64, inline="always")
def _hash_code(buffer, start, end, seed):
    """The ``text_hash`` of a code or number, and not 0 where it has an unusual byte, in a single pass."""
    state = hash_combine(seed, np.uint64(end - start))
    needs_check = np.uint64(0)
    position, last = np.uintp(start), np.uintp(end)
    while position + np.uintp(8) <= last:
        word = load_u64(buffer, position)
        state = hash_combine(state, word)
        needs_check |= _unusual_bytes(word)
        position += np.uintp(8)
    if position < last:
        size = np.int64(last - position)
        word = load_partial_u64(buffer, position, size)
        state = hash_combine(state, word)
        needs_check |= _unusual_bytes(word | (ONES * np.uint64(48) << np.uint64(8 * size)))
    return state, needs_check


@compiled(boolean, BYTES, int64, int64, BYTES, INTEGERS)
def _is_clean_name(buffer, start, end, classes, replaced):
    """Whether cleaning finds nothing to strip or to replace in a name."""
    found = uint8(0)
    for position in range(start, end):
        found |= classes[buffer[np.uintp(position)]]
    if found & IN_NAME_UNUSUAL:
        for position in range(start, end):
            if classes[buffer[np.uintp(position)]] & IN_NAME_UNUSUAL and _is_replaced(buffer, position, end, replaced):
                return False
    return True


@compiled(_VOID, *_TEXT_COLUMN, int64, int64, int64, BYTES, INTEGERS, HASHES, uint64, uint64[::1], _MASK)
def check_text(
    buffer,
    starts,
    ends,
    kind,
    min_characters,
    max_characters,
    classes,
    replaced,
    null_words,
    seed,
    hashes,
    needs_check,
):
    """Hash texts; those of another length, or that cleaning would change, need a full check.

    ``kind``: CODE, which is ASCII without blanks and dots; NAME, in which cleaning replaces the characters ``replaced``
    (code points); or FREE, which is only stripped. ``classes`` has for each byte the sum of the classes that it belongs
    to.
    """
    for row in range(starts.size):
        start, end = np.int64(starts[row]), np.int64(ends[row])
        hashes[row] = 0
        if start == end:
            continue
        if kind == CODE:
            value_hash, unusual = _hash_code(buffer, start, end, seed)
            valid = unusual == 0
        else:
            value_hash = text_hash(buffer, start, end, seed)
            if kind == NAME:
                valid = _is_clean_name(buffer, start, end, classes, replaced)
            else:
                first, last = classes[buffer[np.uintp(start)]], classes[buffer[np.uintp(end - 1)]]
                valid = not (first & STARTS_UNUSUAL or last & ENDS_UNUSUAL)
        if classes[buffer[np.uintp(start)]] & STARTS_NULL_WORD:
            valid = valid and not _is_null_word(buffer, start, end, null_words)
        hashes[row] = value_hash
        size = end - start
        if size > max_characters or min_characters > 0:
            size = 0  # in characters, not in bytes
            for position in range(start, end):
                size += (buffer[np.uintp(position)] & 0xC0) != 0x80
        if not valid or size > max_characters or size < min_characters:
            needs_check[row] = True


@compiled(boolean, BYTES, int64, int64, int64, int64, int64, HASHES)
def _is_other_number(buffer, start, end, kind, min_characters, max_characters, null_words):
    """Whether a text is a number of a document whose numbers have no check character."""
    size = 0
    valid = not _is_null_word(buffer, start, end, null_words)
    for position in range(start, end):
        byte = buffer[np.uintp(position)]
        size += (byte & 0xC0) != 0x80
        # no plus sign, as in 4.4E+17; beyond ASCII only U+4000 to U+9FFF, which NFKC does not change
        valid = valid and byte != 43 and (not _IS_UNUSUAL[byte] or 0x80 <= byte < 0xC0 or 0xE4 <= byte <= 0xE9)
    # a FOREIGN number may have 18 characters in more than 18 bytes
    return valid and min_characters <= size <= max_characters and not (kind == FOREIGN and size == 18)


@compiled(int64, BYTES, int64, INTEGERS, BYTES, inline="always")
def _read_checked_number(buffer, start, weights, check_characters):
    """The first 17 digits of a number of 18 characters, or -1 if one is no digit or the check character is wrong."""
    total = 0
    body = 0
    valid = True
    for position in range(17):
        digit = np.int64(buffer[np.uintp(start + position)]) - 48
        valid = valid and 0 <= digit <= 9
        total += digit * weights[position]
        body = body * 10 + digit
    if valid and buffer[np.uintp(start + 17)] == check_characters[total % 11]:
        return body
    return -1


@inlined(int64, BYTES, int64)
def _read_birth_date(buffer, start):
    """The birth date in a number of 18 characters, in days since 1970-01-01; NULL if it is no date."""
    return _days_since_epoch(
        _digits_to_int(buffer, start + 6, 4),
        _digits_to_int(buffer, start + 10, 2),
        _digits_to_int(buffer, start + 12, 2),
    )


@compiled(
    *(_VOID, *_TEXT_COLUMN, INTEGERS, boolean[::1], INTEGERS, BYTES, int64, int64, int64, int64, int64, HASHES),
    *(int64[::1], int64[::1], _MASK),
)
def read_identity_numbers(
    buffer, starts, ends, kinds, prefixes, weights, check_characters, foreign_first, min_characters, max_characters,
    minimum, maximum, null_words, codes, births, needs_check,
):  # fmt: skip
    """Read identity numbers; those of residents have 18 characters, a check character, a province and a birth date.

    Args:
        buffer: The bytes of the column.
        starts: The offset of each row's number.
        ends: The offset after each row's number.
        kinds: Kind of document: RESIDENT; FOREIGN, whose numbers of 18 characters have the same check character; OTHER;
            rows with any other value need a full check.
        prefixes: Which of the numbers 0 to 99 may start a resident number.
        weights: Weights of the first 17 digits.
        check_characters: The check character of each remainder of their weighted sum modulo 11.
        foreign_first: The byte that FOREIGN numbers of 18 characters start with.
        min_characters: Least characters of an OTHER number.
        max_characters: Most characters of an OTHER number.
        minimum: Earliest birth date, in days since 1970-01-01.
        maximum: Latest birth date, in days since 1970-01-01.
        null_words: Words that are no number.
        codes: Output: for residents 11 * (the first 17 digits) + the value of the check character; else -1.
        births: Output: birth dates of residents in days since 1970-01-01; undefined for other rows.
        needs_check: Output.
    """
    for row in range(starts.size):
        start, end = np.int64(starts[row]), np.int64(ends[row])
        codes[row] = -1
        births[row] = 0
        kind = kinds[row]
        if kind == OTHER or (kind == FOREIGN and end - start != 18):
            needs_check[row] |= not _is_other_number(
                buffer, start, end, kind, min_characters, max_characters, null_words
            )
            continue
        if (kind != RESIDENT and kind != FOREIGN) or end - start != 18:
            needs_check[row] = True
            continue
        body = _read_checked_number(buffer, start, weights, check_characters)
        if kind == FOREIGN:
            needs_check[row] |= body < 0 or buffer[np.uintp(start)] != foreign_first
            continue
        birth = _read_birth_date(buffer, start)
        valid = body >= 0 and birth != NULL and minimum <= birth <= maximum
        if valid and prefixes[_digits_to_int(buffer, start, 2)]:
            last = buffer[np.uintp(start + 17)]
            codes[row] = body * 11 + (10 if last == 88 else np.int64(last) - 48)
            births[row] = birth
        else:
            needs_check[row] = True


@compiled(uint8[::1], INTEGERS)
def format_resident_numbers(codes):
    """Resident numbers, concatenated, from the codes of ``read_identity_numbers``."""
    out = np.empty(RESIDENT_SIZE * codes.size, dtype=np.uint8)
    for row in range(codes.size):
        rest = codes[row] // 11
        check = codes[row] % 11
        start = RESIDENT_SIZE * row
        out[start + 17] = 88 if check == 10 else 48 + check
        for position in range(17):
            out[start + 16 - position] = 48 + rest % 10
            rest //= 10
    return out


@compiled(_VOID, *_TEXT_COLUMN, BYTES, BYTES, _MASK)
def check_digits(buffer, starts, ends, least, greatest, needs_check):
    """Check numbers of a fixed width by the least and the greatest byte of each position."""
    for row in range(starts.size):
        start, size = np.int64(starts[row]), np.int64(ends[row]) - np.int64(starts[row])
        if size == 0:
            continue
        if size != least.size:
            needs_check[row] = True
            continue
        valid = True
        for position in range(size):
            byte = buffer[np.uintp(start + position)]
            valid &= least[position] <= byte and byte <= greatest[position]
        if not valid:
            needs_check[row] = True


@compiled(_VOID, INTEGERS, INTEGERS, _MASK)
def check_order(earlier, later, needs_check):
    """Check that ``later`` is not before ``earlier``, where both have a value."""
    for row in range(earlier.size):
        if later[row] != NULL and earlier[row] != NULL and later[row] < earlier[row]:
            needs_check[row] = True


@compiled(_VOID, OFFSETS, OFFSETS, INTEGERS, _MASK)
def check_signs(starts, ends, values, needs_check):
    """Check that values are not negative in rows without text, and not positive in rows with text."""
    for row in range(values.size):
        value = values[row]
        if value != NULL and (value > 0 if starts[row] < ends[row] else value < 0):
            needs_check[row] = True


@compiled(_VOID, INTEGERS, int64, int64[::1], _MASK)
def add_multiples(values, factor, total, has_value):
    """Add ``factor * value`` to ``total``, and mark the rows with a value."""
    for row in range(values.size):
        if values[row] != NULL:
            total[row] += factor * values[row]
            has_value[row] = True
