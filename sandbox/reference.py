"""The two side endpoints: the list of tickers and the index of filings."""

from __future__ import annotations

from datetime import date

from .companies import Profile
from .company import Company
from .filings import filings_of
from .rows import Entry, iso


def _security_type(symbol: str, profile: Profile) -> str:
    if "units" in profile.roles and symbol.endswith("W"):
        return "WARRANT"
    if "units" in profile.roles and symbol.endswith("U"):
        return "UNIT"
    return "CS"


def ticker_entries(profile: Profile, today: int) -> list[Entry]:
    """Return every symbol that the company has or had, inactive ones included."""
    day = date.fromordinal(today)
    gone = profile.delisted if profile.delisted and profile.delisted <= day else None
    entries = []
    symbols = () if "v2_only" in profile.roles else profile.symbols
    for symbol in dict.fromkeys((*symbols, *profile.old_symbols)):
        old = symbol in profile.old_symbols and symbol not in profile.symbols
        end = profile.renamed if old else gone
        entries.append(
            Entry(
                ticker=symbol,
                name=profile.name,
                market="stocks",
                locale="us",
                primary_exchange="XNAS" if profile.index % 2 else "XNYS",
                type=_security_type(symbol, profile),
                active=end is None,
                currency_name="usd",
                cik=profile.cik,
                composite_figi=f"BBG{profile.index:09d}",
                last_updated_utc=f"{day.isoformat()}T00:00:00Z",
                delisted_utc=f"{end.isoformat()}T04:00:00Z" if end else None,
            )
        )
    return entries


def filing_entries(company: Company, today: int) -> list[Entry]:
    """Return the company's public filings: reports, amendments and a notice before each."""
    profile = company.profile
    return [
        Entry(
            accession_number=filing.accession,
            cik=profile.cik,
            filing_date=iso(filing.filed),
            filing_url=f"https://www.sec.gov/Archives/edgar/data/{int(profile.cik)}/"
            f"{filing.accession}.txt",
            form_type=filing.form,
            issuer_name=profile.name,
            ticker=profile.symbols[0] if profile.symbols else None,
        )
        for filing in filings_of(company, today)
    ]
