"""What commands print: a flow's report as lines for people or as JSON, and errors."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import textwrap
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp
from typing import Any
from urllib.parse import urlsplit

from polygon_fundamentals.errors import ApiError

INSTALLED = "polygon-fundamentals"
# The name with a command behind it, as messages write it; not the end of a path.
_NAMED = re.compile(rf"(?<![\w/.-]){INSTALLED} (?=[a-z])")
Lines = Callable[[Mapping[str, Any]], Iterable[str]]
MARKS = {True: "ok ", False: "NO ", None: " ? "}  # None: not judged
REASONS_SHOWN = MISSING_SHOWN = 5
# As of a program that SIGPIPE ends: what it would have answered is not known.
READER_LEFT = 141


def program() -> str:
    """Return how the user called this program."""
    return INSTALLED if Path(sys.argv[0]).name == INSTALLED else "python -m flows"


def reworded(text: str) -> str:
    """Return a message with the commands that it names as the user called this program."""
    return _NAMED.sub(f"{program()} ", text)


def fitted(line: str) -> str:
    """Return a line broken at words for the terminal, what follows indented; else as it is.

    A file or a pipe gets every line whole, and an address or a path is never broken.
    """
    width = shutil.get_terminal_size().columns
    if not sys.stdout.isatty() or len(line) <= width:
        return line
    leading = len(line) - len(line.lstrip())
    indent = " " * (leading + 2 if leading else 4)
    return textwrap.fill(
        line,
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def finish(state: Any, lines: Lines, as_json: bool) -> int:
    """Print the report of a flow's end state, as JSON or by `lines`; return the exit code."""
    from flows.runs import report_of  # Prefect is loaded by now

    report = report_of(state)
    if report is None:
        result = state.result(raise_on_failure=False)
        if isinstance(result, Exception) and not state.is_cancelled():
            if silent := unanswered(result):
                return complain(str(silent), silent.exit_code, as_json)
            return complain(unforeseen(result), 3, as_json)
        return complain(str(state.message or state), 3, as_json)
    if "error" in report:
        return complain(report["error"], report["exit_code"], as_json)
    with reader_may_leave():
        if as_json:
            # What went wrong, and the remedy, may stand in the message alone.
            hidden = ("exit_code",) if report["exit_code"] else ("exit_code", "message")
            print(json.dumps({k: v for k, v in report.items() if k not in hidden}))
        else:
            for line in lines(report):
                print(fitted(reworded(line)))
    return int(report["exit_code"])


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Let the answer stand where `| head` has read enough: its exit code says how it came out."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        nobody_reads()


def nobody_reads() -> None:
    """Send what is still to be printed nowhere, so that Python's end does not fail for it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def unanswered(error: Exception) -> ApiError | None:
    """Return what to say where the configured Prefect server does not answer, else None."""
    if "Failed to reach API" not in str(error):
        return None
    url = urlsplit(os.environ.get("PREFECT_API_URL") or "")
    # Without a user and a password, which may be in the address.
    address = url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl()
    return ApiError(
        f"the Prefect server of {address or 'the active profile'} does not answer: start it or "
        "correct PREFECT_API_URL; unset it to run without one"
    )


def unforeseen(error: Exception) -> str:
    """Return what to say of an error that no class of ours stands for; its traceback is kept.

    In a file that only the user can read: nothing of ours puts the key into one, but an answer
    or a path may stand in it.
    """
    file, name = mkstemp(prefix="polygon-fundamentals-", suffix=".log")
    with os.fdopen(file, "w") as log:
        log.writelines(traceback.format_exception(error))
    said = traceback.format_exception_only(error)[-1].strip().rstrip(".")
    return (
        f"unexpected {said}; run the same command again, which continues. If it fails again, "
        f"report it with the traceback in {name}"
    )


def complain(message: str, code: int, as_json: bool) -> int:
    """Print an error in one line (with --json, as the JSON object too); return the code."""
    text = " ".join(message.split())
    print(reworded(f"error: {text}"), file=sys.stderr)
    if as_json:
        print(json.dumps({"error": text, "exit_code": code}))
    return code


def load_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a load did, for people; what is missing goes to standard error."""
    for name in ("v1", "v2", "ratios"):
        if name not in report:
            continue
        load = report[name]
        yield (
            f"{name:<2}  {load['units']:>6,} units  {load['rows_new']:>9,} rows new  "
            f"{load['rows_changed']:>7,} changed  {load['rows_unchanged']:>9,} unchanged  "
            f"{load['requests']:>6,} requests  {load['seconds']:>7.1f} s  "
            f"{load['bytes_written'] / 1e6:>8.1f} MB"
        )
        if load["rows_withdrawn"]:
            yield f"    {load['rows_withdrawn']:,} rows withdrawn and moved to ops/revisions"
        if load["rows_withheld"]:
            print(
                f"error: {load['rows_withheld']:,} rows of {name} were not in the answer, or only "
                "as of an earlier filing, and stay in the lake "
                f"({_first_of(load['tickers_withheld'])}): an answer that lacks a ticker's newest "
                "period, many of its periods, or periods of many tickers may be partial. Run "
                "again; if the API still says so, `refresh --tickers SYMBOL --accept-withdrawals` "
                "moves them to ops/revisions",
                file=sys.stderr,
            )
        if load["units_resumed"]:
            yield f"    {load['units_resumed']:,} units were already done by the interrupted run"
        warn(name, load)
    if "original_dates" in report:
        yield _dates_line(report["original_dates"])
    yield f"lake: {report['lake']}"


