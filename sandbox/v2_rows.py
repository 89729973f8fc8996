"""v2: the flat rows of a company as the sandbox shows them on a given day."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from functools import cached_property, lru_cache

import numpy as np

from .company import ANNUAL, QUARTERLY, TTM, Company
from .draws import Ints
from .fields import V2_ALWAYS_ZERO, V2_LINES, V2_NEVER
from .rows import Row, iso

_PER_SHARE = frozenset({"eps_basic", "eps_diluted", "shares_basic", "shares_diluted"})
#: Facts that a company shows only if it has the line; the rest is always there.
_OPTIONAL: dict[str, str] = {
    "inv": "inv", "rd": "rd", "sga": "sga", "dda": "dda", "oop": "oop", "ie": "ie", "ii": "ii",
    "eq": "eq", "disc": "disc", "nci": "nci", "nci_bs": "nci", "pref": "pref", "pref_bs": "pref",
    "fx": "fx", "sti": "sti", "defrev": "defrev", "goodwill": "goodwill", "intang": "intang",
    "mezz": "mezz", "treasury": "treasury", "apic": "apic", "aoci": "aoci", "cost": "cost",
    "sale_ppe": "sale_ppe", "std_flow": "std_flow", "div": "div", "nci_cash": "nci_cash",
    "cfo_d": "disc", "cfi_d": "disc", "ltd": "debt", "tax": "tax",
}  # fmt: skip
#: Periods that ended before this day carry the fiscal year of the later filing.
_EARLY = date(2009, 7, 1).toordinal()
_NEVER = frozenset({"none", "other_eq", "cff_d"})


def absent_facts(company: Company) -> frozenset[str]:
    """Return the facts that this company's v2 rows do not report."""
    has, profile = company.facts.has, company.profile
    absent = {fact for fact, line in _OPTIONAL.items() if not has(line)} | set(_NEVER)
    if "cash_adjustments" not in profile.roles:
        absent.add("adj")
    if profile.template in ("bank", "shell"):
        absent.add("capex")
    if profile.template == "bank":
        absent -= {"oop", "sga"}
    if profile.template == "bank" and not has("oth"):
        absent.add("oth")
    if profile.template == "shell":
        absent |= {"rev", "gross", "dda_cf"}
    if "securities_missing" in profile.roles:
        absent.add("sti")
    return frozenset(absent)


