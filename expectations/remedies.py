"""What to do about each rule that does not hold: in words, with the command to type."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from expectations.outcome import EVERYWHERE, Outcome, RuleResult
from expectations.plugin import rules, values
from polygon_fundamentals.parity.kinds import Kind

# More would make a command that nobody reads; the cases on the page name the others.
TICKERS_NAMED = 10
# What a shell takes as it stands: tickers are data from outside.
_PLAIN = re.compile(r"[A-Za-z0-9._-]+")

_LOAD = "`polygon-fundamentals historical-load --generation v2 --tickers {tickers}`"
_REFRESH = "`polygon-fundamentals refresh --tickers {tickers}`"
_AGAIN = "then run `polygon-fundamentals parity` again."
_VENDOR = "report it to the vendor"
_RULE = (
    "to go on without, raise `at_most` under `{name}` in `expectations/tolerances.yaml` and write "
    "down there who looked at what."
)
_BUDGET = "raise `{name}` in `expectations/tolerances.yaml` and write down there who looked at what"
_ACCEPT = f"accept single values by the command that stands beside each difference, or {_BUDGET}."
_DATE = (
    f"Look the period up at sec.gov. If v2's date is wrong or absent, {_VENDOR}, and load the "
    f"company again once it is corrected: {_LOAD}; "
)
_LOOK = (
    f"Look at both figures and at the filing. If v2's is wrong, {_VENDOR}, and load the company "
    f"again once it is corrected: {_LOAD}. If your readers can do with it, {_ACCEPT}"
)
_CONFIRM = f"Look at both figures and at the filing. If v2's is right, {_ACCEPT}"

# By the class of the rule: its name in tolerances.yaml, and what to do.
_OF_RULES: dict[str, tuple[str, str]] = {
    rules.ExpectEveryV1TickerToBeInV2.__name__: ("missing", ""),
    rules.ExpectEveryV1PeriodToBeInV2.__name__: ("missing", ""),
    rules.ExpectPeriodNotToBeDoubled.__name__: (
        "doubled_periods",
        f"Read v2 again: {_REFRESH}; {_AGAIN} If v2 still has both periods, {_VENDOR}; {_RULE}",
    ),
    rules.ExpectFiscalLabelsToBeV1s.__name__: (
        "fiscal_labels",
        f"Compare the labels and ends with the company's reports. If v2's are wrong, {_VENDOR}; "
        f"{_RULE}",
    ),
    rules.ExpectFieldNotToBeLost.__name__: (
        "lost_fields",
        "The vendor may have filled the field since: read v2 again by "
        f"`polygon-fundamentals refresh`, {_AGAIN} If v2 still lacks it, {_VENDOR}; {_RULE}",
    ),
    rules.ExpectRecordKeyToBeUnique.__name__: (
        "unique_keys",
        f"Look up at sec.gov which content is true, and {_VENDOR} if v2 sends both; {_RULE}",
    ),
    rules.ExpectV2FileToBeFlat.__name__: (
        "flat_files",
        "Find out which other program wrote these files and stop it. Load the companies again: "
        f"{_LOAD}; {_AGAIN} To go on with the files as they are, raise `at_most` under `{{name}}` "
        "in `expectations/tolerances.yaml` and write down there who looked at what.",
    ),
    rules.ExpectV2IdentityToHold.__name__: (
        "identities",
        f"Look the figures up in the filing. If v2's are wrong, {_VENDOR}, and load the company "
        f"again once they are corrected: {_LOAD}; {_RULE}",
    ),
    rules.ExpectEveryV2RecordToHaveAFilingDate.__name__: ("undated_filings", _DATE + _RULE),
    rules.ExpectNoFilingDateInTheFuture.__name__: ("future_filings", _DATE + _RULE),
    rules.ExpectNoFilingBeforeItsPeriodEnds.__name__: ("filings_before_end", _DATE + _RULE),
    rules.ExpectNoFilingBeforeV1s.__name__: (
        "filings_before_v1",
        f"{_DATE}if v1's is wrong, for instance because v1 has only an amendment, and to go on "
        f"without, {_RULE.removeprefix('to go on without, ')}",
    ),
    rules.ExpectV2ToBeFresh.__name__: (
        "freshness",
        f"Run `polygon-fundamentals daily-update --generation v2`, {_AGAIN} For a lake of foreign "
        "companies alone, which file once a year, give `freshness` in "
        "`expectations/tolerances.yaml` a `limit` of 400.",
    ),
    rules.ExpectV2NotToLagBehindV1.__name__: (
        "behind_v1",
        f"Read v2 again by `polygon-fundamentals refresh`, {_AGAIN} If v2 still lags behind, "
        f"{_VENDOR}; {_RULE}",
    ),
    rules.ExpectCountPerTickerToBePlausible.__name__: (
        "plausible_counts",
        f"Read v2 again: {_REFRESH}; {_AGAIN} If v2 still has as many periods, {_VENDOR}; {_RULE}",
    ),
    values.ExpectV2ValueToEqualV1.__name__: (
        "",
        "A row does not have the values with which it was compared. Run `polygon-fundamentals "
        "parity` again; if the rule is broken again, report that as a defect of this project.",
    ),
    values.ExpectFindingToStayWithinItsBudget.__name__: ("", ""),
    values.ExpectAcceptedDifferenceToBeListed.__name__: (
        "",
        "Run `polygon-fundamentals parity` again with the file of accepted differences that you "
        "mean (`--accepted FILE`, else `expectations/accepted.yaml`).",
    ),
}
_MISSING = (
    f"Load it again: {_LOAD}; {_AGAIN} If v2 still lacks it, {_VENDOR}, {_BUDGET}: silver keeps "
    "v1's record."
)
_STATES = f"More are {{name}} than its budget allows. Look at the cases; to go on, {_BUDGET}."
_OF_KINDS: dict[str, str] = {
    Kind.RESTATED.value: "SEC EDGAR can prove a restatement: set EDGAR_IDENTITY, and run "
    f"`polygon-fundamentals parity --witness edgar`. Of what is left, {_ACCEPT}",
    Kind.V1_WRONG.value: _CONFIRM,
    Kind.V1_BREAKS_IDENTITY.value: _CONFIRM,
    Kind.LOST_IN_V2.value: f"The vendor may have filled the line since: load the company again: "
    f"{_LOAD}; {_AGAIN} If v2 still lacks it, {_VENDOR}. If your readers can do without it, "
    f"{_ACCEPT}",
}


@dataclass(frozen=True)
class Broken:
    """A rule that is broken in some statements, and what to do about it."""

    rules: tuple[RuleResult, ...]
    remedy: str

    @property
    def heading(self) -> str:
        """The rule's title, and what distinguishes it from others of its class."""
        return " · ".join(filter(None, (self.rules[0].title, self.rules[0].detail)))


