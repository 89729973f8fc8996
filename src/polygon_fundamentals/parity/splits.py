"""Evidence for splits: v2's per-share figures and share counts are adjusted to today's shares.

A split changes every per-share figure and share count of all earlier periods by the same simple
ratio. So a ratio is believed only if at least half of what the period reports per share says the
same, some of its earnings per share among it where it has any, and if the ratio does not come and
go: a period between two others of another ratio is an error, not a split, and so is a ratio in the
newest period alone, for a split would have changed the periods before it too. Share counts alone
never prove a power of a thousand: they are given in thousands or millions too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from polygon_fundamentals.field_map import Unit
from polygon_fundamentals.parity.paired import Flags, Floats, Pair, Paired, is_habit

# 2:1, 7:1 or 1:20 have denominator 1; 3:2, 4:3, 5:4 and stock dividends of 5 and 10 % the others.
_DENOMINATORS = (20, 10, 5, 4, 3, 2, 1)
_CENT = 0.005
_NARROW = 0.05
_TTM_DAYS = 365
_QUARTERS = 4.0
# Units to which share counts are reported. Whole hundred thousands are too often chance.
_GRAINS = (1_000.0, 1_000_000.0)
# A company's counts are exact as a rule if they are so three times as often as not.
_FAR_MORE_OFTEN = 3
# How near a ratio is to a power of a thousand if the counts on one side are rounded.
_NEAR_A_THOUSAND = 0.001


@dataclass(frozen=True)
class Splits:
    """For each period the ratio that separates it from today's shares, 1 where none is proven.

    `year_earlier` is the ratio a year before, which differs where the period spans a split.
    """

    ratio: Floats
    year_earlier: Floats


def no_splits(paired: Paired) -> Splits:
    """Return that there are no splits: for statements without per-share figures."""
    return Splits(np.ones(len(paired)), np.ones(len(paired)))


def find_splits(paired: Paired, pairs: list[Pair]) -> Splits:
    """Return the split ratio of each period, from all per-share figures of its company."""
    seen = _observations(paired, pairs)
    candidates = _candidates(seen)
    if candidates.empty:
        return no_splits(paired)
    levels = _levels(_consensus(seen, candidates))
    rows = pd.DataFrame(
        {
            "company": paired.company,
            "end": paired.periods["period_end"].to_numpy(dtype="datetime64[s]"),
            "row": np.arange(len(paired)),
        }
    )
    now = _at(rows, levels)
    year_before = (rows["end"] - pd.Timedelta(days=_TTM_DAYS)).astype(rows["end"].dtype)
    earlier = _at(rows.assign(end=year_before), levels)
    return Splits(now, earlier)


def split_explains(paired: Paired, pair: Pair, splits: Splits) -> Flags:
    """Return which per-share values or share counts differ by their period's split alone."""
    v1, v2, unit = pair.expected, pair.actual, pair.entry.unit
    if unit is Unit.USD:
        return np.zeros(len(paired), dtype=bool)
    twelve_months = paired.is_timeframe("ttm")
    # v1 adds the averages of four quarters up.
    added = twelve_months & (unit is Unit.SHARES)
    agrees = _agrees(v1, v2, splits.ratio, unit) | (
        added & _agrees(v1 / _QUARTERS, v2, splits.ratio, unit)
    )
    if unit is Unit.SHARES:
        # Where a company's counts are multiplied to the share, coarse figures are no excuse.
        off = np.minimum(np.abs(v2 - v1 * splits.ratio), np.abs(v2 - v1 / _QUARTERS * splits.ratio))
        exact = agrees & (off <= np.maximum(1.0, splits.ratio))
        agrees &= exact | ~is_habit(paired, exact, agrees & ~exact, _FAR_MORE_OFTEN)
    low = np.minimum(splits.ratio, splits.year_earlier)
    high = np.maximum(splits.ratio, splits.year_earlier)
    quotient = _divide(v2, v1) if unit is Unit.SHARES else _divide(v1, v2)
    share_sum = _QUARTERS if unit is Unit.SHARES else 1.0
    spans = (
        twelve_months
        & (low != high)
        & (quotient * share_sum >= low)
        & (quotient * share_sum <= high)
    )
    return ((splits.ratio != 1) & agrees) | spans


