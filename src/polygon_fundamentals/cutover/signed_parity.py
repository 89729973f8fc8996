"""What is signed of parity: the results of one run, and what a later run has beyond them.

The signed results are kept beside the sign-off, since reports are removed after some runs.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pyarrow.parquet as pq

from polygon_fundamentals.cutover.journal import folder
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.storage.local import link_or_copy
from polygon_fundamentals.ledger import RunEntry
from polygon_fundamentals.ledger.queries import is_of_its_own_day

# Of a run's report: its totals, what Great Expectations said, and every case.
_FILES = (
    "summary.json", "checkpoint.json", "values.parquet", "missing_periods.csv", "tickers.csv",
    "cases.csv",
)  # fmt: skip
# Reports of earlier versions have no list of the rules' cases.
_NOT_BEFORE = "cases.csv"
_VALUE = (
    "statement", "cik", "ticker", "timeframe", "period_end", "v2_field", "v1_value", "v2_value",
    "kind",
)  # fmt: skip
_PERIOD = ("statement", "cik", "ticker", "timeframe", "period_end")
_TICKER = ("statement", "ticker", "kind")
_CASE = ("rule", "detail", "statement", "cik", "ticker", "case")


def last_runs(entries: Sequence[RunEntry]) -> list[RunEntry]:
    """Return the run of parity that is to be signed, and the newest sample since then, if any.

    It is the newest one of the whole lake, or of a sample where there is none of the whole. A run
    of named tickers, made to look at them, says nothing of the others, and one as if on another day
    nothing of today. All of them left a report.
    """
    ended = [
        entry
        for entry in reversed(_reported(entries))
        if not entry.parameters.get("tickers") and is_of_its_own_day(entry)
    ]
    whole = [entry for entry in ended if entry.parity and entry.parity.sample is None]
    signable = (whole or ended)[:1]
    return signable + [entry for entry in ended[:1] if entry not in signable]


def page_to_sign(entries: Sequence[RunEntry]) -> str:
    """Return the review page of the run that is to be signed, below the lake.

    Whatever was compared since, such as a few tickers, has taken its place at `review.html`.
    """
    pages, last = Path("ops/parity/data_docs"), next(iter(last_runs(entries)), None)
    if last is None or last.parity is None:
        return str(pages / "review.html")
    return str(pages / "reviews" / f"{_report_name(last)}.html")


def runs_to_sign(entries: Sequence[RunEntry]) -> set[str]:
    """Return the runs of parity that a sign-off would look at, as their reports name them."""
    return {run_of(_report_name(entry)) for entry in last_runs(entries)}


def run_of(report: str) -> str:
    """Return the run in the name of a report, which begins with its time."""
    return report.split("-", 1)[-1]


def _report_name(entry: RunEntry) -> str:
    assert entry.parity  # of `last_runs`
    return Path(entry.parity.report).parent.name


def _reported(entries: Sequence[RunEntry]) -> list[RunEntry]:
    return [e for e in entries if e.parity and e.parity.report and not e.is_running]


def keep_results(lake: Lake, entries: Sequence[RunEntry]) -> dict[str, object]:
    """Keep the results of the last run of parity; return what is signed with them.

    Raises:
        UsageError: there is no such run, it did not pass, or its report is gone.
    """
    last = next(iter(last_runs(entries)), None)
    if last is None or last.parity is None:
        some = ", except on named tickers or as if on another day" if _reported(entries) else ""
        raise UsageError(
            f"parity has not been run{some}; run `polygon-fundamentals parity`, and read its "
            "review page before you sign"
        )
    if not last.parity.passed:
        raise UsageError(
            f"the last parity ({_when(last)}) did not pass: fix what it names, or raise a budget "
            "in expectations/tolerances.yaml with the reason, and run it again"
        )
    report = _report(lake, last)
    if not all((report / name).is_file() for name in _FILES):
        raise UsageError(f"{report} is incomplete; run `polygon-fundamentals parity` again")
    digest = _digest(report)
    signed_folder = _folder_of(lake, digest)
    if not signed_folder.is_dir():
        beside = signed_folder.with_name(f".{signed_folder.name}")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        for name in _FILES:
            link_or_copy(report / name, beside / name)
        beside.rename(signed_folder)
    summary = orjson.loads((report / "summary.json").read_bytes())
    return {
        "run": run_of(report.name),
        "started": last.started.isoformat(timespec="seconds"),
        "scope": summary["scope"],
        "compared": summary["compared"],
        "findings": _findings(report, summary),
        "relaxed": _relaxed(summary),
        "sha256": digest,
    }


def forget_other_results(lake: Lake, digests: set[str]) -> None:
    """Remove the kept results that no sign-off names any more."""
    wanted = {_folder_of(lake, digest) for digest in digests}
    for path in _folder_of(lake, "").parent.glob("parity-*"):
        if path not in wanted:
            shutil.rmtree(path, ignore_errors=True)


def beyond(lake: Lake, entries: Sequence[RunEntry], signed: Mapping[str, Any]) -> str:
    """Return in words what the last runs have that the signed one had not; empty for nothing."""
    signed_folder = _folder_of(lake, str(signed["sha256"]))
    if not signed_folder.is_dir() or _digest(signed_folder) != signed["sha256"]:
        return f"what was signed is no longer in {signed_folder}"
    news = [_news(lake, run, signed_folder, str(signed["run"])) for run in last_runs(entries)]
    return "; ".join(filter(None, news))


def _news(lake: Lake, run: RunEntry, signed_folder: Path, signed_run: str) -> str:
    later = _report(lake, run)
    if run_of(later.name) == signed_run:
        return ""
    if not (later / "summary.json").is_file():
        return (
            f"the report of the run of {_when(run)} is gone; run `polygon-fundamentals parity` "
            "again"
        )
    summary = orjson.loads((later / "summary.json").read_bytes())
    signed = orjson.loads((signed_folder / "summary.json").read_bytes())
    allowed_before = set(_relaxed(signed))
    new: Counter[str] = Counter({"broken rules": len(summary["rules_broken"])})
    new["relaxed limits"] += sum(one not in allowed_before for one in _relaxed(summary))
    cases = _values(later, summary["differences"])
    new.update(
        cases[_are_new(cases, _values(signed_folder, summary["differences"]))]["kind"].astype(str)
    )
    periods = _table(later / "missing_periods.csv", _PERIOD)
    new["missing periods"] += int(
        _are_new(periods, _table(signed_folder / "missing_periods.csv", _PERIOD)).sum()
    )
    tickers = _absent(later)
    new.update(
        f"{kind} tickers" for kind in tickers[_are_new(tickers, _absent(signed_folder))]["kind"]
    )
    cases_of_rules = _cases(later)
    new.update(_by_rule(cases_of_rules[_are_new(cases_of_rules, _cases(signed_folder))]))
    if not +new:
        return ""
    return f"the run of {_when(run)} has new cases: {in_words(+new)}"


def in_words(findings: Mapping[str, int]) -> str:
    """Return findings with their numbers, the most frequent first."""
    ordered = sorted(findings.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number:,} {kind}" for kind, number in ordered) or "no findings"


def _findings(report: Path, summary: Mapping[str, Any]) -> dict[str, int]:
    counts = dict(summary["differences"])
    counts["missing periods"] = len(_table(report / "missing_periods.csv", _PERIOD))
    counts |= {f"{kind} tickers": len(names) for kind, names in summary["absent_tickers"].items()}
    counts |= _by_rule(_cases(report))
    return {kind: number for kind, number in counts.items() if number}


def _by_rule(cases: pd.DataFrame) -> Counter[str]:
    """How many cases each rule has, by words for it."""
    return Counter(f'cases of "{rule}"' for rule in cases["rule"])


def _relaxed(summary: Mapping[str, Any]) -> list[str]:
    """What the team allowed beyond the limits that ship; earlier versions named only some of it."""
    return list(summary.get("relaxed", ()))


def _values(report: Path, kinds: Mapping[str, int]) -> pd.DataFrame:
    return pq.read_table(
        report / "values.parquet",
        columns=list(_VALUE),
        filters=[("kind", "in", sorted(kinds) or [""])],
    ).to_pandas()


def _absent(report: Path) -> pd.DataFrame:
    tickers = _table(report / "tickers.csv", _TICKER)
    return tickers[tickers["kind"] != "present"].reset_index(drop=True)


def _cases(report: Path) -> pd.DataFrame:
    """The cases of the rules; of a report of an earlier version none was shown to anybody."""
    path = report / _NOT_BEFORE
    return _table(path, _CASE) if path.is_file() else pd.DataFrame(columns=list(_CASE), dtype=str)


def _table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A list of the report; a column that an earlier version did not write is empty."""
    # A ticker may be called NA.
    whole = pd.read_csv(path, dtype=str, keep_default_na=False)
    return whole.reindex(columns=list(columns), fill_value="")


