"""Whether the unit tests notice a change: one operator, bound or literal at a time, in SQL and in the rules of rows.

``.venv/bin/python -m tests.mutations --seed 1`` changes a copy of the project at places that the seed draws, runs the
unit tests that claim each place, and prints which changes nobody noticed. It takes a quarter of an hour, and is no part
of ``make test``.

A model of dbt is claimed by its unit tests, a macro by those of the models that call it, a Python module by the tests
that ``ROW_RULES`` names. Left out is what no unit test claims: models that say which keys changed, and what is only
compiled where rows stand already. ``tests/integration/dbt_project/test_incremental.py`` holds those against full builds.
"""

import argparse
import ast
import contextlib
import itertools
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ingest import contracts, database
from ingest.settings import Settings
from warehouse import schema
from warehouse.build import dbt
from warehouse.local import server

ROOT = Path(__file__).resolve().parents[1]

#: Code that holds the rules of rows, a module or a folder of modules, and the unit tests that claim it.
ROW_RULES = {
    "ingest/validation/rules.py": ("tests/unit/ingest/validation/test_rules.py",),
    "ingest/validation/cleaning": (
        "tests/unit/ingest/validation/test_cleaning.py",
        "tests/unit/ingest/validation/test_rules.py",
    ),
    "ingest/validation/constants.py": (
        "tests/unit/ingest/validation/test_identity_numbers.py",
        "tests/unit/ingest/validation/test_cleaning.py",
        "tests/unit/ingest/validation/test_rules.py",
        "tests/unit/ingest/validation/test_made_up_contracts.py",
    ),
    "ingest/validation/identity_numbers.py": (
        "tests/unit/ingest/validation/test_identity_numbers.py",
        "tests/unit/ingest/validation/test_rules.py",
    ),
}

#: A change that never ends counts as noticed after so many seconds.
PATIENCE = 300

#: What becomes of an operator or a bound in SQL.
SQL_CHANGES = {
    "<=": "<",
    ">=": ">",
    "<": "<=",
    ">": ">=",
    "=": "<>",
    "<>": "=",
    "+": "-",
    "-": "+",
    "*": "+",
    "and": "or",
    "or": "and",
    "is null": "is not null",
    "is not null": "is null",
    "is distinct from": "is not distinct from",
    "not exists": "exists",
    "inner join": "left join",
    "left join": "inner join",
    "full outer join": "inner join",
    "min(": "max(",
    "max(": "min(",
    "least(": "greatest(",
    "greatest(": "least(",
    "lead(": "lag(",
    "lag(": "lead(",
    " desc": " asc",
    " asc": " desc",
    "(distinct ": "(",
    "true": "false",
    "false": "true",
}
_WORDS = "|".join(
    rf"(?<![\w.]){re.escape(word)}(?!\w)" if word[0].isalpha() and word[-1].isalpha() else re.escape(word)
    for word in sorted(SQL_CHANGES, key=len, reverse=True)
    if word[0].isalpha() or word[0] in " ("
)
_SQL = re.compile(
    # passed over: the type of a value, both ends of "between", a column list's star
    r"(?P<skip>::\s*\w+\s*\([\d, ]+\)|\bselect \*|between\s+[^\n]*?\sand\b|->>?|::|\bselect distinct on)"
    r"|(?P<text>'[^'\n]*')"
    r"|(?P<number>(?<![\w.])\d+(?:\.\d+)?(?![\w.]))"
    rf"|(?P<word>{_WORDS})"
    r"|(?P<operator>(?<= )(?:<=|>=|<>|<|>|=|\+|-|\*)(?= ))"
)
_JINJA = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|--[^\n]*", re.DOTALL)
_TAG = re.compile(r"\{%-?\s*(?P<word>\w+)(?P<rest>.*?)-?%\}", re.DOTALL)


@dataclass(frozen=True)
class Mutation:
    """One change: where, and what stands there instead."""

    of: str  # a path, or the unique id of a model or macro of dbt
    line: int
    start: int
    end: int
    old: str
    new: str
    claimed_by: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.of}:{self.line}  {self.old.strip()} -> {self.new.strip()}"

    def applied(self, text: str) -> str:
        return text[: self.start] + self.new + text[self.end :]


