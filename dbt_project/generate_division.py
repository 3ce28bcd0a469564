"""Writes seeds/division.csv: the administrative divisions (GB/T 2260) with the years each name was in force.

The source is the dated list that python-stdnum keeps up to date (``stdnum/cn/loc.dat``); NHSA's own codes (a city's and
a province's own insurance pool, the country, the army) are added. Run it after an upgrade of python-stdnum:

    python dbt_project/generate_division.py
"""

import csv
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

SEED = Path(__file__).parent / "seeds" / "division.csv"
HEADER = ("admdvs", "name", "level", "from_year", "to_year", "standard")

_PROVINCE = re.compile(r'(\d\d) province="(.+)"')
_PLACE = re.compile(r'  (\d{4}) county="(.+)"')
_NAME = re.compile(r"(?:\[(\d*)-(\d*)\])?([^\[\],]+)")
#: The list has the two special administrative regions in traditional characters.
_SIMPLIFIED = {"香港特別行政區": "香港特别行政区", "澳門特別行政區": "澳门特别行政区"}


def rows() -> Iterator[tuple[str, str, str, str, str, str]]:
    """Rows of the seed: code, name, level, first and last year (empty: open), standard."""
    yield "100000", "全国", "country", "", "", "NHSA"
    yield "910000", "中国人民解放军", "province", "", "", "NHSA"
    province = ""
    seen: set[str] = set()
    for line in resources.files("stdnum").joinpath("cn/loc.dat").read_text(encoding="utf-8").splitlines():
        if found := _PROVINCE.fullmatch(line):
            province = found[1]
            name = _SIMPLIFIED.get(found[2], found[2])
            yield f"{province}0000", name, "province", "", "", "GB/T 2260"
            yield f"{province}9900", f"{name}本级", "pool", "", "", "NHSA"
            seen |= {f"{province}0000", f"{province}9900"}
        elif found := _PLACE.fullmatch(line):
            code = province + found[1]
            if code in seen:
                continue
            seen.add(code)
            names = _NAME.findall(found[2])
            level = "city" if code.endswith("00") else "county"
            for from_year, to_year, name in names:
                yield code, name, level, from_year, to_year, "GB/T 2260"
            # 市辖区 and 县 are headings in the list, no cities with a pool of their own
            if level == "city" and names[-1][2] not in {"市辖区", "县"} and not names[-1][1]:
                pool = f"{code[:4]}99"
                seen.add(pool)
                yield pool, f"{names[-1][2]}本级", "pool", "", "", "NHSA"


def main() -> None:
    """Writes the seed."""
    with SEED.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(sorted(rows(), key=lambda row: (row[0], row[3] or "0")))


if __name__ == "__main__":
    main()
