"""Which period of one list meets which of another: the same company, timeframe and period end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

# v1's dates of 2009 and 2010 are off by days (AMZN 2009-03-30, NVDA 2010-04-29 for 2010-05-02), and
# v2 dates single statements otherwise than the others of the period (CARR's balance of 2021 is of
# 4 January 2022). Quarters have 12 weeks at least, so ten days can never reach another one.
SAME_PERIOD_DAYS = 10

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Matches:
    """Positions in the two lists of periods: those that meet, pairwise, and those that do not."""

    v1: Rows
    v2: Rows
    v1_alone: Rows
    v2_alone: Rows


def match_periods(v1: pd.DataFrame, v2: pd.DataFrame) -> Matches:
    """Return which periods of both lists match, and which have no match.

    Each frame has one row per period with columns `company`, `timeframe`, `period_end`, as
    `current.period_keys` gives them. Periods of equal dates meet. Of the rest, those that end
    within ten days of one another meet, if each is the other's only candidate. A record without a
    period end meets none.
    """
    key = ["company", "timeframe", "period_end"]
    left = v1[key].assign(left=np.arange(len(v1)))
    right = v2[key].assign(right=np.arange(len(v2)))
    # A merge would take two missing dates for equal ones.
    same = left.dropna(subset="period_end").merge(right, on=key, validate="one_to_one")
    left_rest = left[~left["left"].isin(same["left"])]
    right_rest = right[~right["right"].isin(same["right"])]

    near = left_rest.merge(right_rest, on=["company", "timeframe"], suffixes=("", "_v2"))
    days = (near["period_end"] - near["period_end_v2"]).abs().dt.days
    near = near[days <= SAME_PERIOD_DAYS]
    sure = ~near["left"].duplicated(keep=False) & ~near["right"].duplicated(keep=False)
    near = near[sure]

    met = pd.concat([same[["left", "right"]], near[["left", "right"]]]).sort_values("left")
    return Matches(
        v1=met["left"].to_numpy(dtype=np.int64),
        v2=met["right"].to_numpy(dtype=np.int64),
        v1_alone=left.loc[~left["left"].isin(met["left"]), "left"].to_numpy(dtype=np.int64),
        v2_alone=right.loc[~right["right"].isin(met["right"]), "right"].to_numpy(dtype=np.int64),
    )