# --- where something can be changed -----------------------------------------------------------------------------------


def _one_more(number: str) -> str:
    """The number with one more in its last digit."""
    digits = str(int(number.replace(".", "")) + 1).zfill(len(number.replace(".", "")))
    return digits if "." not in number else f"{digits[: number.index('.')]}.{digits[number.index('.') :]}"


def _blank(text: str, start: int, end: int) -> str:
    return text[:start] + re.sub(r"[^\n]", " ", text[start:end]) + text[end:]


def _without_increments(text: str) -> str:
    """SQL without what is only compiled where rows stand already."""
    open_: list[tuple[bool, int]] = []
    for tag in list(_TAG.finditer(text)):
        word = tag["word"]
        if word == "if":
            open_.append(("is_incremental()" in tag["rest"] and "not is_incr" not in tag["rest"], tag.end()))
        elif word in ("else", "elif", "endif") and open_:
            only_incremental, start = open_.pop()
            if only_incremental:
                text = _blank(text, start, tag.start())
            if word != "endif":
                open_.append((False, tag.end()))
    return text


def sql_places(of: str, text: str, claimed_by: tuple[str, ...], increments: bool) -> Iterator[Mutation]:
    """Places of a model's or macro's SQL."""
    plain = text if increments else _without_increments(text)
    for found in reversed(list(_JINJA.finditer(plain))):
        plain = _blank(plain, found.start(), found.end())
    for found in _SQL.finditer(plain):
        old = found[0]
        if found["text"]:
            new = old[:-1] + "~'" if old != "''" else "'~'"
            if re.fullmatch(r"'\d+ \w+'", old):  # an interval
                count, unit = old[1:-1].split()
                new = f"'{int(count) + 1} {unit}'"
            elif old == "'infinity'":
                new = "'-infinity'"
        elif found["number"]:
            new = _one_more(old)
        elif found["word"] or found["operator"]:
            new = SQL_CHANGES[old]
        else:
            continue
        yield Mutation(of, text.count("\n", 0, found.start()) + 1, found.start(), found.end(), old, new, claimed_by)


_PYTHON_CHANGES: dict[type, str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.And: "or",
    ast.Or: "and",
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "+",
    ast.Mod: "+",
    ast.FloorDiv: "*",
    ast.Pow: "*",
    ast.BitAnd: "|",
    ast.BitOr: "&",
}


def python_places(path: str, text: str, claimed_by: tuple[str, ...]) -> Iterator[Mutation]:
    """Places of a module; types, docstrings and messages are none."""
    return PythonPlaces(path, text, claimed_by).within(ast.parse(text))


