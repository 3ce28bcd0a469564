"""The constants of the rules about single values: each is written down here and nowhere else.

Cleaning and rules read them, the fast path passes them to its compiled loops, and the synthetic senders make values by
them. What is stripped from a text and which words mean no value stands in ``ingest.stripping``, because readers need it
too.
"""

from datetime import date

# --- identity numbers of residents (GB 11643, check character by ISO 7064 MOD 11-2) ---

#: Weights of the first 17 digits, and the check character of each remainder of their sum modulo 11.
RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
RESIDENT_CHECKS = "10X98765432"
#: First two digits: the provinces of the mainland (GB/T 2260) and Taiwan,
MAINLAND_PREFIXES = (
    *(11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44, 45, 46),
    *(50, 51, 52, 53, 54, 61, 62, 63, 64, 65),
)
TAIWAN_PREFIX = 71
#: and the residence permits of Hong Kong, Macao and Taiwan residents.
PERMIT_PREFIXES = (81, 82, 83)

# --- identity numbers of other documents ---

#: The 18-character number on a foreigner's residence card has the same check character and begins with this digit.
FOREIGN_RESIDENT_FIRST = "9"
#: Least and most characters of any other number.
OTHER_NUMBER_LENGTH = (4, 50)

# --- unified social credit codes (GB 32100) ---

#: The 31 characters (no I O S V Z), each worth its position, and the weights of the first 17.
USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
USCC_WEIGHTS = tuple(pow(3, position, 31) for position in range(17))

#: What the code of a one-person business (个体工商户) begins with: register of companies, then kind of organisation.
ONE_PERSON_USCC = "92"

# --- numbers with a fixed form ---

#: Mobile telephone numbers: the least and the greatest digit of each position.
MOBILE_DIGITS = ((1, 1), (3, 9), *((0, 9),) * 9)
MOBILE_PATTERN = "".join(f"[{least}-{greatest}]" for least, greatest in MOBILE_DIGITS)
#: Administrative divisions.
DIVISION_PATTERN = "[0-9]{6}"

# --- dates ---

#: Dates and months are counted in days from here.
EPOCH = date(1970, 1, 1)
#: Dates that senders write where there is none, besides 0000-00-00, which is no date of the calendar.
PLACEHOLDER_DATES = (date(1900, 1, 1), date(1970, 1, 1), date(2099, 12, 31), date(9999, 12, 31))
#: The earliest date and the earliest month that a row may hold.
FIRST_DATE = date(1900, 1, 1)
FIRST_MONTH = date(1990, 1, 1)


def days_since_epoch(day: date) -> int:
    """The number that a date is counted as: days since 1970-01-01, negative before."""
    return (day - EPOCH).days


# --- amounts ---

#: Precision and scale of amounts whose contract does not say, and decimal places of one fen by the unit of the file.
MONEY_PRECISION = (16, 2)
MONEY_DECIMALS = {"yuan": 2, "wanyuan": 6}
