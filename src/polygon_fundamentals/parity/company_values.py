"""Every value of some companies, equal ones too: compared once more, for their pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from polygon_fundamentals.lake.file_names import bucket_of
from polygon_fundamentals.lake.listing import read_shown
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.parity.compare import list_values
from polygon_fundamentals.parity.findings import StatementFindings
from polygon_fundamentals.parity.plan import Question
from polygon_fundamentals.statements import Generation, Statement

# Some 70 MB of values at a time.
COMPANIES_AT_A_TIME = 9


def company_values(
    lake: Lake,
    question: Question,
    tickers: Sequence[str],
    all_findings: Iterable[StatementFindings],
) -> Iterator[tuple[Sequence[str], pd.DataFrame]]:
    """Yield (some of the tickers, all of their values in all statements, equal ones too).

    Uses the plan's listings in the findings' folders, since listing a market again takes long.
    """
    tickers = sorted(tickers, key=bucket_of)  # each bucket is read as a whole
    folders = {findings.statement: findings.folder for findings in all_findings}
    for start in range(0, len(tickers), COMPANIES_AT_A_TIME):
        some = tickers[start : start + COMPANIES_AT_A_TIME]
        frames = []
        for statement in Statement:
            datasets = [lake.dataset(g, statement) for g in Generation]
            v1, v2 = (
                read_dataset(dataset, some, read_shown(folders[statement], dataset, some))
                for dataset in datasets
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