class PythonPlaces:
    """Finds the places of a module that can be changed."""

    def __init__(self, path: str, text: str, claimed_by: tuple[str, ...]) -> None:
        self.path, self.text, self.claimed_by = path, text, claimed_by
        self.data = text.encode()
        self.line_starts = [0]
        for line in text.splitlines(keepends=True):
            self.line_starts.append(self.line_starts[-1] + len(line.encode()))

    def within(self, node: ast.AST) -> Iterator[Mutation]:
        """Places of a node and of those below it."""
        match node:
            case ast.Expr(value=ast.Constant()) | ast.JoinedStr() | ast.Raise() | ast.ImportFrom():
                return
            case ast.Assign(targets=[ast.Name(id="__all__")]):
                return
        yield from self.of_node(node)
        for name, child in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "bases") or (
                isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal"
            ):
                continue
            for below in child if isinstance(child, list) else [child]:
                if isinstance(below, ast.AST):
                    yield from self.within(below)

    def of_node(self, node: ast.AST) -> Iterator[Mutation]:
        """Places of a node alone: its operators, or its value."""
        match node:
            case ast.Compare(left=left, ops=ops, comparators=others):
                for before, operator, after in zip([left, *others], ops, others, strict=False):
                    yield from self.between(before, after, operator)
            case ast.BoolOp(op=operator, values=values):
                for before, after in itertools.pairwise(values):
                    yield from self.between(before, after, operator)
            case ast.BinOp(left=before, op=operator, right=after):
                yield from self.between(before, after, operator)
            case ast.AugAssign(target=before, op=operator, value=after):
                for found in self.between(before, after, operator):
                    yield self.place(found.start, found.end, found.new + "=")
            case ast.Constant(value=value):
                yield from self.of_constant(node, value)

    def of_constant(self, node: ast.Constant, value: object) -> Iterator[Mutation]:
        """The place of a constant; none for a text over several lines."""
        start = self.offset(node.lineno, node.col_offset)
        end = self.offset(node.end_lineno or 0, node.end_col_offset or 0)
        text = self.text
        if isinstance(value, bool):
            yield self.place(start, end, str(not value))
        elif isinstance(value, int):
            yield self.place(start, end, str(value + 1))
        elif isinstance(value, str | bytes) and text[end - 1] in "'\"" and "\n" not in text[start:end]:
            yield self.place(start, end, text[start : end - 1] + "~" + text[end - 1])

    def between(self, left: ast.expr, right: ast.expr, operator: ast.AST) -> Iterator[Mutation]:
        """The place of the operator between two expressions."""
        start = self.offset(left.end_lineno or 0, left.end_col_offset or 0)
        end = self.offset(right.lineno, right.col_offset)
        if (new := _PYTHON_CHANGES.get(type(operator))) and (
            found := re.search(r"(?:not in|is not|and|or|in|is|[-<>=!*+%&|/]+)", self.text[start:end])
        ):
            yield self.place(start + found.start(), start + found.end(), new)

    def place(self, start: int, end: int, new: str) -> Mutation:
        """A change of a slice of the text."""
        line = self.text.count("\n", 0, start) + 1
        return Mutation(self.path, line, start, end, self.text[start:end], new, self.claimed_by)

    def offset(self, line: int, column: int) -> int:
        """The offset in the text of a place that ``ast`` gives by line and byte."""
        return len(self.data[: self.line_starts[line - 1] + column].decode())


# --- dbt --------------------------------------------------------------------------------------------------------------


class Sql:
    """One embedded PostgreSQL, and one parse of the copied project, whose models and macros are changed in memory."""

    def __init__(self, copy: Path, home: Path) -> None:
        from dbt.cli.main import dbtRunner

        self.settings = Settings(home=home, dsn=None)
        dsn = server.ensure_running(self.settings)
        with database.connect(dsn) as conn:
            schema.migrate(conn, contracts.load())
        os.environ.update(dbt.environment(dsn, self.settings), PGOPTIONS=f"-c statement_timeout={PATIENCE}s")
        self.arguments = [
            *("--quiet", "--log-level", "none", "--log-level-file", "none", "--no-use-colors", "--no-write-json"),
            *("--project-dir", str(copy / "dbt_project"), "--profiles-dir", str(dbt.PROFILE)),
            *("--target-path", str(home / "target")),
        ]
        self.runner = dbtRunner()
        parsed = self._call("parse")
        self.runner = dbtRunner(manifest=parsed.result)
        self.manifest = parsed.result
        # the types of a unit test's rows come from the tables that stand
        if not self._call("build").success:
            raise SystemExit("The project does not build, or a unit test fails already.")

    def _call(self, *command: str) -> Any:
        return self.runner.invoke([command[0], *self.arguments, *command[1:]])

    def places(self) -> Iterator[Mutation]:
        """Of every model that has unit tests, and of every macro that one of them calls."""
        tests: dict[str, list[Any]] = {}
        for test in self.manifest.unit_tests.values():
            (model,) = (key for key in test.depends_on.nodes if key.endswith(f".{test.model}"))
            tests.setdefault(model, []).append(test)
            for macro in self._macros(self.manifest.nodes[model].depends_on.macros):
                tests.setdefault(macro, []).append(test)
        for key, claiming in sorted(tests.items()):
            increments = any(
                test.overrides is not None and test.overrides.macros.get("is_incremental") for test in claiming
            )
            names = tuple(sorted({f"unit_test:{test.name}" for test in claiming}))
            yield from sql_places(key, self._text(key), names, increments)

    def _macros(self, keys: list[str]) -> set[str]:
        found: set[str] = set()
        todo = [key for key in keys if key.startswith("macro.warehouse.")]
        while todo:
            key = todo.pop()
            if key not in found:
                found.add(key)
                below = self.manifest.macros[key].depends_on.macros
                todo += [other for other in below if other.startswith("macro.warehouse.")]
        return found

    def _text(self, key: str) -> str:
        return str(
            self.manifest.macros[key].macro_sql if key in self.manifest.macros else self.manifest.nodes[key].raw_code
        )

    def _set(self, key: str, text: str) -> None:
        if key in self.manifest.macros:
            self.manifest.macros[key].macro_sql = text
        else:
            self.manifest.nodes[key].raw_code = text

    def notices(self, place: Mutation) -> bool:
        """Whether one of the unit tests that claim a place fails once it is changed."""
        text = self._text(place.of)
        self._set(place.of, place.applied(text))
        try:
            return not self._call("test", "--fail-fast", "--select", " ".join(place.claimed_by)).success
        finally:
            self._set(place.of, text)


