"""Columns, metrics, rows and other names that the pages use are those of the code."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import prefect
import pyarrow as pa
import pytest
import yaml

from flows.commands import COMMANDS
from flows.lake_status import TARGETS_FILE
from polygon_fundamentals.cutover import checklist
from polygon_fundamentals.datasets.schemas import schema
from polygon_fundamentals.field_map import FIELD_MAP, RECORD_FIELDS, Relation
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.revisions import revisions_schema
from polygon_fundamentals.silver import wide_schema
from polygon_fundamentals.silver.schema import history_schema
from polygon_fundamentals.statements import Generation, Snapshot, Statement
from polygon_fundamentals.status import checks, follow_up_checks, load_targets
from tests.contract.doc_pages import PAGES, ROOT, blocks, code_spans

CODE = ("src", "flows", "tasks", "expectations", "deployments", "sandbox", "benchmarks")
# Names of other programs, which no file of ours holds.
OTHERS = {
    "arg_max": "a function of DuckDB",
    "hive_partitioning": "an option of DuckDB and polars",
    "union_by_name": "an option of DuckDB",
    "extra_columns": "an option of polars",
    "pg_trgm": "an extension of PostgreSQL",
    "notify_on": "an option of Great Expectations' actions",
    "slack_webhook": "an option of Great Expectations' actions",
    "run_parallel": "a function of the plan's scripts",
    "bronze_fundamentals_v2": "a job of the plan's scripts",
    "polygon_rest_client": "a module of the plan's",
    "crontab_backup": "a file of the plan's",
    "batch_load_fundamentals_all": "a script of the plan's",
    "fundamentals_v1_archive_": "a file of the plan's",
    "financial_ratios": "a folder of quantmini's lake",
    "short_interest": "a folder of quantmini's lake",
    "short_volume": "a folder of quantmini's lake",
    "fundamentals_wide_before": "a folder of the reader's own",
    "bronze_v1_balance_sheets": "made of a pattern: bronze_{generation}_{statement}",
    "bronze_v2_balance_sheets": "made of a pattern: bronze_{generation}_{statement}",
    "edgar_v1_accession": "made of a pattern: edgar_{generation}_accession",
}
NAME = r"(?<![\w./$-])[a-z][a-z0-9]*(?:_[a-z0-9]+)+(?![\w/]|\.(?:py|toml|yaml|md|csv|sh|parquet))"
TABLE = re.compile(r"^\| column \|.*\n\|[ -:|]+\n((?:\|.*\n)+)", re.MULTILINE)


def names_in(text: str) -> set[str]:
    """Return the names with an underscore between the backticks of a text."""
    return {name for span in code_spans(text) for name in re.findall(NAME, span)}


@cache
def names_of_the_code() -> frozenset[str]:
    """Return every word of the code and its data files; those of comments do not count."""
    words = set[str]()
    for folder in CODE:
        for path in (ROOT / folder).rglob("*"):
            if path.suffix == ".py":
                words.update(_words_of(ast.parse(path.read_text(encoding="utf-8"))))
            elif path.suffix in (".toml", ".yaml", ".csv", ".json"):
                text = re.sub(r"^\s*#.*$", "", path.read_text(encoding="utf-8"), flags=re.M)
                words.update(re.findall(r"\w+", text))
    return frozenset(words | set(re.findall(r"\w+", (ROOT / "prefect.yaml").read_text())))


def _words_of(tree: ast.AST) -> Iterator[str]:
    """Yield names and the words of strings; docstrings are prose and do not count."""
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        for field in ("id", "attr", "name", "arg"):
            if isinstance(value := getattr(node, field, None), str):
                yield value
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield from re.findall(r"\w+", node.value)


def fields_within(fields: Iterable[pa.Field]) -> Iterator[str]:
    """Yield the names of fields, and those of structs with dots between."""
    for field in fields:
        yield field.name
        if pa.types.is_struct(field.type):
            yield from (f"{field.name}.{name}" for name in fields_within(field.type.fields))


@cache
def columns() -> frozenset[str]:
    """Return the columns of every table of a lake that users read."""
    schemas = [schema(g, s) for g in Generation for s in Statement]
    schemas += [revisions_schema(Lake(Path()).dataset(g, s)) for g in Generation for s in Statement]
    schemas += [schema(Generation.V2, Snapshot.RATIOS), wide_schema(), history_schema()]
    return frozenset(name for one in schemas for name in fields_within(one))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_names_of_a_page_are_names_of_the_code(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert names_in(text) - names_of_the_code() - OTHERS.keys() == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_columns_of_a_page_are_columns_of_the_lake(page: Path) -> None:
    """In tables of columns, with a prefix of silver's, and v1's nested ones."""
    text = page.read_text(encoding="utf-8")
    code = "\n".join([*code_spans(text), blocks(text)])
    named = {
        name
        for table in TABLE.findall(text)
        for line in table.splitlines()
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    named |= set(re.findall(r"(?<![\w.])(?:bs|cf|is)_[a-z]\w+(?!\()", code))
    named |= set(re.findall(r"(?<![\w.])financials\.\w+(?:\.[a-z]\w*)*", code))
    assert named - columns() - {"is_"} == set()


def test_a_name_that_is_none_is_seen() -> None:
    text = "`no_such_column_at_all`, `Totals.no_such_method()`, `is_revenue` and `docs/no_such.md`"
    assert names_in(text) - names_of_the_code() == {"no_such_column_at_all"}
    assert "is_revenue" in columns()
    assert "financials.balance_sheet.assets.value" in columns()
    assert not {"is_revenues", "balance_sheet.assets", "assets"} & columns()
    pages = [page.name for page in PAGES if TABLE.search(page.read_text(encoding="utf-8"))]
    assert {"schema.md", "silver.md"} <= set(pages)


def test_the_names_of_others_are_still_on_a_page() -> None:
    named = set[str]().union(*(names_in(page.read_text(encoding="utf-8")) for page in PAGES))
    assert OTHERS.keys() <= named | {"fundamentals_v1_archive_"}


def test_the_plans_targets_are_those_that_status_judges_by() -> None:
    page = (ROOT / "docs" / "plan.md").read_text(encoding="utf-8")
    [table] = re.findall(r"^\| metric \|.*\n\|[- |]+\n((?:\|.*\n)+)", page, re.M)
    shown = [[cell.strip() for cell in line.split("|")[1:4]] for line in table.splitlines()]
    targets = load_targets(TARGETS_FILE).values()
    assert [cells[1:] for cells in shown] == [
        [f"{figure:g} {one.unit}".strip() for figure in (one.target, one.acceptable)]
        for one in targets
    ]
    for (name, *_), one in zip(shown, targets, strict=True):
        plain = name.replace("behind the schedule", "").strip()
        assert plain in one.title or one.title.startswith(plain.split(" of ")[0]), name
    assert list(tomllib.loads(TARGETS_FILE.read_text(encoding="utf-8"))["targets"]) == [
        *load_targets(None)
    ]


def rows_that_can_be_red() -> set[str]:
    """Return the names of the rows of `status` that its code can set to not ok.

    Without what is put in: the generation, the statement and the title of a target.
    """
    names = set[str]()
    sources = [Path(module.__file__).read_text("utf-8") for module in (checks, follow_up_checks)]
    for function in (node for source in sources for node in ast.parse(source).body):
        given = dict[str, str]()
        for node in ast.walk(function):
            if isinstance(node, ast.Assign):
                left, right = node.targets[0], node.value
                pairs = (
                    zip(left.elts, right.elts, strict=False)
                    if isinstance(left, ast.Tuple) and isinstance(right, ast.Tuple)
                    else [(left, right)]
                )
                given |= {t.id: _text(v, given) for t, v in pairs if isinstance(t, ast.Name)}
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Row":
                never = isinstance(node.args[1], ast.Constant) and node.args[1].value is not False
                names |= set() if never else {_text(node.args[0], given)}
    return names - {"", "pointer"}  # a pointer that leads nowhere is an error, exit code 4


def _text(node: ast.expr, given: Mapping[str, str]) -> str:
    """Return the text of a constant or of an f-string whose parts are `given`."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, given) for part in node.values).strip()
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, given)
    if isinstance(node, ast.Name):
        return given.get(node.id, "")
    return str(node.value) if isinstance(node, ast.Constant) else ""