class V2Company:
    """Renders one company's v2 rows as of a day."""

    def __init__(
        self, company: Company, today: int, revise: Callable[[Row, bytes], bytes] | None = None
    ) -> None:
        self.company = company
        self.today = today
        self._revise = revise
        self._matrices: dict[tuple[str, str], Ints] = {}

    def rows(self, statement: str) -> list[Row]:
        """Return the rows of a statement; one appears once its first filing is public."""
        company, profile = self.company, self.company.profile
        rows: list[Row] = []
        delisted = company.gone is not None and company.gone <= self.today
        if delisted and "v2_only" not in profile.roles:
            return rows
        calendar = company.calendar
        balance = statement == "balance_sheets"
        for i in range(company.last):
            if calendar.filed[i] > self.today:
                break
            if calendar.ends[i] < company.start:
                continue
            if not (profile.roles and self.lacks(statement, i)):
                self._add(rows, statement, QUARTERLY, i, (4,))
            if calendar.quarters[i] == 4:
                self._add(rows, statement, ANNUAL, i, (4,) if balance else (4, 8))
            if not balance:
                self._add(rows, statement, TTM, i, (4,))
            if "stray_year_end" in profile.roles:
                self._add_strays(rows, statement, i)
        return rows

    def lacks(self, statement: str, i: int) -> bool:
        """Return whether v2 lacks a quarter that v1 has."""
        roles = self.company.profile.roles
        if "v2_lacks_period" in roles:
            return i in (5, 18)
        return "v2_lacks_statement" in roles and i == 6 and statement == "cash_flow"

    def carried(self, index: int, reach: tuple[int, ...]) -> int:
        """Return the index of the latest public report that carried the period."""
        latest = index
        for ahead in reach:
            later = index + ahead
            if later < self.company.last and self.company.calendar.filed[later] <= self.today:
                latest = later
        return latest

    def _add(
        self,
        rows: list[Row],
        statement: str,
        timeframe: str,
        i: int,
        reach: tuple[int, ...],
        *,
        year_shift: int = 0,
        variant: str = "",
        quarter: int | None = None,
        filed_with: int | None = None,
    ) -> None:
        company = self.company
        calendar, profile = company.calendar, company.profile
        if calendar.ends[i] < _EARLY and not profile.plain:
            year_shift += 1
        if filed_with is None:
            filed_with = self.carried(i, reach)
        filing_day = company.filed_iso[filed_with]
        if profile.roles and not variant:
            variant, filing_day = self._variant(timeframe, i, filed_with, filing_day)
        rows.append(
            Row(
                profile,
                self._tickers(i) if profile.roles else profile.symbols,
                statement,
                timeframe,
                i,
                company.ends_iso[i],
                filing_day,
                calendar.years[i] + year_shift,
                quarter or calendar.quarters[i],
                variant,
                self.render,
            )
        )

    def _variant(self, timeframe: str, i: int, filed_with: int, filing_day: str) -> tuple[str, str]:
        """Return what is odd about a row, and its filing date."""
        company, roles = self.company, self.company.profile.roles
        if timeframe == ANNUAL and i in company.amended:
            if company.amended[i] > self.today:
                return "original", filing_day
            return "amended", max(filing_day, iso(company.amended[i]))
        if "empty_row" in roles and timeframe == QUARTERLY and i == 8:
            return "empty", filing_day
        if filed_with != i and "rounded" in roles:
            return "rounded", filing_day
        if filed_with != i and timeframe == QUARTERLY and i in company.restated:
            return "restated", filing_day
        return "", filing_day

    def _add_strays(self, rows: list[Row], statement: str, i: int) -> None:
        """Add comparatives under a wrong label, for the latest three years."""
        roles, calendar = self.company.profile.roles, self.company.calendar
        if self.today - calendar.ends[i] > 1200:
            return
        if statement == "balance_sheets" and calendar.quarters[i] == 4:
            carrier, year_shift, quarter = i + 1, i // 4 % 2, 1
        elif (
            statement == "income_statements"
            and calendar.quarters[i] == 2
            and "stray_comparative" in roles
        ):
            carrier, year_shift, quarter = i + 4, 1, 2
        else:
            return
        if carrier < self.company.last and calendar.filed[carrier] <= self.today:
            self._add(
                rows,
                statement,
                QUARTERLY,
                i,
                (),
                year_shift=year_shift,
                quarter=quarter,
                variant="stray",
                filed_with=carrier,
            )

    def _tickers(self, i: int) -> tuple[str, ...]:
        profile, calendar = self.company.profile, self.company.calendar
        if "no_tickers_v2" in profile.roles and i % 3 == 0:
            return ()
        renamed = profile.renamed.toordinal() if profile.renamed else None
        if "renamed_short_history" in profile.roles and renamed and calendar.filed[i] < renamed:
            return profile.old_symbols
        return profile.symbols

    @cached_property
    def _templates(self) -> dict[str, tuple[str, list[tuple[str, int]]]]:
        """For each statement a text with gaps, and the facts that fill the gaps.

        The gaps of the four figures per share, in the order of the lines, come last.
        """
        absent = absent_facts(self.company)
        profile = self.company.profile
        built = {}
        for statement, lines in V2_LINES.items():
            parts, gaps, shares = [], [], []
            for line in lines:
                if line.name in V2_NEVER.get(profile.template, frozenset()):
                    continue
                if line.fact in absent:
                    zero = line.name in V2_ALWAYS_ZERO or profile.absent_style == "zero"
                    if zero:
                        parts.append(f'"{line.name}":0.0')
                    elif profile.absent_style == "null":
                        parts.append(f'"{line.name}":null')
                    continue
                if line.fact in _PER_SHARE:
                    shares.append(f'"{line.name}":%s')
                    continue
                parts.append(f'"{line.name}":%s')
                gaps.append((line.fact, line.sign))
            built[statement] = ("{" + ",".join([*parts, *shares]), gaps)
        return built

    def _matrix(self, statement: str, timeframe: str) -> Ints:
        key = (statement, timeframe)
        if key not in self._matrices:
            facts = self.company.facts
            source = {QUARTERLY: facts.quarterly, ANNUAL: facts.annual, TTM: facts.ttm}[timeframe]
            columns = [source[fact] * sign for fact, sign in self._templates[statement][1]]
            self._matrices[key] = np.stack(columns, axis=1)
        return self._matrices[key]

    def render(self, row: Row) -> bytes:
        """Return the row as JSON, figures per share on the basis of today's splits."""
        i, timeframe = row.index, row.timeframe
        position = {QUARTERLY: i, ANNUAL: i // 4, TTM: i - 3}[timeframe]
        values = self._matrix(row.statement, timeframe)[position]
        if row.variant == "rounded":
            values = np.rint(values / 1e6).astype(np.int64) * 1_000_000
        text, _ = self._templates[row.statement]
        filled = tuple(values.tolist())
        if row.statement == "income_statements":
            share = self.company.per_share(timeframe, i, self.today)
            fourth = timeframe == QUARTERLY and self.company.calendar.quarters[i] == 4
            swell = 2 if fourth and "broken_fourth_shares" in self.company.profile.roles else 1
            filled += (
                share.eps_basic,
                share.shares_basic,
                share.eps_diluted,
                share.shares_diluted * swell,
            )
        tickers = _tickers_text(row.tickers)
        data = (
            text % filled
            + f',"cik":"{row.cik}"{tickers},"period_end":"{row.period_end}"'
            + f',"filing_date":"{row.filing_date}","fiscal_year":{row.fiscal_year}'
            + f',"fiscal_quarter":{row.fiscal_quarter},"timeframe":"{timeframe}"}}'
        ).encode()
        if row.variant == "empty":
            data = _emptied(data)
        if row.variant in ("original", "restated") and row.statement == "income_statements":
            shift = self.company.revenue_shift(timeframe, i)
            data = _shifted(data, shift if row.variant == "restated" else -shift)
        return self._revise(row, data) if self._revise else data


@lru_cache(maxsize=1024)
def _tickers_text(tickers: tuple[str, ...]) -> str:
    return f',"tickers":{json.dumps(tickers)}' if tickers else ""


def _emptied(data: bytes) -> bytes:
    """Return a row whose amounts are all null but the share counts and a zero ebitda."""
    record = json.loads(data)
    keep = {"cik", "tickers", "period_end", "filing_date", "fiscal_year", "fiscal_quarter"}
    keep |= {"timeframe", "basic_shares_outstanding", "diluted_shares_outstanding"}
    for key in record:
        if key not in keep:
            record[key] = 0.0 if key == "ebitda" else None
    return json.dumps(record, separators=(",", ":")).encode()


def _shifted(data: bytes, amount: int) -> bytes:
    """Return an income statement with revenue and its cost moved by the same amount."""
    record = json.loads(data)
    record["revenue"] += amount
    record["cost_of_revenue"] += amount
    return json.dumps(record, separators=(",", ":")).encode()