# --- Python -----------------------------------------------------------------------------------------------------------


def row_rule_places(copy: Path) -> Iterator[Mutation]:
    """Of every module of ``ROW_RULES``."""
    for name, tests in ROW_RULES.items():
        path = copy / name
        for module in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            yield from python_places(str(module.relative_to(copy)), module.read_text("utf-8"), tests)


def row_rules_notice(copy: Path, place: Mutation) -> bool:
    """Whether one of the unit tests that claim a place fails once it is changed."""
    path = copy / place.of
    text = path.read_text("utf-8")
    path.write_text(place.applied(text), "utf-8")
    try:
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *place.claimed_by],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
        ).returncode in (1, 2, 3, 4)
    except subprocess.TimeoutExpired:
        return True
    finally:
        path.write_text(text, "utf-8")


def main() -> None:
    """Draw, change, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sql", type=int, default=60, help="places in models and macros of dbt")
    parser.add_argument("--rows", type=int, default=30, help="places in the rules of rows")
    parser.add_argument("--only", default="", help="places whose model, macro or path holds this text")
    arguments = parser.parse_args()
    survived: list[Mutation] = []
    tried = 0
    with tempfile.TemporaryDirectory(prefix="warehouse-mutations-") as folder:
        copy, home = Path(folder) / "copy", Path(folder) / "home"
        made = shutil.ignore_patterns(".git", ".venv", ".warehouse", "target", "logs", ".*_cache", ".hypothesis")
        shutil.copytree(ROOT, copy, ignore=made)
        with contextlib.ExitStack() as stack:
            kinds: list[tuple[str, int, Iterator[Mutation], Callable[[Mutation], bool]]] = []
            if arguments.sql:
                sql = Sql(copy, home)
                stack.callback(server.stop, sql.settings)
                kinds.append(("SQL", arguments.sql, sql.places(), sql.notices))
            kinds.append(("rules of rows", arguments.rows, row_rule_places(copy), partial(row_rules_notice, copy)))
            for kind, count, found, notices in kinds:
                places = [place for place in found if arguments.only in place.of]
                chosen = random.Random(arguments.seed).sample(places, min(count, len(places)))
                missed = []
                for place in chosen:
                    noticed = notices(place)
                    print(f"{'noticed ' if noticed else 'SURVIVED'}  {place}", flush=True)  # noqa: T201
                    missed += [] if noticed else [place]
                print(f"{kind}: {len(places)} places, {len(chosen)} tried, {len(missed)} survived", flush=True)  # noqa: T201
                tried, survived = tried + len(chosen), survived + missed
    print(f"seed {arguments.seed}: {tried} tried, {len(survived)} survived")  # noqa: T201


if __name__ == "__main__":
    main()
