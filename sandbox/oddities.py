"""The list of what is odd in a world by design, told company by company."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .company import TTM
from .fields import V2_STATEMENTS, read_table
from .planted import Planted, value_of
from .rows import iso

if TYPE_CHECKING:
    from .companies import Profile
    from .world import World

#: role -> (kind, generation, note); the kinds are those of the comparison where it has one.
ROLE_KINDS: dict[str, tuple[str, str, str]] = {
    row["role"]: (row["kind"], row["generation"], row["note"]) for row in read_table("roles.csv")
}

_VARIANTS: dict[str, tuple[str, str]] = {
    "stray": ("stray_label", "a comparative under another fiscal label"),
    "empty": ("empty_row", "every amount is null"),
    "original": ("amended", "the annual report before its amendment"),
    "amendment": ("amended", "the amendment of the annual report"),
    "two_codes": ("two_codes", "the first quarter again, as the third"),
    "restated": ("restated", "the next year's report moved revenue and its cost"),
}


def oddities(world: World) -> list[Planted]:
    """Return every oddity in effect on the world's day."""
    planted: list[Planted] = []
    for profile in world.profiles:
        for role in sorted(profile.roles):
            if role in ROLE_KINDS:
                kind, generation, note = ROLE_KINDS[role]
                if kind == "delisted" and (world.company(profile.index).gone or 0) > world.today:
                    continue
                planted.append(_entry(profile, kind, generation, note))
        for day, ratio in world.company(profile.index).splits if profile.splits else ():
            if day <= world.today:
                note = f"{ratio:g} new shares for one from {iso(day)} on"
                planted.append(_entry(profile, "split_adjusted", "v2", note))
        if profile.roles:
            planted += _variants(world, profile)
        if profile.roles & {"v2_lacks_period", "v2_lacks_statement"}:
            planted += _lacking(world, profile)
    return planted


def _entry(profile: Profile, kind: str, generation: str, note: str) -> Planted:
    tickers = tuple(dict.fromkeys((*profile.v1_symbols, *profile.symbols)))
    return Planted(kind, generation, profile.cik, tickers, note=note)


def _variants(world: World, profile: Profile) -> list[Planted]:
    planted = []
    rows = [("v1", row) for row in world.v1_rows(profile.index)]
    for statement in V2_STATEMENTS:
        rows += [("v2", row) for row in world.v2_rows(profile.index, statement)]
    for generation, row in rows:
        if row.variant not in _VARIANTS:
            continue
        kind, note = _VARIANTS[row.variant]
        values: tuple[float | None, float | None] = (None, None)
        field = None
        if row.variant == "restated":
            if row.statement != "income_statements":
                continue
            field = "revenue"
            values = _revenue(world, row.owner.index, row.period_end)
        planted.append(
            Planted(
                kind,
                generation,
                profile.cik,
                profile.symbols,
                row.statement or None,
                row.period_end,
                field,
                *values,
                note=note,
                timeframe=TTM if row.timeframe == "ttm" else row.timeframe,
            )
        )
    return planted


def _revenue(world: World, index: int, period_end: str) -> tuple[float | None, float | None]:
    """Return what v1 and v2 say of a quarter's revenue."""
    revenues: list[float | None] = []
    for generation, rows, field in (
        ("v1", world.v1_rows(index), "revenues"),
        ("v2", world.v2_rows(index, "income_statements"), "revenue"),
    ):
        wanted = [r for r in rows if r.period_end == period_end and r.timeframe == "quarterly"]
        revenues.append(
            value_of(wanted[-1], generation, "income_statements", field) if wanted else None
        )
    return revenues[0], revenues[1]


def _lacking(world: World, profile: Profile) -> list[Planted]:
    """Return the quarters that v1 has and v2 lacks, by statement."""
    planted = []
    have = {
        (statement, row.index)
        for statement in V2_STATEMENTS
        for row in world.v2_rows(profile.index, statement)
        if row.timeframe == "quarterly"
    }
    for row in world.v1_rows(profile.index):
        if row.timeframe != "quarterly":
            continue
        for statement in V2_STATEMENTS:
            if (statement, row.index) not in have:
                planted.append(
                    Planted(
                        "missing_period",
                        "v2",
                        profile.cik,
                        profile.symbols,
                        statement,
                        row.period_end,
                        note="v1 has the quarter, v2 does not",
                        timeframe="quarterly",
                    )
                )
    return planted