def _are_new(rows: pd.DataFrame, known: pd.DataFrame) -> pd.Series[bool]:
    """Which of the rows are not among the known ones; a renamed company is the same."""
    rows, known = _by_company(rows), _by_company(known)
    both = rows.merge(known.drop_duplicates(), how="left", on=list(rows.columns), indicator=True)
    return both["_merge"] == "left_only"


def _by_company(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the CIK in place of the ticker, where they have one."""
    if "cik" not in rows:
        return rows
    no_cik = rows["cik"].isna() | (rows["cik"] == "")
    return rows.assign(company=rows["cik"].mask(no_cik, rows["ticker"])).drop(
        columns=["cik", "ticker"]
    )


def _digest(results: Path) -> str:
    digest = hashlib.sha256()
    for name in _FILES:
        path = results / name
        if name == _NOT_BEFORE and not path.is_file():
            continue
        data = path.read_bytes() if path.is_file() else b""
        digest.update(f"{name} {len(data)}\n".encode() + data)
    return digest.hexdigest()


def _folder_of(lake: Lake, digest: str) -> Path:
    return folder(lake) / "sign_offs" / f"parity-{digest[:16]}"


def _report(lake: Lake, entry: RunEntry) -> Path:
    """The folder of a run's report, wherever the lake stands today."""
    return lake.ops / "parity" / "reports" / _report_name(entry)


def _when(entry: RunEntry) -> str:
    return f"{entry.started:%Y-%m-%d %H:%M} UTC"