def broken_rules(outcome: Outcome) -> list[Broken]:
    """Return the rules that are broken, each once for all statements, with its remedy."""
    together: dict[tuple[str, str], list[RuleResult]] = {}
    for rule in outcome.broken:
        together.setdefault((rule.rule, rule.detail), []).append(rule)
    return [Broken(tuple(some), _remedy(some)) for some in together.values()]


def _remedy(some: Sequence[RuleResult]) -> str:
    """Return what to do about one rule that is broken in these statements."""
    first = some[0]
    if any(rule.error for rule in some):
        return "Run `polygon-fundamentals parity` again; report the error if it stays."
    if first.rule not in _OF_RULES:
        return "This rule was added to the project in `ops/parity/gx`; ask who added it."
    name, text = _OF_RULES[first.rule]
    if first.rule == values.ExpectFindingToStayWithinItsBudget.__name__:
        name = first.detail.split(" · ")[0]
        text = _OF_KINDS.get(name, _LOOK)
        # A budget of one statement or field stands in a list of its own.
        name += "" if first.where == EVERYWHERE else "` under `scoped_budgets"
    elif not text:
        states = sorted({case.get("state", name) for rule in some for case in rule.cases})
        name, text = (name, _MISSING) if states in ([], [name]) else (", ".join(states), _STATES)
    tickers = sorted({case.get("ticker", "") for rule in some for case in rule.cases})
    named = [ticker for ticker in tickers if _PLAIN.fullmatch(ticker)]
    more = f" These are the first {TICKERS_NAMED} tickers; the cases name the others."
    is_cut = "{tickers}" in text and len(named) > TICKERS_NAMED
    words = text.format(name=name, tickers=",".join(named[:TICKERS_NAMED]) or "TICKER")
    return words + more * is_cut
