"""Which periods of two lists are the same: of one company and timeframe, ended within ten days."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from polygon_fundamentals.datasets.keys import SAME_PERIOD_DAYS

Rows = npt.NDArray[np.int64]
_KEY = ["company", "timeframe", "period_end"]


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
    left = v1[_KEY].assign(left=np.arange(len(v1)))
    right = v2[_KEY].assign(right=np.arange(len(v2)))
    # A merge would take two missing dates for equal ones.
    same = left.dropna(subset="period_end").merge(right, on=_KEY, validate="one_to_one")
    left_rest = left[~left["left"].isin(same["left"])]
    right_rest = right[~right["right"].isin(same["right"])]

    # Without the groups each period would be paired with all others of its company.
    rest = pd.concat([left_rest, right_rest]).dropna(subset="period_end").sort_values(_KEY)
    apart = rest.groupby(_KEY[:2])["period_end"].diff().dt.days
    rest["group"] = (~(apart <= SAME_PERIOD_DAYS)).cumsum()
    mine, theirs = (
        rest.loc[rest[name].notna(), ["group", "period_end", name]] for name in ("left", "right")
    )
    near = mine.merge(theirs, on="group", suffixes=("", "_v2"))
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


def nearest_ends(periods: pd.DataFrame, others: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    """Return for each of `periods` the end under which `others` have it, NaT where they do not.

    That is the nearest end within ten days. Both frames have `period_end`; the other columns of
    `others`, such as `company` and `timeframe`, must be equal. The result has the index of
    `periods`. It looks up what is said of a period; which records are compared, `match_periods`
    decides.
    """
    same = [name for name in others.columns if name != "period_end"]
    both = pd.concat([periods[[*same, "period_end"]], others], ignore_index=True)
    # One number for the other columns: whose texts may be of two types.
    both["group"] = both.groupby(same, sort=False, dropna=False).ngroup()
    both["row"] = np.arange(len(both))
    wanted, known = both.iloc[: len(periods)], both.iloc[len(periods) :]
    left, right = (
        frame.dropna(subset="period_end").sort_values("period_end") for frame in (wanted, known)
    )
    met = pd.merge_asof(
        left[["period_end", "group", "row"]],
        right[["period_end", "group"]].assign(nearest=right["period_end"]),
        on="period_end",
        by="group",
        direction="nearest",
        tolerance=pd.Timedelta(days=SAME_PERIOD_DAYS),
    )
    return met.set_index("row")["nearest"].reindex(wanted["row"]).set_axis(periods.index)
