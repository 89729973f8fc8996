"""The lines that people read of each flow's report; what went wrong goes to standard error."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.commands.output import reworded

MARKS = {True: "ok ", False: "NO ", None: " ? "}  # None: not judged
REASONS_SHOWN = MISSING_SHOWN = 5
# Of v2's records in v1's form.
PRESENT_VALUES = (
    "note: v2's values are the present ones, and filing_date is the first filing: for a backtest "
    "use silver's history or `serve-v1 --as-of`"
)
# Why the API may have no row of a ticker.
WITHOUT_ROWS = {
    "v1": "nothing was filed in the time asked for, or the ticker is misspelt",
    "v2": "nothing was filed in the time asked for, the company is delisted (v2 has listed "
    "companies only), or the ticker is misspelt",
    "ratios": "the company is delisted, the ticker is a fund's, or it is misspelt",
}


def load_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a load did, for people; notes and what is missing go to standard error."""
    for note in report.get("notes", ()):
        print(reworded(f"note: {note}"), file=sys.stderr)
    for name in ("v1", "v2", "ratios"):
        if name not in report:
            continue
        load = report[name]
        yield (
            f"{name:<2}  {load['units']:>6,} units  {load['rows_new']:>9,} rows new  "
            f"{load['rows_changed']:>7,} changed  {load['rows_unchanged']:>9,} unchanged  "
            f"{load['requests']:>6,} request{'s' if load['requests'] != 1 else ' '}  "
            f"{load['seconds']:>7.1f} s  "
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
        if not report.get("tickers_unknown"):
            warn(name, load)
    if report.get("tickers_unknown"):
        print(
            f"error: the API has no row of {_first_of(report['tickers_unknown'])}, in all of its "
            "history: check how the tickers are spelt. Funds have no statements, and v2 lacks most "
            "delisted companies",
            file=sys.stderr,
        )
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
            why = WITHOUT_ROWS[name]
        print(f"warning: {name}: no rows for {who}: {why}", file=sys.stderr)


def _first_of(tickers: Sequence[str]) -> str:
    """Return the first five of some tickers, and how many more there are."""
    more = f" and {len(tickers) - 5} more" if len(tickers) > 5 else ""
    return ", ".join(tickers[:5]) + more


def daily_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a daily update did, for people; its notes go to standard error."""
    yield from load_lines(report)
    unfollowed = {g: report[g]["rows_unfollowed"] for g in ("v1", "v2") if g in report}
    passed = ", ".join(f"{count:,} in {name}" for name, count in unfollowed.items() if count)
    if passed:
        yield f"rows of companies that the lake does not follow: {passed}"


def parity_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the result of a comparison, for people."""
    absent = "".join(f"; {n:,} {kind}" for kind, n in report["tickers_not_compared"].items())
    yield (
        f"parity {'passed' if report['passed'] else 'not passed'}: {report['compared']:,} values "
        f"compared, {report['matched']:,} equal, of {report['tickers_compared']:,} tickers "
        f"(v1 has {report['tickers_total']:,}{absent})"
    )
    yield report["reach"]
    for note in report["notes"]:
        yield f"note: {note}"
    apart = report["counted_apart"]
    unequal = {kind: n for kind, n in report["differences"].items() if kind not in apart}
    counts = ", ".join(f"{count:,} {kind}" for kind, count in unequal.items())
    yield f"not equal: {counts or 'none'}"
    # The numbers of the review page, which passes over the fields of one generation alone.
    listed = {kind: n for kind, n in apart.items() if n and kind != "not_comparable"}
    if lost := listed.pop("lost_in_v2", 0):
        yield f"lost in v2: {lost:,}"
    if listed:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in listed.items())
        yield f"nothing to compare: {counts}"
    yield from _broken_lines(report)
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


def _broken_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the rules that are broken, and below those that belong together what to do."""
    rules = report["rules_broken"]
    if rules:
        verb = "is" if len(rules) == 1 else "are"
        yield f"{len(rules)} of {report['rules']} rules {verb} broken:"
    for number, broken in enumerate(shown := rules[: 4 * MISSING_SHOWN]):
        detail = f" ({broken['detail']})" if broken["detail"] else ""
        yield f"  {broken['statement']}: {broken['rule']}{detail}: {broken['verdict']}"
        if [one["remedy"] for one in shown[number + 1 :][:1]] != [broken["remedy"]]:
            yield f"    what to do: {broken['remedy']}"


def _missing_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the tickers that v2 should have and has not, and single values that it lacks."""
    if tickers := report["missing_tickers"]:
        more = f" and {len(tickers) - MISSING_SHOWN:,} more" if len(tickers) > MISSING_SHOWN else ""
        yield f"  missing in v2, all periods: {', '.join(tickers[:MISSING_SHOWN])}{more}"
    # Those that are not allowed, which come first; the others are on the review page.
    lost = report["counted_apart"].get("lost_in_v2", 0)
    values = report["missing_values"][: min(lost, MISSING_SHOWN)]
    for one in values:
        yield (
            f"  lost in v2: {one['ticker']} {one['statement']} {one['timeframe']} "
            f"{one['period_end']} {one['v2_field']} (v1 has {one['v1_value']:,.12g})"
        )
    if (left := lost - len(values)) > 0:
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
    yield PRESENT_VALUES
    yield f"{len(report['left_out'])} lines of v1 are left out:"
    for lost in report["left_out"]:
        yield f"  {lost['statement']}  {lost['field']}: {lost['reason']}"


def switch_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the steps of a switch and how it ended, for people."""
    for step in report["steps"]:
        name = "" if step["detail"].startswith(step["name"]) else f"{step['name']}: "
        yield f"{MARKS[step['ok']]} {name}{step['detail']}"
        if not step["ok"] and step.get("remedy"):
            yield f"     {step['remedy']}"
    if "plan" in report:
        yield f"what --execute does, in this order: {', '.join(report['plan'])}"
    if report.get("companions"):
        yield f"stays at its path, unchanged: {', '.join(report['companions'])}"
    message = str(report["message"])
    if report.get("executed") is False:
        message += "; nothing was changed"
    # Where there is nothing to do, the only step has said why.
    if [step["detail"] for step in report["steps"]] != [report["message"]]:
        yield message