def four_quarters_added(paired: Paired, pair: Pair) -> Flags:
    """Return which twelve-month share counts are v1's sum of four averages, v2's average."""
    v1, v2 = pair.expected / _QUARTERS, pair.actual
    return paired.is_timeframe("ttm") & _agrees(v1, v2, np.ones(len(v1)), Unit.SHARES)


def _observations(paired: Paired, pairs: list[Pair]) -> pd.DataFrame:
    """All per-share figures that both have, except those that prove nothing."""
    # Derived fourth quarters and twelve months are computed differently in each generation.
    witness = ~paired.is_derived_quarter & ~paired.is_timeframe("ttm")
    frames = []
    for number, pair in enumerate(pairs):
        if pair.entry.unit is Unit.USD:
            continue
        use = witness & (np.nan_to_num(pair.expected) != 0) & (np.nan_to_num(pair.actual) != 0)
        frames.append(
            pd.DataFrame(
                {
                    "company": paired.company[use],
                    "end": paired.periods["period_end"].to_numpy(dtype="datetime64[s]")[use],
                    "field": number,
                    "shares": pair.entry.unit is Unit.SHARES,
                    "v1": pair.expected[use],
                    "v2": pair.actual[use],
                }
            )
        )
    columns = ["company", "end", "field", "shares", "v1", "v2"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def _candidates(seen: pd.DataFrame) -> pd.DataFrame:
    """The ratios other than 1 that at least two figures of a company show."""
    v1, v2 = seen["v1"].to_numpy(dtype=float), seen["v2"].to_numpy(dtype=float)
    shares = seen["shares"].to_numpy(dtype=bool)
    ratio = np.where(shares, _divide(v2, v1), _divide(v1, v2))
    up = ratio >= 1
    ratios = np.ones(len(seen))
    for denominator in _DENOMINATORS:
        simple = np.round(np.where(up, ratio, _divide(np.ones(len(ratio)), ratio)) * denominator)
        simple = np.where(
            up, simple / denominator, _divide(np.full(len(ratio), denominator), simple)
        )
        agrees = np.where(
            shares,
            _agrees(v1, v2, simple, Unit.SHARES),
            _agrees(v1, v2, simple, Unit.USD_PER_SHARE),
        )
        narrow = shares | (
            _CENT * (1 + _divide(np.ones(len(simple)), simple)) < _NARROW * np.abs(v2)
        )
        ratios = np.where(agrees & narrow & (ratio > 0), simple, ratios)
    same = _agrees(v1, v2, np.ones(len(v1)), Unit.SHARES)
    rows = pd.DataFrame({"company": seen["company"], "ratio": ratios})[(ratios != 1) & ~same]
    support = rows.groupby(["company", "ratio"], as_index=False).agg(support=("ratio", "size"))
    return support[support["support"] >= 2]


def _consensus(seen: pd.DataFrame, candidates: pd.DataFrame) -> pd.DataFrame:
    """For each company and period end the ratio that most of its per-share figures agree with."""
    ones = candidates[["company"]].drop_duplicates().assign(ratio=1.0, support=0)
    rows = seen.merge(pd.concat([candidates, ones]), on="company")
    v1, v2, ratio = (rows[c].to_numpy(dtype=float) for c in ("v1", "v2", "ratio"))
    rows["agrees"] = np.where(
        rows["shares"],
        _agrees(v1, v2, ratio, Unit.SHARES),
        _agrees(v1, v2, ratio, Unit.USD_PER_SHARE),
    )
    earnings = ~rows["shares"].astype(bool)
    rows["earnings_asked"], rows["earnings_agree"] = earnings, earnings & rows["agrees"]
    votes = (
        rows.groupby(["company", "end", "ratio", "support"])
        .agg(
            agree=("agrees", "sum"),
            asked=("agrees", "size"),
            earnings_agree=("earnings_agree", "sum"),
            earnings_asked=("earnings_asked", "sum"),
        )
        .reset_index()
    )
    votes["is_one"] = votes["ratio"] == 1
    # Half the figures at least must say so, and where two ratios tie, there was no split.
    most = (votes["agree"] > 0) & (2 * votes["agree"] >= votes["asked"])
    from_counts = (votes["earnings_asked"] == 0) & ~_is_power_of_a_thousand(
        votes["ratio"].to_numpy(dtype=float)
    )
    votes = votes[most & (votes["is_one"] | (votes["earnings_agree"] > 0) | from_counts)]
    votes = votes.sort_values(["agree", "is_one", "support"])
    return votes.drop_duplicates(["company", "end"], keep="last")[["company", "end", "ratio"]]


def _is_power_of_a_thousand(ratio: Floats) -> Flags:
    """Whether a ratio other than 1 is one that counts in thousands or millions show as well."""
    power = np.round(np.log10(ratio) / 3)
    return (power != 0) & (np.abs(ratio / 1000.0**power - 1) <= _NEAR_A_THOUSAND)


def _levels(consensus: pd.DataFrame) -> pd.DataFrame:
    """The consensus without ratios that come and go.

    A ratio is refuted if periods before it carry another ratio that later periods carry too, or
    that of today's shares, and these are at least as many as the periods of the ratio itself: a
    split would have changed them as well.
    """
    group = consensus.groupby(["company", "ratio"])["end"]
    known = group.agg(last="max", periods="size").reset_index()
    rows = consensus.merge(known[["company", "ratio", "periods"]], on=["company", "ratio"])
    other = rows.merge(known, on="company", suffixes=("", "_other"))
    carried_on = (other["last"] > other["end"]) | (other["ratio_other"] == 1)
    other = other[(other["ratio"] != other["ratio_other"]) & carried_on]
    other = other.merge(
        consensus,
        left_on=["company", "ratio_other"],
        right_on=["company", "ratio"],
        suffixes=("", "_earlier"),
    )
    refuting = other[other["end_earlier"] < other["end"]].groupby(["company", "end"]).size()
    index = pd.MultiIndex.from_frame(rows[["company", "end"]])
    against = refuting.reindex(index, fill_value=0).to_numpy()
    return rows[against < rows["periods"].to_numpy()][["company", "end", "ratio"]]


def _at(rows: pd.DataFrame, levels: pd.DataFrame) -> Floats:
    """The ratio at each row's date: of the nearest period with a consensus, 1 where none is."""
    nearest = pd.merge_asof(
        rows.sort_values("end", kind="stable"),
        levels.sort_values("end", kind="stable"),
        on="end",
        by="company",
        direction="nearest",
    ).sort_values("row")
    return nearest["ratio"].fillna(1.0).to_numpy(dtype=np.float64)


def _agrees(v1: Floats, v2: Floats, ratio: Floats, unit: Unit) -> npt.NDArray[np.bool_]:
    """Whether v2 is v1 after a split of `ratio` new shares for one old, as both are rounded."""
    inverse = _divide(np.ones(len(ratio)), ratio)
    if unit is Unit.SHARES:
        slack = 1.0 + 0.5 * (_grain(v1) * ratio + _grain(v2))
        result: npt.NDArray[np.bool_] = np.abs(v2 - v1 * ratio) <= slack
    else:
        result = np.abs(v2 - v1 * inverse) <= _CENT * (1 + inverse) + 1e-9
    return result


def _grain(shares: Floats) -> Floats:
    """The unit to which a share count is reported."""
    grain = np.ones(len(shares))
    for unit in _GRAINS:
        grain = np.where(shares % unit == 0, unit, grain)
    return grain


def _divide(a: Floats, b: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        result: Floats = np.where(b == 0, np.nan, a / b)
    return result
