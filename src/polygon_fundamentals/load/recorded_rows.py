"""The v1 records of a recording, whatever its format: read from its content, not from its name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from polygon_fundamentals.business_days import as_moment, start_of
from polygon_fundamentals.errors import ApiError, UsageError
from polygon_fundamentals.lake.file_names import ticker_file_name
from polygon_fundamentals.load.recorded_content import content_of, json_values
from polygon_fundamentals.load.recorded_tables import (
    MOMENTS,
    UNREADABLE,
    is_flat,
    is_table,
    listed,
    table_rows,
    unflattened,
)
from polygon_fundamentals.load.store import claimed_timeframe
from polygon_fundamentals.normalise.columns import ten_digits
from polygon_fundamentals.normalise.exact import to_json
from polygon_fundamentals.statements import Generation, Timeframe

_DAY = re.compile(r"(?<!\d)(20\d\d)-(\d\d)-(\d\d)(?!\d)")
_UNKNOWN_MOMENT = (
    "it says that it was recorded at {!r}, which is not a date or time that can be read; write it "
    "in ISO form, or give --as-recorded DAY"
)
# What `serve-v1` and `export --shape v1` say in `generation` of a record that v1 never sent.
_OF_V2 = ("v2", "v2+v1")
# From the end of a period to its report: the soonest that SEC's lists of reports have.
_SOONEST_REPORT = timedelta(days=18)
# A filing on the evening before one is dated so many days later.
_LONGEST_WEEKEND = timedelta(days=4)
_NOT_IN_TICKERS = re.compile(r"[\s,;|'\"()\[\]{}]")
_SINGER = frozenset(("RECORD", "SCHEMA", "STATE", "ACTIVATE_VERSION", "BATCH"))

Row = dict[str, Any]
TIMEFRAMES = frozenset(timeframe.v1 for timeframe in Timeframe)


@dataclass(frozen=True)
class Problem:
    """A recording, or a line of it, of which nothing was imported.

    `kind`: `skipped` is not of v1, `refused` is of v2, `damaged` is v1's but cannot be read or
    dated, `lake` could not be stored, since a file of the lake is damaged.
    """

    file: str
    line: int | None
    kind: str
    reason: str


def recorded_rows(
    path: Path, recorded: datetime | None, problems: list[Problem]
) -> Iterator[tuple[Row, datetime | None]]:
    """Yield the v1 records of a recording and when each was observed; add the rest to `problems`.

    `recorded` is when all of them were. Without it a record may say so itself, or comes with None:
    it was observed at `recorded_at`.
    """

    def problem(kind: str, reason: str, line: int | None = None) -> None:
        problems.append(Problem(str(path), line, kind, reason))

    data = content_of(path, problem)
    if data is None:
        return
    for line, value in table_rows(data, problem) if is_table(data) else json_values(data, problem):
        for record, moment in _records(value):
            if isinstance(record, dict) and is_flat(record):
                try:
                    record = unflattened(record)
                except UNREADABLE as error:
                    problem("damaged", f"the record cannot be read ({str(error)[:120]})", line)
                    continue
            own = None if recorded else _parsed(moment)
            reason = _refused(record) or _not_storable(record)
            if reason is None and own is None and moment is not None and not recorded:
                reason = "damaged", _UNKNOWN_MOMENT.format(str(moment)[:40])
            if reason is None:
                row = {k: v for k, v in record.items() if k not in MOMENTS}
                if row.get("generation") == Generation.V1:  # `serve-v1` adds it
                    del row["generation"]
                if isinstance(row.get("tickers"), str):
                    row["tickers"] = listed(row["tickers"])
                yield row, recorded or own
            else:
                problem(*reason, line)


def tickers_of(row: Row) -> list[str]:
    """Return the tickers that a record names."""
    tickers = listed(row.get("tickers"))
    named = tickers if isinstance(tickers, list) else []
    return [ticker for ticker in named if isinstance(ticker, str) and ticker]


def company_of(row: Row) -> str | None:
    """Return the CIK of a record, None where it has none."""
    cik = ten_digits(row.get("cik"))
    return cik if isinstance(cik, str) and cik else None


def _records(value: Any, moment: Any = None) -> Iterator[tuple[Any, Any]]:
    """Yield (record, its moment) of a page, a record, a Singer message, or what holds such.

    `moment` is that of a page, or of an object around it.
    """
    if isinstance(value, list):
        for item in value:
            yield from _records(item, moment)
        return
    own = _own_moment(value) or moment
    if not isinstance(value, dict) or _is_record(value):
        yield value, own
    elif str(value.get("type")) in _SINGER:
        if value["type"] == "RECORD":
            record = value.get("record")
            yield record, value.get("time_extracted") or _own_moment(record)
    elif isinstance(value.get("results"), list):
        yield from _records(value["results"], own)
    elif any(map(_holds_record, value.values())):
        for item in value.values():
            if _holds_record(item):
                yield from _records(item, own)
    else:
        yield value, own


def _is_record(value: Any) -> bool:
    return isinstance(value, dict) and (isinstance(value.get("financials"), dict) or is_flat(value))


def _holds_record(value: Any) -> bool:
    """Return whether a value is a record of v1, or holds one at any depth."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if _is_record(value) and (value.get("cik") or value.get("tickers")):
            return True
        if isinstance(value, dict | list):
            waiting.extend(value.values() if isinstance(value, dict) else value)
    return False


