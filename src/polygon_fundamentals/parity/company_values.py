"""Every value of some companies, equal ones too: compared once more, for their pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from polygon_fundamentals.lake.listing import Shown, by_bucket
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.parity.compare import list_values
from polygon_fundamentals.parity.plan import KEPT, Question, lake_files
from polygon_fundamentals.statements import Generation, Statement

# Some 70 MB of values at a time.
COMPANIES_AT_A_TIME = 9


def company_values(
    lake: Lake, question: Question, tickers: Sequence[str]
) -> Iterator[tuple[Sequence[str], pd.DataFrame]]:
    """Yield (some of the tickers, every value of theirs in all statements, equal ones too)."""
    shown: dict[tuple[Generation, Statement], Shown] = {}
    for statement in Statement:
        files = lake_files(lake, statement)
        for g in Generation:
            # Of all tickers: what is read of a bucket takes the place of all that was known of it.
            every = (state for mine in files.values() for state in mine[g])
            shown[g, statement] = by_bucket(s for s in every if s.partition != KEPT)
    for start in range(0, len(tickers), COMPANIES_AT_A_TIME):
        some = tickers[start : start + COMPANIES_AT_A_TIME]
        frames = []
        for statement in Statement:
            v1, v2 = (
                read_dataset(lake.dataset(g, statement), some, shown[g, statement])
                for g in Generation
            )
            frames.append(
                list_values(
                    v1,
                    v2,
                    statement,
                    question.tolerances,
                    {t: question.reference[t] for t in some if t in question.reference},
                    question.accepted,
                    question.today,
                )
            )
        yield some, pd.concat(frames, ignore_index=True)
