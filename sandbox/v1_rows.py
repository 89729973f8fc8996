"""v1: the nested records of a company as the sandbox shows them on a given day."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property

import numpy as np

from .company import ANNUAL, QUARTERLY, TTM, Company, PerShare
from .draws import Ints
from .fields import V1_LINES
from .filings import AMENDMENT, accession
from .rows import Row, iso

_PER_SHARE = frozenset({"eps_basic", "eps_diluted", "shares_basic", "shares_diluted", "dps"})
#: v1 sends a line only where the company has it: fact -> the line that it depends on.
_NEEDS: dict[str, str] = {
    "cash_v1": "v1_cash", "rec_trade": "v1_rec", "prepaid": "v1_prepaid", "inv": "inv",
    "intang": "intang", "nc_prepaid": "v1_nc_prepaid", "int_payable": "v1_int_payable",
    "wages": "wages", "ltd_v1": "debt", "oncl_v1": "debt", "cfo_d": "disc", "cfi_d": "disc",
    "dcash_d": "disc", "fx": "fx", "cost": "cost", "tot": "v1_tot", "sga": "sga", "dda": "dda",
    "rd": "rd", "oop_v1": "v1_oop", "before_eq": "v1_before_eq", "disc": "disc", "eq": "eq",
    "tax": "tax", "tax_cur": "v1_tax_cur", "tax_def": "v1_tax_def", "ie_debt": "v1_ie_debt",
    "dps": "dps", "oci": "v1_oci_parent",
}  # fmt: skip
_BANK = frozenset(
    ["bank_int_inc", "bank_nii", "bank_nii_after", "bank_non_exp", "bank_non_inc", "bank_prov"]
)
_SECTIONS = ("balance_sheet", "cash_flow_statement", "comprehensive_income", "income_statement")
_MEZZANINE = ("mezz", "mezz_rni", "mezz_temp")
_FILES = "https://api.massive.com/v1/reference/sec/filings/"


def absent_facts(company: Company, annual: bool) -> frozenset[str]:
    """Return the facts whose lines this company's v1 records do not carry."""
    has, profile = company.facts.has, company.profile
    absent = {fact for fact, line in _NEEDS.items() if not has(line)} | {"cff_d"}
    debt = has("ie") and not has("v1_ie_debt")
    if not debt or (has("v1_ie_annual") and not annual):
        absent.add("ie")
    if not has("ie"):
        absent.add("ie_debt")
    if not has("tax"):
        absent |= {"tax_cur", "tax_def"}
    if not has("eq"):
        absent.add("before_eq")
    mezzanine = _MEZZANINE[profile.index % 3] if has("mezz") else None
    if profile.template == "shell":
        mezzanine = "mezz_temp"
    absent |= {fact for fact in _MEZZANINE if fact != mezzanine}
    if mezzanine != "mezz_temp":
        absent.add("mezz_temp_parent")
    if profile.template == "bank":
        absent |= {"cost", "gross", "oop_v1", "sga"}
    else:
        absent |= _BANK
    if not has("cost"):
        absent.add("gross")
    if profile.template == "shell":
        absent |= {"rev_v1", "gross", "ppe"}
    return frozenset(absent)