def _dates_line(dates: Mapping[str, Any]) -> str:
    if "error" in dates:
        print(f"error: original dates: {dates['error']}", file=sys.stderr)
    if "periods" not in dates:
        return "original dates: none"
    exact = f"{dates['edgar']:,} from SEC EDGAR, " if dates.get("edgar") else ""
    return (
        f"original dates: of {dates['periods']:,} periods {exact}{dates['index']:,} from the "
        f"filings index, {dates['index_estimate']:,} estimated, {dates['unknown']:,} unknown"
        + (f"; {dates['note']}" if dates.get("note") else "")
        + "".join(
            f"; earlier periods of CIK {c} are not its own" for c in dates.get("late_ciks", ())
        )
    )


def warn(name: str, load: Mapping[str, Any]) -> None:
    """Print to standard error which units are missing and why, each reason once."""
    reasons = Counter(unit["reason"] for unit in load["failed"])
    for reason, count in reasons.most_common(REASONS_SHOWN):
        tickers = dict.fromkeys(u["ticker"] for u in load["failed"] if u["reason"] == reason)
        who = ", ".join(list(tickers)[:3]) + (", ..." if len(tickers) > 3 else "")
        print(
            f"error: {name}: {count} of {load['units']} units missing ({who}): {reason}",
            file=sys.stderr,
        )
    if len(reasons) > REASONS_SHOWN:
        print(
            f"error: {name}: {len(reasons) - REASONS_SHOWN} more reasons; --json lists all",
            file=sys.stderr,
        )
    nothing = load["tickers_without_rows"]
    if nothing and not load["failed"]:
        who = _first_of(nothing)
        stray = load.get("rows_unfollowed", 0)
        why = f"{stray:,} rows name none of the tickers or companies, and were not stored"
        if not stray:
            why = "not listed (v2), nothing filed in these days, or a misspelt ticker"
        print(f"warning: {name}: no rows for {who}: {why}", file=sys.stderr)


def _first_of(tickers: Sequence[str]) -> str:
    """Return the first five of some tickers, and how many more there are."""
    more = f" and {len(tickers) - 5} more" if len(tickers) > 5 else ""
    return ", ".join(tickers[:5]) + more


