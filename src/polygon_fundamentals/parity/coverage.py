"""Which tickers and periods of v1 are in v2, and what became of those that are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from polygon_fundamentals.parity.findings import StatementFindings, writing
from polygon_fundamentals.parity.kinds import Kind
from polygon_fundamentals.parity.totals import PRESENT
from polygon_fundamentals.reference.tickers import ReferenceTicker, company_name


def tickers_of(
    table: pa.Table, company: np.ndarray[tuple[int], np.dtype[np.object_]]
) -> pd.Series[Any]:
    """Return for each company its tickers in the files of `table`, in alphabetical order."""
    rows = pd.DataFrame({"company": company, "ticker": table.column("ticker").to_pandas()})
    rows = rows.drop_duplicates().sort_values(["company", "ticker"])
    return rows.groupby("company")["ticker"].agg(tuple)


def missing_from_v2(
    v1: pd.DataFrame,
    v2: pa.Table,
    v2_company: np.ndarray[tuple[int], np.dtype[np.object_]],
    reference: Mapping[str, ReferenceTicker],
) -> pd.DataFrame:
    """Return the tickers of v1 that v2 has no record of, each with what became of it.

    `v1` has one row per company and ticker (`company`, `ticker`, `periods`). Columns of the result:
    company, ticker, kind, detail, periods. A ticker counts as present if v2 has a file for it or
    names it among the tickers of a record of the same company. `reference` is by ticker, and by
    `company_name` for the companies: one that is listed, or could not be looked up, is missing,
    whatever became of its ticker.
    """
    seen = pd.DataFrame(
        {
            "company": v2_company,
            "ticker": v2.column("ticker").to_pandas(),
            "tickers": v2.column("tickers").to_pandas(),
        }
    )
    named = seen[["company", "tickers"]].explode("tickers").rename(columns={"tickers": "ticker"})
    present = pd.concat([seen[["company", "ticker"]], named]).dropna().drop_duplicates()
    rows = v1.merge(present, on=["company", "ticker"], how="left", indicator="where")
    rows = rows[rows["where"] == "left_only"].drop(columns="where")

    under = present.groupby("company")["ticker"].agg(lambda names: ", ".join(sorted(names)))
    there = rows["company"].map(under).astype("string")
    known = {name: entry.get("active") for name, entry in reference.items()}
    active, lives = rows["ticker"].map(known), rows["company"].map(company_name).map(known)
    ciks = {t: cik.zfill(10) for t, entry in reference.items() if (cik := entry.get("cik"))}
    holder = rows["ticker"].map(ciks).astype("string")
    known_by_cik = ~rows["company"].astype("string").str.startswith("ticker:")
    passed_on = holder.notna() & (holder != rows["company"]).fillna(False) & known_by_cik
    # A former symbol is inactive however well its company does under the present one.
    is_listed = ((active == True) & ~passed_on).groupby(rows["company"]).transform("any")  # noqa: E712
    is_listed |= lives == True  # noqa: E712
    was_listed = (active == False).groupby(rows["company"]).transform("any")  # noqa: E712
    inactive_company = (was_listed | (lives == False)) & ~is_listed  # noqa: E712
    passed_on &= ~is_listed
    # Its ticker alone tells nothing of a company that may live under another one.
    unknown = known_by_cik & ~rows["company"].map(company_name).isin(reference)
    unknown &= inactive_company | passed_on

    rows["kind"] = np.select(
        [there.notna(), unknown, inactive_company | passed_on],
        [Kind.RENAMED.value, Kind.MISSING.value, Kind.DELISTED.value],
        Kind.MISSING.value,
    )
    rows["detail"] = np.select(
        [there.notna(), unknown, inactive_company, passed_on, lives == True],  # noqa: E712
        [
            "in v2 as " + there.fillna(""),
            "v2 has no amounts of it, and its company could not be looked up",
            "inactive in the reference data",
            "a former holder of the ticker, now of CIK " + holder.fillna(""),
            "v2 has no amounts of it, and its company is listed",
        ],
        "v2 has no amounts of it",
    )
    columns = ["company", "ticker", "kind", "detail", "periods"]
    return rows[columns].sort_values(["company", "ticker"], ignore_index=True)


def expect_every_statement(all_findings: Sequence[StatementFindings]) -> None:
    """Call missing what is delisted in one statement, where v2 has the company in another.

    That v2 covers listed companies only is then no reason. Writes `tickers` of the findings, not
    of the cache: a comparison knows one statement.
    """
    tables = [findings.table("tickers") for findings in all_findings]
    frames = [table.to_pandas() for table in tables]
    companies = [frame["cik"].fillna(frame["ticker"]) for frame in frames]
    in_v2 = [frame["kind"].isin([PRESENT, Kind.RENAMED.value]) for frame in frames]
    covered = {name for names, rows in zip(companies, in_v2, strict=True) for name in names[rows]}
    for findings, table, frame, names in zip(all_findings, tables, frames, companies, strict=True):
        lost = names.isin(covered) & (frame["kind"] == Kind.DELISTED.value)
        if lost.any():
            frame.loc[lost, "kind"] = Kind.MISSING.value
            frame.loc[lost, "detail"] = "delisted, but v2 has other statements of the company"
            changed = pa.Table.from_pandas(frame, table.schema, preserve_index=False)
            with writing(findings.folder) as writer:
                writer.add("tickers", changed)
