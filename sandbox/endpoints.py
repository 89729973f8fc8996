"""The seven endpoints, as the vendor documents their filters, limits and orders."""

from __future__ import annotations

from .company import TTM
from .fields import FILINGS_PATH, RATIO_FIELDS, RATIOS_PATH, TICKERS_PATH, V1_PATH, V2_PATHS
from .query import Column, Endpoint

_RANGE = frozenset({"gt", "gte", "lt", "lte"})
_EXACT = frozenset({""})
_ALL = _RANGE | _EXACT
_ANY = _ALL | {"any_of"}
_TIMEFRAMES = frozenset({"annual", "quarterly"})

V1 = Endpoint(
    path=V1_PATH,
    columns=(
        Column("ticker", "tickers", "member", _EXACT),
        Column("cik", "cik", operators=_EXACT),
        Column("company_name", "owner.name", operators=_EXACT),
        Column("sic", "owner.sic", operators=_EXACT),
        Column("filing_date", "filing_date", "date", _ALL),
        Column("period_of_report_date", "period_end", "date", _ALL),
        Column("timeframe", "timeframe", operators=_EXACT, choices=_TIMEFRAMES | {"ttm"}),
    ),
    default_limit=10,
    max_limit=100,
    default_sort="period_of_report_date.desc",
    sortable=frozenset({"filing_date", "period_of_report_date"}),
    single_sort=True,
    ties=("cik", "timeframe"),
)


_V2_COLUMNS = (
    Column("cik", "cik", operators=_ANY),
    Column("tickers", "tickers", "member", frozenset({"", "any_of", "all_of"})),
    Column("period_end", "period_end", "date", _ALL),
    Column("filing_date", "filing_date", "date", _ALL),
    Column("fiscal_year", "fiscal_year", "number", _ALL),
    Column("fiscal_quarter", "fiscal_quarter", "number", _ALL),
    Column("timeframe", "timeframe", operators=_ANY, choices=_TIMEFRAMES | {TTM}),
)
V2 = {
    path: Endpoint(
        path=path,
        columns=_V2_COLUMNS,
        default_limit=100,
        max_limit=50_000,
        default_sort="period_end.asc",
        sortable=frozenset(column.name for column in _V2_COLUMNS),
        ties=("cik", "timeframe", "fiscal_year", "fiscal_quarter"),
    )
    for path in V2_PATHS
}

RATIOS = Endpoint(
    path=RATIOS_PATH,
    columns=(
        Column("ticker", "ticker", operators=_ANY),
        Column("cik", "cik", operators=_ANY),
        *(Column(name, name, "number", _ALL) for name in RATIO_FIELDS),
    ),
    default_limit=100,
    max_limit=50_000,
    default_sort="ticker.asc",
    sortable=frozenset({"ticker", "cik", "date", *RATIO_FIELDS}),
    ties=("ticker",),
)

TICKERS = Endpoint(
    path=TICKERS_PATH,
    columns=(
        Column("ticker", "ticker", operators=_ALL),
        Column("cik", "cik", operators=_EXACT),
        Column("market", "market", operators=_EXACT),
        Column("type", "type", operators=_EXACT),
        Column("exchange", "primary_exchange", operators=_EXACT),
    ),
    default_limit=100,
    max_limit=1000,
    default_sort="ticker.asc",
    sortable=frozenset(
        [
            "ticker",
            "name",
            "market",
            "locale",
            "primary_exchange",
            "type",
            "currency_name",
            "cik",
            "last_updated_utc",
            "delisted_utc",
        ]
    ),
    single_sort=True,
    ties=("ticker",),
)

FILINGS = Endpoint(
    path=FILINGS_PATH,
    columns=(
        Column("cik", "cik", operators=_ANY),
        Column("ticker", "ticker", operators=_ANY),
        Column("form_type", "form_type", operators=_ANY),
        Column("filing_date", "filing_date", "date", _ALL),
    ),
    default_limit=1000,
    max_limit=10_000,
    default_sort="filing_date.desc",
    sortable=frozenset({"cik", "ticker", "form_type", "filing_date"}),
    ties=("accession_number",),
)

ENDPOINTS = {e.path: e for e in (V1, *V2.values(), RATIOS, TICKERS, FILINGS)}
