"""The lines of the migration plan, with the program's name changed, from `/` as cron runs them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.catalogue import counts
from sandbox import Sandbox
from tests.conftest import KEY
from tests.console import ROOT, from_cron

PLAN = ROOT.parent / "shared" / "PLAN.md"
PAGE = (ROOT / "docs" / "plan.md").read_text(encoding="utf-8")


def rows() -> dict[str, str]:
    """Return each of the plan's shell lines on docs/plan.md with what the page has beside it."""
    [table] = re.findall(r"^## Command lines of the plan.*?(^\|.*?)^## ", PAGE, re.M | re.S)
    cells = re.findall(r"^\| `(.+?)` \| (.+) \|$", table, re.M)
    return {line.replace("\\|", "|"): here.replace("\\|", "|") for line, here in cells}


def runnable() -> dict[str, str]:
    """Return those of them that are a command of ours, to be typed as it stands."""
    found = {
        line: re.fullmatch(r"`(polygon-fundamentals .+)`", here) for line, here in rows().items()
    }
    return {line: match[1] for line, match in found.items() if match}


def test_every_shell_line_of_the_plan_is_on_the_page() -> None:
    """The lines are taken out of the plan's code blocks; comments are left out."""
    if not PLAN.exists():
        pytest.skip("the plan itself is not beside this checkout")
    blocks = re.findall(r"^```bash\n(.*?)^```", PLAN.read_text(encoding="utf-8"), re.M | re.S)
    code = "\n".join(blocks).replace("\\\n", " ")
    lines = [" ".join(re.sub(r"(^|\s)#.*", "", line).split()) for line in code.splitlines()]
    assert set(rows()) == set(lines) - {""}


def test_every_file_and_option_of_the_plan_is_on_the_page() -> None:
    """A file's second version may stand as `…_v2` behind the first."""
    if not PLAN.exists():
        pytest.skip("the plan itself is not beside this checkout")
    text = PLAN.read_text(encoding="utf-8")
    files = {name.rsplit("/", 1)[-1] for name in re.findall(r"[\w/]+\.(?:py|sh)\b", text)}
    stems = {re.sub(r"(_v2)?\.(py|sh)$", "", name) for name in files} - {""}
    assert len(stems) > 10
    assert {stem for stem in stems if stem not in PAGE} == set()
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text))
    assert {"--use-v2", "--output-dir", "--days-back"} <= options
    assert {option for option in options if option not in PAGE} == set()


def test_every_call_of_the_old_command_and_of_a_script_has_a_command_here() -> None:
    """Those that are named only: lines that change files of the scripts, or look for processes."""
    calls = [
        line for line in rows() if re.match(r"quantmini|run_parallel|python |\./scripts", line)
    ]
    assert sorted(runnable()) == sorted(calls)
    for line, here in runnable().items():
        if "quantmini" in line:  # the program's name is all that changes
            old = re.sub(r'^run_parallel "\w+" "(.*)"$', r"\1", line)
            assert here == old.replace("quantmini polygon", "polygon-fundamentals")


def environment(sandbox: Sandbox, folder: Path) -> dict[str, str]:
    """Return the variables of the plan's scripts, and where the sandbox is."""
    lake, names = folder / "lake", sandbox.tickers[:2]
    return {
        "POLYGON_API_KEY": KEY,
        "POLYGON_BASE_URL": sandbox.url,
        "QUANTLAKE_ROOT": str(lake),
        "BRONZE_DIR": str(lake / "bronze"),
        "LOG_FILE": str(folder / "load.log"),
        "FUNDAMENTAL_TICKERS": " ".join(names),
        "TICKER": names[0],
        "FILING_DATE_GTE": "2025-01-01",
    }


def generations_in(lake: Path) -> set[str]:
    return {found.generation.value for found in counts(Lake(lake)) if found.records}


@pytest.mark.slow
def test_the_plans_lines_run_one_after_the_other(sandbox: Sandbox, tmp_path: Path) -> None:
    """In the plan's order on one lake; the sandbox has other tickers than the plan."""
    lake, expected = tmp_path / "lake", set[str]()
    for line, here in runnable().items():
        typed = here.replace("AAPL MSFT", " ".join(sandbox.tickers[:2]))
        typed += "\nwait $!" if typed.endswith("&") else ""
        done = from_cron(typed, tmp_path, environment(sandbox, tmp_path))
        said = done.stdout + done.stderr
        if here == "polygon-fundamentals parity":  # what was loaded is not all that v1 has
            assert done.returncode in (0, 1), said
            assert re.match(r"parity (not )?passed: [1-9]", done.stdout)
            continue
        assert done.returncode == 0, f"{line}: {said}"
        assert f"lake: {lake}\n" in done.stdout
        expected.add("v2" if re.search(r"--use-v2|--generation v2", here) else "v1")
        assert generations_in(lake) == expected
    assert expected == {"v1", "v2"}
    assert list((lake / "bronze").rglob("bronze")) == []
    assert (tmp_path / "load.log").read_text().endswith(f"lake: {lake}\n")


@pytest.mark.slow
def test_both_pipelines_run_side_by_side_as_in_the_plan(sandbox: Sandbox, tmp_path: Path) -> None:
    """Phase 4: both in the background, then a wait for each, then the comparison."""
    given = environment(sandbox, tmp_path)
    load = "polygon-fundamentals historical-load --tickers $TICKER --from 2025-01-01"
    assert from_cron(load, tmp_path, given).returncode == 0
    names = [name for name in rows() if re.search(r"_PID|--days-back", name)]
    typed = [runnable().get(name, name) for name in names]
    assert [line.split()[0] for line in typed] == [
        "polygon-fundamentals",
        "V1_PID=$!",
        "polygon-fundamentals",
        "V2_PID=$!",
        "wait",
        "wait",
    ]
    script = "\n".join([*typed[:-2], *(f"{line} || exit 9" for line in typed[-2:])])
    done = from_cron(script, tmp_path, given)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("lake: ") == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "polygon-fundamentals fundamentals AAPL --output-dir $BRONZE_DIR/fundamentals_v2",
            "would load v1: add --use-v2",
        ),
        (
            "polygon-fundamentals fundamentals AAPL --use-v2 --output-dir $BRONZE_DIR",
            "named like a part of one",
        ),
        ("polygon-fundamentals fundamentals --use-v2", "name a ticker"),
        ("polygon-fundamentals fundamentals AAPL --timeframe monthly", "invalid choice"),
    ],
)
def test_a_line_that_cannot_be_meant_is_refused_with_the_reason(
    line: str, reason: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    done = from_cron(line, tmp_path, environment(sandbox, tmp_path))
    assert done.returncode == 2
    assert reason in done.stderr
    assert not (tmp_path / "lake").exists()
