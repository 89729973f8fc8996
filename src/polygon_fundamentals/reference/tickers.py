"""The vendor's list of tickers (`/v3/reference/tickers`): universes, and who a CIK is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TypedDict

import orjson

from polygon_fundamentals.errors import ApiError, FundamentalsError
from polygon_fundamentals.http.answers import JsonObject, Page
from polygon_fundamentals.http.client import Client
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.reports import counted

TICKERS_PATH = "/v3/reference/tickers"
# A listing may end or a name change at any time; a month is soon enough for what is gone already.
ASKED_AGAIN_AFTER = timedelta(days=30)
# An answer that does not list a ticker, or lists it among the inactive, may be one of an outage.
UNCERTAIN_ASKED_AGAIN_AFTER = timedelta(days=1)
# Common stock and depositary receipts file statements; funds, warrants, rights and units do not.
FILING_TYPES = frozenset(("CS", "ADRC", "OS", "NYRS", "GDR", ""))
# From so many names on the list is read whole, a thousand tickers a request; one by one each takes
# one or two.
_LIST_FROM = 50
_COMPANY = re.compile(r"CIK(\d{10})")
_UNLISTED: JsonObject = {"active": None, "cik": None}


class ReferenceTicker(TypedDict, total=False):
    """What `/v3/reference/tickers` says of a ticker, as far as it matters here.

    `active` is None for a company that was asked about and is not listed.
    """

    active: bool | None
    cik: str | None


def universe(client: Client, *, active_only: bool) -> list[str]:
    """Return all stock tickers that may have statements, sorted; delisted ones too if asked.

    Raises:
        ApiError: a page failed for good, or none of them lists such a ticker: the market is never
            empty, and a load of nothing must not pass for one.
    """
    names: set[str] = set()
    for active in ("true",) if active_only else ("true", "false"):
        params = {"market": "stocks", "active": active, "limit": "1000", "sort": "ticker"}
        for page in client.pages(TICKERS_PATH, params):
            names.update(
                row["ticker"] for row in _named(page) if str(row.get("type") or "") in FILING_TYPES
            )
    if not names:
        raise ApiError(
            f"{TICKERS_PATH} lists no ticker of a company that files reports: look at the API's "
            "status and your plan, then run again"
        )
    return sorted(names)


def tickers_of_cik(client: Client, cik: str) -> list[str]:
    """Return the listed tickers of a CIK, or `CIK##########` where none is known.

    Raises:
        ApiError: a page failed for good.
    """
    names = [
        row["ticker"]
        for page in client.pages(TICKERS_PATH, {"cik": cik, "limit": "1000"})
        for row in _named(page)
    ]
    return sorted(set(names)) or [company_name(cik)]


def company_name(cik: str) -> str:
    """Return `CIK##########`, under which a company is asked for and kept beside the tickers."""
    return f"CIK{cik.zfill(10)}"


def _named(page: Page) -> Iterable[JsonObject]:
    """Return the rows of a page that name a ticker."""
    return (row for row in page.results if row.get("ticker") and isinstance(row["ticker"], str))


@dataclass(frozen=True)
class Known:
    """What is known of some tickers; `note` says why some could not be asked for, else None."""

    tickers: dict[str, ReferenceTicker]
    note: str | None = None


def known_tickers(
    lake: Lake, tickers: Iterable[str], client: Callable[[], Client] | None, today: date
) -> Known:
    """Return whether tickers are active and whose they are; writes what was asked for.

    A `company_name` among them is active if any stock of the company is, under whichever symbol,
    and left out where nobody could ask about it.
    From `ops/reference/tickers.json`, and where that is silent or older than a month from the
    API. Without a client, or where the API does not answer or no longer lists a ticker, what is
    known stays, however old. What the API did not list is asked for again on the next day, and so
    is what it called inactive for the first time.
    """
    path = reference_file(lake)
    cached = _read(path)
    wanted = sorted(set(tickers))
    open_ones = [t for t in wanted if _is_open(cached.get(t, {}), today)]
    note = None
    if open_ones and client is None:
        note = f"{_in_words(open_ones)} that v2 lacks left open (offline)"
    elif open_ones and client is not None:
        answered: set[str] = set()
        try:
            for answers in _answers(client(), open_ones):
                cached = _keep(path, answers, today)
                answered.update(answers)
        except FundamentalsError as error:
            left = _in_words([name for name in open_ones if name not in answered])
            note = f"{left} that v2 lacks could not be looked up: {error}"
    known: dict[str, ReferenceTicker] = {}
    for ticker in wanted:
        entry = cached.get(ticker, _UNLISTED)
        if entry.get("active") is not None:
            known[ticker] = {"active": bool(entry["active"]), "cik": entry.get("cik")}
        elif "asked" in entry and _COMPANY.fullmatch(ticker):
            known[ticker] = {"active": None, "cik": None}
    return Known(known, note)


def reference_file(lake: Lake) -> Path:
    """Return the file that keeps the answers of the list of tickers."""
    return lake.ops / "reference" / "tickers.json"


def names_asked(lake: Lake) -> set[str]:
    """Return the names for which `known_tickers` has kept an answer."""
    return set(_read(reference_file(lake)))


def _in_words(names: Sequence[str]) -> str:
    companies = sum(_COMPANY.fullmatch(name) is not None for name in names)
    tickers = counted(len(names) - companies, "ticker")
    if not companies:
        return tickers
    return f"{tickers} and {companies:,} {'company' if companies == 1 else 'companies'}"


def _is_open(entry: JsonObject, today: date) -> bool:
    # An entry of an earlier version, too, may have forgotten what was known of an unlisted ticker.
    doubts = (entry.get("listed"), entry.get("confirmed"))
    uncertain = entry.get("active") is None or False in doubts
    after = UNCERTAIN_ASKED_AGAIN_AFTER if uncertain else ASKED_AGAIN_AFTER
    return str(entry.get("asked", "")) <= (today - after).isoformat()


def _answers(client: Client, names: Sequence[str]) -> Iterator[dict[str, JsonObject | None]]:
    """Yield what the API says of some names, a part at a time; None of what it does not list.

    Few are asked for one by one. For many the whole list is read, of whichever market.

    Raises:
        ApiError: no stock is active: whatever the inactive ones say, their companies may live on.
    """
    any_active = {"market": "stocks", "active": "true", "limit": "1"}
    if not any(True for page in client.pages(TICKERS_PATH, any_active) for _ in _named(page)):
        raise ApiError(f"{TICKERS_PATH} lists no active stock; look at the API's status")
    if len(names) < _LIST_FROM:
        for name in names:
            yield {name: _ask(client, name)}
        return
    left = set(names)
    # Among the active first, since old symbols are given to new companies.
    for active in ("true", "false"):
        params = {"active": active, "limit": "1000", "sort": "ticker"}
        for page in client.pages(TICKERS_PATH, params):
            listed: dict[str, JsonObject | None] = {
                name: {"active": active == "true", "cik": cik}
                for row in _named(page)
                for name, cik in _names_of(row)
                if name in left
            }
            left -= listed.keys()
            if listed:
                yield listed
    if left:
        yield dict.fromkeys(sorted(left))


def _names_of(row: JsonObject) -> Iterator[tuple[str, str | None]]:
    """Yield the ticker of a row of the list and, of a stock, its company; each with the CIK."""
    cik = row.get("cik")
    yield row["ticker"], cik
    if cik and row.get("market") == "stocks" and str(row.get("type") or "") in FILING_TYPES:
        yield company_name(str(cik)), str(cik).zfill(10)


def _keep(
    path: Path, answers: Mapping[str, JsonObject | None], today: date
) -> dict[str, JsonObject]:
    """Write answers to the file, and return all entries; an unlisted name keeps what was known.

    An inactive name is confirmed where it was inactive before. Written for each part, so that a
    run that was stopped asks only for the rest.
    """
    entries = _read(path)
    for name, answer in answers.items():
        before = {**_UNLISTED, **entries.get(name, {})}
        entry = dict(answer or {**before, "listed": False})
        if entry["active"] is False and before["active"] is not False:
            entry["confirmed"] = False
        entries[name] = {**entry, "asked": today.isoformat()}
    replace_file(path, orjson.dumps(entries, option=orjson.OPT_INDENT_2))
    return entries


def _ask(client: Client, name: str) -> JsonObject | None:
    """Return what the API says of one ticker or company, or None if it does not list it.

    Among the active first, since old symbols are given to new companies.
    """
    company = _COMPANY.fullmatch(name)
    wanted = {"cik": company[1], "market": "stocks"} if company else {"ticker": name}
    for active in ("true", "false"):
        for page in client.pages(TICKERS_PATH, {**wanted, "active": active, "limit": "1000"}):
            for row in page.results:
                if company and str(row.get("type") or "") in FILING_TYPES:
                    return {"active": active == "true", "cik": company[1]}
                if not company and row.get("ticker") == name:
                    return {"active": active == "true", "cik": row.get("cik")}
    return None


def _read(path: Path) -> dict[str, JsonObject]:
    """Return what was asked before; a file that cannot be read counts as none: it is derived."""
    try:
        content = orjson.loads(path.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}
    return (
        {t: e for t, e in content.items() if isinstance(e, dict)}
        if isinstance(content, dict)
        else {}
    )