def daily_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a daily update did, for people; its notes go to standard error."""
    for note in report["notes"]:
        print(reworded(f"note: {note}"), file=sys.stderr)
    yield from load_lines(report)
    unfollowed = {g: report[g]["rows_unfollowed"] for g in ("v1", "v2") if g in report}
    passed = ", ".join(f"{count:,} in {name}" for name, count in unfollowed.items() if count)
    if passed:
        yield f"rows of companies that the lake does not follow: {passed}"


def parity_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the answer of a comparison, for people."""
    yield (
        f"parity {'passed' if report['passed'] else 'not passed'}: {report['compared']:,} values "
        f"compared, {report['matched']:,} equal, of {report['tickers_compared']:,} tickers "
        f"(v1 has {report['tickers_total']:,})"
    )
    yield report["reach"]
    for note in report["notes"]:
        yield f"note: {note}"
    apart = report["counted_apart"]
    unequal = {kind: n for kind, n in report["differences"].items() if kind not in apart}
    counts = ", ".join(f"{count:,} {kind}" for kind, count in unequal.items())
    yield f"not equal: {counts or 'none'}"
    without = {kind: report["differences"].get(kind, 0) for kind in ("lost_in_v2", "null_in_v2")}
    if any(without.values()):
        counts = ", ".join(f"{count:,} {kind}" for kind, count in without.items() if count)
        yield f"not compared because v2 has no value: {counts}"
    if report["rules_broken"]:
        yield f"{len(report['rules_broken'])} of {report['rules']} rules are broken:"
    for broken in report["rules_broken"][: 4 * MISSING_SHOWN]:
        detail = f" ({broken['detail']})" if broken["detail"] else ""
        yield f"  {broken['statement']}: {broken['rule']}{detail}: {broken['count']:,}"
    missing = report["missing_periods"]
    for one in missing[:MISSING_SHOWN]:
        yield (
            f"  missing in v2: {one['ticker']} {one['statement']} {one['timeframe']} "
            f"{one['period_end'] or 'without a period end'}"
        )
    if len(missing) > MISSING_SHOWN:
        yield f"  and {len(missing) - MISSING_SHOWN:,} more periods"
    yield from _missing_lines(report)
    yield f"review page, what differs and why: {Path(report['data_docs']).with_name('review.html')}"
    yield f"every value that is not equal: {report['report_csv']}"
    yield "what each finding means: docs/parity.md"


def _missing_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the tickers that v2 should have and has not, and single values that it lacks."""
    if tickers := report["missing_tickers"]:
        more = f" and {len(tickers) - MISSING_SHOWN:,} more" if len(tickers) > MISSING_SHOWN else ""
        yield f"  missing in v2, all periods: {', '.join(tickers[:MISSING_SHOWN])}{more}"
    values = report["missing_values"][:MISSING_SHOWN]
    for one in values:
        yield (
            f"  null in v2: {one['ticker']} {one['statement']} {one['timeframe']} "
            f"{one['period_end']} {one['v2_field']} (v1 has {one['v1_value']:,.12g})"
        )
    without = sum(report["differences"].get(kind, 0) for kind in ("lost_in_v2", "null_in_v2"))
    if (left := without - len(values)) > 0:
        yield f"  and {left:,} more values"


def silver_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was built, for people."""
    if "seconds" not in report:  # nothing was built
        yield str(report["message"])
        return
    yield f"{report['message']} ({report['seconds']:.1f} s)"
    yield f"table: {report['path']}"


def publish_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was published, table by table, for people."""
    for table in report["tables"]:
        what = f"{table['partitions_written']} of {table['partitions']} partitions written"
        if not table["committed"]:
            what = "unchanged"
        gone = f", {table['files_removed']} old files removed" if table["files_removed"] else ""
        yield f"{table['table']:<28} version {table['version']:>4}  {what}{gone}"
    yield f"build {report['build']} in {report['to']} ({report['seconds']:.1f} s)"


def export_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was written and what was left out, for people."""
    yield report["message"]
    yield f"{len(report['left_out'])} lines of v1 are left out:"
    for lost in report["left_out"]:
        yield f"  {lost['statement']}  {lost['field']}: {lost['reason']}"


def switch_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the steps of a switch and how it ended, for people."""
    for step in report["steps"]:
        yield f"{MARKS[step['ok']]} {step['name']}: {step['detail']}"
        if not step["ok"] and step.get("remedy"):
            yield f"     {step['remedy']}"
    if "plan" in report:
        yield f"the steps: {', '.join(report['plan'])}"
    if report.get("companions"):
        yield f"stays at its path, unchanged: {', '.join(report['companions'])}"
    yield str(report["message"])
