"""Readers' checks and silver's side of a switch: each way in which they cannot be used."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polygon_fundamentals.cutover import exact_figures, reader_checks
from polygon_fundamentals.cutover.context import BuiltSilver
from polygon_fundamentals.cutover.drill import drill
from polygon_fundamentals.cutover.reader_checks import Check, load_checks
from polygon_fundamentals.errors import AnswerIsNo, LakeError, UsageError
from polygon_fundamentals.field_map import Relation, Unit, primary_pairs
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.silver_files import link_of
from polygon_fundamentals.silver import links
from polygon_fundamentals.silver.schema import PREFIXES
from polygon_fundamentals.statements import Generation, Statement
from tests.cutover_world import TODAY, context, fill, run

READERS = Path(__file__).parents[3] / "deployments" / "readers.toml"


def test_the_file_of_checks(tmp_path: Path) -> None:
    file = tmp_path / "readers.toml"
    assert load_checks(None) == load_checks(file) == ()
    file.write_text('[[check]]\nname = "rows"\ncommand = ["python", "x.py"]\ntolerance = 1e-9\n')
    assert load_checks(file) == (Check(name="rows", command=("python", "x.py"), tolerance=1e-9),)


@pytest.mark.parametrize(
    "text",
    [
        "[[check]\n",
        '[[check]]\nname = "x"\n',
        '[[check]]\nname = "x"\ncommand = []\n',
        '[[check]]\nname = "x"\ncommand = ["y"]\ntolerence = 1\n',
        '[[check]]\nname = "x"\ncommand = ["y"]\ntolerance = 2\n',
    ],
)
def test_a_file_that_cannot_be_understood_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "readers.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"readers\.toml: .*correct the file, then run again"):
        load_checks(file)


def test_two_checks_with_one_name_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "readers.toml"
    file.write_text('[[check]]\nname = "rows"\ncommand = ["x"]\n' * 2)
    with pytest.raises(UsageError, match="check: 'rows' is the name of 2 checks; correct the file"):
        load_checks(file)


@pytest.mark.parametrize(
    ("command", "kind", "words"),
    [
        (["/nowhere/reader"], UsageError, "check 'c': /nowhere/reader was not found"),
        ([sys.executable, "-Sc", "import time; time.sleep(9)"], AnswerIsNo, "took more than 0.5 s"),
        ([sys.executable, "-Sc", "1/0"], AnswerIsNo, "exited with 1: ZeroDivisionError"),
        ([sys.executable, "-Sc", "raise SystemExit(3)"], AnswerIsNo, "exited with 3: no message"),
        ([sys.executable, "-Sc", "print('rows')"], AnswerIsNo, "did not print JSON"),
    ],
)
def test_a_check_that_does_not_answer(
    lake: Lake, command: list[str], kind: type[Exception], words: str
) -> None:
    slow = 0.5 if "sleep" in command[-1] else 30.0
    check = Check(name="c", command=tuple(command), timeout=slow)
    with pytest.raises(kind, match=words) as told:
        reader_checks.answers([check], lake, lake.bronze, lake.silver)
    assert "\n" not in str(told.value)


def test_a_check_is_told_where_to_look(lake: Lake) -> None:
    code = "import json, os, sys; print(json.dumps([sys.argv[1], os.environ['FUNDAMENTALS_LAKE']]))"
    check = Check(name="c", command=(sys.executable, "-Sc", code, "{bronze}:{silver}"))
    found = reader_checks.answers([check], lake, lake.bronze, lake.silver)
    assert found == {"c": [f"{lake.bronze}:{lake.silver}", str(lake.root)]}


def test_a_check_may_print_in_another_encoding(lake: Lake) -> None:
    code = r"import sys; sys.stdout.buffer.write(b'{\"name\": \"Soci\xe9t\xe9\"}')"
    check = Check(name="c", command=(sys.executable, "-Sc", code))
    found = reader_checks.answers([check], lake, lake.bronze, lake.silver)
    assert found == {"c": {"name": "Soci\ufffdt\ufffd"}}


def test_a_check_that_fails_on_what_would_be_stops_the_cutover(lake: Lake) -> None:
    fill(lake)
    code = "import sys; print(1) if not sys.argv[1].endswith('_v2') else sys.exit('no such column')"
    check = Check(name="old reader", command=(sys.executable, "-Sc", code, "{bronze}"))
    found = run(lake, "cutover", checks=(check,))
    assert (found["exit_code"], found["state"]) == (1, "undone")
    assert "'old reader' exited with 1: no such column" in found["message"]
    assert lake.primary is Generation.V1


def test_checks_that_were_not_asked_before_are_not_compared() -> None:
    check = Check(name="new", command=("x",))
    assert reader_checks.differences([check], {}, {"new": 1}) == []
    assert reader_checks.differences([check], {"new": True}, {"new": 1}) == []
    assert reader_checks.differences([check], {"new": "1"}, {"new": 1}) == ["new: '1' became 1"]


def test_a_missing_number_agrees_with_a_missing_number_alone() -> None:
    check = Check(name="x", command=("y",), tolerance=1e-9)
    nan = float("nan")
    assert reader_checks.differences([check], {"x": [nan, 1.0]}, {"x": [nan, 1.0]}) == []
    assert reader_checks.differences([check], {"x": nan}, {"x": 1.0}) == ["x: nan became 1.0"]
    assert reader_checks.differences([check], {"x": 1}, {"x": nan}) == ["x: 1 became nan"]


def test_many_differences_are_counted() -> None:
    check = Check(name="c", command=("x",))
    old, new = {"c": dict.fromkeys("abcde", 1)}, {"c": dict.fromkeys("abcde", 2)}
    with pytest.raises(AnswerIsNo, match=r"c\.a: 1 became 2; .* and 2 more; find out why"):
        reader_checks.refuse_differences([check], old, new, "the pointer")


def test_silver_that_is_no_link_of_ours(lake: Lake) -> None:
    fill(lake)
    link = link_of(lake)
    assert links.linked_build(lake) is None
    link.mkdir(parents=True)
    with pytest.raises(
        LakeError,
        match="is a folder that another tool wrote; run `polygon-fundamentals silver --adopt-path`",
    ):
        links.linked_build(lake)
    found = run(lake, "cutover", checks=())
    assert (found["exit_code"], found["state"], lake.primary) == (4, "undone", "v1")
    link.rmdir()
    link.symlink_to("builds/gone")
    with pytest.raises(LakeError, match=r"builds/gone, which is not there; build it: .* silver"):
        links.linked_build(lake)


def test_the_schema_of_a_build(tmp_path: Path) -> None:
    assert links.schema_text(tmp_path) is None
    pq.write_table(pa.table({"a": [1]}), tmp_path / "1.parquet")
    assert links.schema_text(tmp_path) == "a: int64"
    pq.write_table(pa.table({"a": ["x"]}), tmp_path / "2.parquet")
    with pytest.raises(LakeError, match="have different schemas"):
        links.schema_text(tmp_path)


def test_the_librarys_own_silver_is_built_beside(lake: Lake) -> None:
    fill(lake)
    build = BuiltSilver().build(lake, Generation.V2)
    assert links.linked_build(lake) is None
    table = pq.read_table(build)
    assert set(table["generation"].to_pylist()) == {"v2"}
    assert table.num_rows == 6


def test_the_build_that_readers_leave_is_kept_for_a_day_more(lake: Lake) -> None:
    from polygon_fundamentals import silver

    fill(lake)
    old = silver.build(lake, Generation.V1).path
    week_ago = time.time() - 7 * 86_400
    os.utime(old / "_build.json", (week_ago, week_ago))
    assert run(lake, "cutover", checks=(), silver=BuiltSilver())["exit_code"] == 0
    # The nightly build clears what nobody was led to for a day.
    (lake.silver / "builds" / "20200101T000000000000Z-v1.partial").mkdir()
    silver.build(lake, Generation.V2)
    assert [p.name for p in (lake.silver / "builds").glob("*.partial")] == []
    assert old.is_dir()
    found = run(lake, "rollback", checks=(), silver=BuiltSilver())
    assert found["exit_code"] == 0
    assert links.linked_build(lake) == old


def test_a_build_that_was_cleared_meanwhile_is_made_again(lake: Lake) -> None:
    fill(lake)

    def lose(name: str) -> None:
        if name == "after move silver":
            for build in (lake.silver / "builds").glob("*-v1"):
                shutil.rmtree(build)

    lost = Check(name="c", command=(sys.executable, "-Sc", LINKED, "{bronze}"))
    found = run(lake, "cutover", checks=(lost,), on_reached=lose)
    assert (found["exit_code"], found["state"]) == (1, "undone")
    build = links.linked_build(lake)
    assert build is not None
    assert pq.read_table(build)["generation"].unique().to_pylist() == ["v1"]


# Answers alike until the pointer itself is what it is asked about.
LINKED = "import json, os, sys; print(json.dumps(os.path.islink(sys.argv[1])))"


def test_keys_of_one_answer_alone_are_not_compared_where_the_check_says_so() -> None:
    check = Check(name="c", command=("x",), only_in_both=True)
    old, new = {"c": {"A": {"2024": 1.0}}}, {"c": {"A": {"2025": 5.0, "2024": 1.0}, "B": {}}}
    assert reader_checks.differences([check], old, new) == []
    figure = reader_checks.Figure("c", ".A.2024", 1.0, 1.0, agrees=True)
    assert reader_checks.figures([check], old, new) == [figure]
    none_in_common = {"c": {"B": {"2024": 1.0}}}
    assert reader_checks.differences([check], old, none_in_common) == [
        "c: the two answers have no figure in common"
    ]


def test_most_of_the_first_answer_must_be_in_the_second() -> None:
    """v2 may be a year ahead of every ticker, and yet it must have the tickers."""
    figures = {"bs_total_assets": 1.0, "bs_total_equity": 2.0}
    old = {f"T{n}": dict.fromkeys(("2022", "2023", "2024"), figures) for n in range(100)}
    ahead = {f"T{n}": dict.fromkeys(("2023", "2024", "2025"), figures) for n in range(95)}
    [shipped] = load_checks(READERS)
    name = shipped.name
    assert reader_checks.differences([shipped], {name: old}, {name: ahead}) == []
    del ahead["T0"]
    later = ahead | {f"T{n}": {"2025": figures} for n in range(96, 100)}
    for new, in_both in ((ahead, 94), (later, 94), ({"T1": {"2024": {"bs_total_assets": 1.0}}}, 1)):
        assert reader_checks.differences([shipped], {name: old}, {name: new}) == [
            f"{name}: {in_both} of 100 keys of the first answer have a figure in the second; at "
            "least 95% must (in_both_at_least)"
        ]
    own = Check(name="c", command=("x",), only_in_both=True)
    half = {"A": 1, "B": {}, "C": 2}
    assert reader_checks.differences([own], {"c": half}, {"c": {"A": 1}}) == []
    assert len(reader_checks.differences([own], {"c": half | {"D": 3}}, {"c": {"A": 1}})) == 1


def test_a_share_of_the_figures_may_differ_where_the_check_says_so() -> None:
    """v2 has restated figures; what differs for nearly every company is another matter."""
    old, few = ({"c": {str(n): float(n + (n < m)) for n in range(100)}} for m in (0, 5))
    many = {"c": {str(n): float(n + (n < 6)) for n in range(100)}}
    strict = Check(name="c", command=("x",))
    lenient = Check(name="c", command=("x",), at_least=0.95)
    assert len(reader_checks.differences([strict], old, few)) == 5
    assert reader_checks.differences([lenient], old, few) == []
    assert len(reader_checks.differences([lenient], old, many)) == 6
    said = reader_checks.refuse_differences([lenient], old, few, "v2 beside v1")
    assert "readers' checks are met: 95 of 100 figures agree, compared by 1 of 1 check" in said


def test_the_check_that_ships_reads_the_last_years_of_a_build(lake: Lake, tmp_path: Path) -> None:
    rows = [
        {
            "ticker": ticker,
            "timeframe": timeframe,
            "period_end": date(year, 12, 31),
            **dict.fromkeys(exact_figures.COLUMNS, float(year)),
            "bs_total_equity": None,
        }
        for ticker in ("A", "NA")
        for year in range(2020, 2026)
        for timeframe in ("annual", "quarterly")
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "part.parquet")
    [shipped] = load_checks(READERS)
    answer = reader_checks.answers([shipped], lake, lake.bronze, tmp_path)[shipped.name]
    assert answer.keys() == {"A", "NA"}
    assert list(answer["NA"]) == ["2025-12-31", "2024-12-31", "2023-12-31"]
    assert answer["NA"]["2024-12-31"] == {
        name: 2024.0 for name in exact_figures.COLUMNS if name != "bs_total_equity"
    }


def test_its_columns_are_exact_in_the_field_map() -> None:
    exact = {
        PREFIXES[statement] + str(entry.v2)
        for statement in Statement
        for entry in primary_pairs(statement)
        if entry.relation is Relation.EXACT and entry.unit is Unit.USD
    }
    assert set(exact_figures.COLUMNS) <= exact


def test_a_drill_leaves_the_figures_of_both_generations(lake: Lake) -> None:
    fill(lake)
    code = "import json; print(json.dumps({'rows': 5, 'name': 'x'}))"
    check = Check(name="c", command=(sys.executable, "-Sc", code))
    assert drill(lake, context(lake, checks=(check,)), TODAY).passed
    content = json.loads(reader_checks.figures_file(lake).read_text())
    assert [(f["place"], f["before"], f["after"], f["agrees"]) for f in content["figures"]] == [
        (".rows", 5, 5, True),
        (".name", "x", "x", True),
    ]