def _own_moment(record: Any) -> Any:
    """Return the first moment of a record that can be read, else the first that it names."""
    if not isinstance(record, dict):
        return None
    named = [record[name] for name in MOMENTS if record.get(name)]
    return next((moment for moment in named if _parsed(moment)), named[0] if named else None)


def _refused(record: Any) -> tuple[str, str] | None:
    """Return (kind, reason) where a value is no record of v1."""
    if not isinstance(record, dict):
        return "skipped", "it is not a v1 record"
    if isinstance(record.get("financials"), dict) and (record.get("cik") or record.get("tickers")):
        if record.get("generation") in _OF_V2:
            return (
                "skipped",
                "it is a record of v2 in v1's form, as `serve-v1` and `export --shape v1` give it: "
                "v2 has what it says, and v1 never sent it",
            )
        return None
    if "period_end" in record and ("cik" in record or "tickers" in record):
        return (
            "refused",
            "it is a record of v2, which is still served: load it with "
            "`polygon-fundamentals historical-load --generation v2`",
        )
    if "status" in record and ("error" in record or "message" in record):
        said = str(record.get("error") or record.get("message"))[:80]
        return "damaged", f"it is not a recording of records but an error answer ({said})"
    columns = record.get("columns")
    if isinstance(record.get("end_date"), dict | list) or (
        isinstance(columns, list) and "end_date" in columns
    ):
        return "damaged", "it has v1's records by column; write it with pandas' orient='records'"
    return "skipped", "it is not a v1 record"


def _not_storable(record: Row) -> tuple[str, str] | None:
    """Return (kind, reason) where a record of v1 holds what no row of a lake can."""
    try:
        orjson.dumps(record)
    except TypeError:  # or a number beyond 64 bits, which is stored
        try:
            to_json(record).encode()
        except UnicodeEncodeError:
            return "damaged", "a text in it holds half a character, such as \\ud800; correct it"
        except ApiError:
            return "damaged", "a value in it is nested too deep, as no financial statement is"
    tickers, cik = tickers_of(record), company_of(record)
    if not tickers and cik is None:
        return "damaged", "it names no company: neither its cik nor its tickers can be read"
    odd = next((ticker for ticker in tickers if _NOT_IN_TICKERS.search(ticker)), None)
    if odd is not None:
        said = f"{odd[:40]!r} cannot be read as a list of tickers"
        return "damaged", f'{said}; write it as in JSON, ["GOOG", "GOOGL"]'
    try:
        for ticker in tickers or [f"CIK{cik}"]:
            ticker_file_name(ticker)
    except UsageError as error:
        return "damaged", str(error)
    timeframe = claimed_timeframe(record)
    if timeframe not in TIMEFRAMES:
        known = ", ".join(sorted(TIMEFRAMES))
        return "damaged", f"its timeframe is {timeframe[:40]!r}, which is none of v1's ({known})"
    return None


def recorded_at(path: Path, since: date) -> datetime | None:
    """Return when a recording was made: the day that its path names, else its file's time.

    People also name a recording for the period that it holds, and an archive may give its files
    any time. `since` is the latest `published_on` of its records: an earlier day is none on which
    it was made, and None is returned where the file's time is one.
    """
    for part in reversed(path.parts):
        days = _DAY.findall(part)
        day = _day("".join(days[0])) if len(days) == 1 else None
        if day is not None and day >= since:
            return start_of(day)
    made = datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
    return made if made + _LONGEST_WEEKEND >= start_of(since) else None


def undatable(path: Path, since: date) -> Problem:
    """Return the problem of a recording of which `recorded_at` is None."""
    time = datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
    reason = (
        f"it holds a record that nobody can have had before {since}, but the file's time is "
        f"{time:%Y-%m-%d}, and its path names no later day: give --as-recorded DAY"
    )
    return Problem(str(path), None, "damaged", reason)


def published_on(row: Row) -> date:
    """Return the day before which nobody can have had a record: of its filing, after its period.

    A filing that SEC accepts in the evening is dated the next business day. A record without a
    filing, as each derived fourth quarter, comes with a report that is filed weeks after the end.
    """
    filed = [_day(row.get(name)) for name in ("acceptance_datetime", "filing_date")]
    end = _day(row.get("end_date")) or date.min
    reported = min(end, date.max - _SOONEST_REPORT) + _SOONEST_REPORT
    return max(min(filter(None, filed), default=reported), end)


def _day(said: Any) -> date | None:
    """Return the day with which a date or a moment begins, None where it is neither."""
    try:
        return date.fromisoformat(re.sub(r"\D", "", str(said))[:8])
    except ValueError:
        return None


def _parsed(said: Any) -> datetime | None:
    """Return the moment that a text or a number gives, None where it gives none."""
    try:
        return as_moment(str(said))
    except ValueError:
        return None