def test_the_runbook_has_every_row_that_can_be_red_and_no_other() -> None:
    page = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    [table] = re.findall(r"^\| row \|.*\n\|[- |]+\n((?:\|.*\n)+)", page, re.M)
    shown = {line.split("|")[1].strip() for line in table.splitlines()}
    shown -= {"v1, v2 and their statements", "the targets"}  # named by what is put in
    assert {re.sub(r"^v1, v2 ", "", name) for name in shown} == rows_that_can_be_red()


def test_lines_of_the_checklist_that_a_page_names_are_there() -> None:
    named = {
        line
        for page in PAGES
        for line in re.findall(r"`checklist`, line \*([^*]+)\*", page.read_text(encoding="utf-8"))
    }
    assert {"parallel runs", "run time", "storage", "silver"} <= named <= set(checklist.LINES)


def test_deployments_that_a_page_names_are_declared() -> None:
    """Names with a hyphen that end as those of deployments do, besides the commands."""
    declared = {
        one["name"]
        for one in yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))[
            "deployments"
        ]
    }
    ends = "|".join(sorted({name.rsplit("-", 1)[-1] for name in declared}))
    named = {
        (page.name, span)
        for page in PAGES
        for span in code_spans(page.read_text(encoding="utf-8"))
        if re.fullmatch(rf"[a-z]+-(?:{ends})", span)
    }
    assert {span for _, span in named} - declared - COMMANDS.keys() == {"polygon-fundamentals"}


def test_the_schema_page_lists_every_column_of_the_files() -> None:
    page = (ROOT / "docs" / "schema.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`(\w+)`", page))
    for generation in Generation:
        for statement in Statement:
            assert set(schema(generation, statement).names) <= listed
    assert {"absent_fields", "unmapped", "observed_at"} <= listed
    assert "financials.balance_sheet.assets.value" in page, "v1's lines are members of a struct"


def test_the_readme_counts_the_pairs_that_differ_in_meaning() -> None:
    pairs = [e for e in (*FIELD_MAP, *RECORD_FIELDS) if e.relation is Relation.DEFINITION_DIFFERS]
    shared = sum(pair.v1 == pair.v2 for pair in pairs)
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"{len(pairs)} fields of v1 have a counterpart in v2" in readme
    assert (shared, "ten of these pairs share the name" in readme) == (10, True)


def test_the_page_says_where_it_contradicts_the_vendors_description() -> None:
    page = (ROOT / "docs" / "schema.md").read_text(encoding="utf-8")
    [line] = [x for x in page.splitlines() if "| `total_operating_expenses` |" in x]
    assert "v2's description says 'including cost" in line


def test_the_page_names_the_extension_that_prefects_migrations_make() -> None:
    database = Path(prefect.__file__).parent / "server" / "database"
    migrations = database / "_migrations" / "versions" / "postgresql"
    assert any("pg_trgm" in path.read_text(encoding="utf-8") for path in migrations.glob("*.py"))
    assert "`pg_trgm`" in (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