class V1Company:
    """Renders one company's v1 records as of a day."""

    def __init__(
        self, company: Company, today: int, revise: Callable[[Row, bytes], bytes] | None = None
    ) -> None:
        self.company = company
        self.today = today
        self._revise = revise
        self._matrices: dict[str, Ints] = {}

    def rows(self) -> list[Row]:
        """Return the records that are public on the day, oldest period first."""
        company, profile = self.company, self.company.profile
        calendar, filed = company.calendar, company.filed_iso
        rows: list[Row] = []
        if "v2_only" in profile.roles:
            return rows
        gaps = "v1_fourth_gaps" in profile.roles
        for i in range(company.last):
            if calendar.filed[i] > self.today:
                break
            if calendar.ends[i] < company.start:
                continue
            fourth = calendar.quarters[i] == 4
            if not fourth:
                self._add(rows, QUARTERLY, i, filed[i])
                if "two_codes_v1" in profile.roles and calendar.quarters[i] == 1 and i % 8 == 0:
                    again = i + 2
                    if again < company.last and calendar.filed[again] <= self.today:
                        self._add(rows, QUARTERLY, i, filed[again], "two_codes")
            elif "v1_lacks_fourth" not in profile.roles and not (gaps and i // 4 % 3 == 0):
                self._add(rows, QUARTERLY, i, None, "derived")
            if fourth:
                amended = company.amended.get(i)
                self._add(rows, ANNUAL, i, filed[i], "original" if amended else "")
                if amended and amended <= self.today:
                    self._add(rows, ANNUAL, i, iso(amended), "amendment")
            self._add(rows, TTM, i, None)
        return rows

    def _add(
        self, rows: list[Row], timeframe: str, i: int, filed: str | None, variant: str = ""
    ) -> None:
        company, profile = self.company, self.company.profile
        end = company.ends_iso[i]
        quarter = company.calendar.quarters[i]
        if end < "2011" and "early_dates_off" in profile.roles:
            end = iso(company.calendar.ends[i] - 2)
        rows.append(
            Row(
                profile,
                profile.v1_symbols,
                "",
                "ttm" if timeframe == TTM else timeframe,
                i,
                end,
                filed,
                company.calendar.years[i],
                3 if variant == "two_codes" else quarter,
                variant,
                self.render,
            )
        )

    @cached_property
    def _templates(self) -> dict[bool, tuple[str, list[str]]]:
        """Text with gaps for the statements, by whether the period is annual.

        The income statement and in it the figures per share come last.
        """
        built = {}
        for annual in (False, True):
            absent = absent_facts(self.company, annual)
            sections, gaps = [], []
            for section in _SECTIONS:
                parts = []
                lines = V1_LINES[section]
                for line in sorted(lines, key=lambda line: line.fact in _PER_SHARE):
                    if line.fact in absent:
                        continue
                    parts.append(
                        f'"{line.name}":{{"value":%s,"unit":"{line.unit}",'
                        f'"label":"{line.label}","order":{line.order}}}'
                    )
                    gaps.append(line.fact)
                sections.append(f'"{section}":{{{",".join(parts)}}}')
            built[annual] = ("{" + ",".join(sections) + "}", gaps)
        return built

    def _matrix(self, timeframe: str) -> Ints:
        if timeframe not in self._matrices:
            facts = self.company.facts
            source = {QUARTERLY: facts.quarterly, ANNUAL: facts.annual, "ttm": facts.ttm}
            gaps = self._templates[timeframe == ANNUAL][1]
            columns = [source[timeframe][fact] for fact in gaps if fact not in _PER_SHARE]
            self._matrices[timeframe] = np.stack(columns, axis=1)
        return self._matrices[timeframe]

    def _per_share(self, row: Row) -> PerShare:
        company = self.company
        basis = company.calendar.filed[row.index]
        honest = company.profile.plain
        if row.timeframe == "ttm":
            if honest:
                return company.per_share(TTM, row.index, basis)
            return company.per_share_summed(row.index, basis)
        if row.variant == "derived" and not honest:
            return company.per_share_derived(row.index, basis)
        return company.per_share(row.timeframe, row.index, basis)

    def render(self, row: Row) -> bytes:
        """Return the record as JSON: figures per share as reported, not split-adjusted."""
        company, profile, i = self.company, self.company.profile, row.index
        position = {QUARTERLY: i, ANNUAL: i // 4, "ttm": i - 3}[row.timeframe]
        filled: list[float] = self._matrix(row.timeframe)[position].tolist()
        text, gaps = self._templates[row.timeframe == ANNUAL]
        if row.variant == "original":
            shift = company.revenue_shift(ANNUAL, i)
            for place, fact in enumerate(gaps[: len(filled)]):
                if fact in ("rev_v1", "cost", "costs_v1"):
                    filled[place] -= shift
        share = self._per_share(row)
        filled += share
        if gaps[-1] == "dps":
            filled.append(round(abs(share.eps_basic) * 0.3, 2))
        shown = [exponent(value) for value in filled] if profile.exponent_numbers else filled
        data = (self._head(row) + text % tuple(shown) + "}").encode()
        return self._revise(row, data) if self._revise else data

    def _head(self, row: Row) -> str:
        company, profile, i = self.company, self.company.profile, row.index
        calendar = company.calendar
        first = i if row.timeframe == QUARTERLY else i - 3
        head: dict[str, object] = {
            "start_date": iso(calendar.starts[first]),
            "end_date": row.period_end,
        }
        if row.filing_date:
            head["filing_date"] = row.filing_date
            head["acceptance_datetime"] = row.filing_date + calendar.accepted[i]
            # A quarter's repetition stands in the report that is two quarters later.
            number = i + {"amendment": AMENDMENT, "two_codes": 2}.get(row.variant, 0)
            filing = accession(profile.cik, row.filing_date, number)
            head["source_filing_url"] = _FILES + filing
            head["source_filing_file_url"] = f"{_FILES}{filing}/files/report_htm.xml"
        elif row.variant == "derived":
            head["filing_date"] = None
        head["timeframe"] = row.timeframe
        head["fiscal_period"] = {
            ANNUAL: "FY",
            "ttm": "TTM",
            QUARTERLY: f"Q{row.fiscal_quarter}",
        }[row.timeframe]
        head["fiscal_year"] = str(row.fiscal_year)
        head["cik"] = profile.cik
        head["sic"] = profile.sic
        if row.tickers and not ("no_tickers_v1" in profile.roles and i % 2 == 0):
            head["tickers"] = row.tickers
        head["company_name"] = profile.name
        return json.dumps(head, separators=(",", ":"))[:-1] + ',"financials":'


def exponent(value: float) -> str:
    """Return a number as v1 often writes it: 135405000000 as 1.35405e+11, exactly."""
    if isinstance(value, float) or abs(value) < 1_000_000:
        return repr(value)
    digits = str(abs(value))
    mantissa = digits.rstrip("0")
    point = f".{mantissa[1:]}" if len(mantissa) > 1 else ""
    return f"{'-' if value < 0 else ''}{mantissa[0]}{point}e+{len(digits) - 1:02d}"
