"""``python -m tests.disclosure FOLDER_OR_DSN`` prints which suppressed cells its figures give away.

A folder holds tables ``marts.<mart>.csv``; else the argument is the address of a warehouse (``warehouse dsn``). With
``--cells`` each cell that was found is printed too.
"""

import sys
from pathlib import Path

from tests.disclosure.attack import Result, attack
from tests.disclosure.published import Marts, from_database, from_tables
from tests.disclosure.relations import INDICATORS


def report(marts: Marts) -> str:
    """The table of what published marts give away."""
    return table(attack(marts), attack({**marts, INDICATORS: []}))


def table(everything: Result, alone: Result) -> str:
    """A line for each mart: cells attacked, found without the indicators, found with them by sums and with bounds.

    Args:
        everything: What all published figures give away.
        alone: What they give away without the indicators.
    """
    lines = [
        "| mart | cells attacked | found without indicators | found by sums | found with bounds |",
        "|---|---|---|---|---|",
    ]
    for mart in sorted({cell.mart for cell in everything.attacked}):
        attacked = sum(cell.mart == mart for cell in everything.attacked)
        found = [one for one in everything.findings if one.cell.mart == mart]
        before = sum(one.cell.mart == mart for one in alone.findings)
        by_sums = sum(one.by_sums for one in found)
        lines.append(f"| `{mart}` | {attacked} | {before} | {by_sums} | {len(found) - by_sums} |")
    return "\n".join(lines)


def main(place: str, *options: str) -> None:
    marts = from_tables(Path(place)) if Path(place).is_dir() else from_database(place)
    everything, alone = attack(marts), attack({**marts, INDICATORS: []})
    sys.stdout.write(table(everything, alone) + "\n")
    if "--cells" in options:
        for one in everything.findings:
            way = "sums" if one.by_sums else "bounds"
            sys.stdout.write(f"{one.cell.mart} {' '.join(one.cell.key)} {one.cell.measure} = {one.value} ({way})\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
