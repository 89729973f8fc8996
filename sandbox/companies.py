"""The roster: which synthetic companies there are, and what is odd about each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

_NAMES = """
Alder Basalt Cinder Dorado Ember Falcon Garnet Harbor Indigo Juniper Kestrel Larch
Marble Nimbus Ochre Pebble Quartz Raven Saffron Tundra Umber Vesper Willow Zephyr
"""
_WORDS = _NAMES.split()
_KINDS = ("Industries", "Holdings", "Technologies", "Stores", "Energy", "Foods", "Works")
#: Month of the fiscal year end, by share of companies.
_FISCAL_MONTHS = (12, 12, 12, 12, 12, 12, 9, 1, 5, 11)


@dataclass(frozen=True)
class Profile:
    """What stays fixed of one synthetic company.

    `symbols` are the ones that v2 lists, `v1_symbols` those that v1 knows it by. `splits`
    holds (first day, new shares for one old). `roles` are the planted oddities by name.
    """

    index: int
    cik: str
    name: str
    sic: str
    symbols: tuple[str, ...]
    v1_symbols: tuple[str, ...]
    template: str = "industrial"
    roles: frozenset[str] = frozenset()
    fiscal_month: int = 12
    week_based: bool = False
    unit: int = 1000
    base: float = 1e9
    growth: float = 0.01
    lag_quarter: int = 38
    lag_annual: int = 58
    splits: tuple[tuple[date, float], ...] = ()
    delisted: date | None = None
    renamed: date | None = None
    old_symbols: tuple[str, ...] = ()
    absent_style: str = "null"
    exponent_numbers: bool = False
    plain: bool = False


def generic_symbol(index: int) -> str:
    """Return the index-th ordinary symbol: four letters, the last always X."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return letters[index % 26] + letters[index // 26 % 26] + letters[index // 676 % 26] + "X"


# index: (roles, symbols, v1 symbols, other profile fields)
_Special = tuple[str, tuple[str, ...], tuple[str, ...] | None, dict[str, object]]
_D = date
SPECIALS: dict[int, _Special] = {
    0: ("trillion", (), None, {"base": 2.5e11, "unit": 1_000_000}),
    1: ("share_classes", ("SBX.A", "SBX.B"), None, {"base": 6e10, "unit": 1_000_000}),
    2: ("file_name", ("NAN",), None, {}),
    3: ("file_name", ("TRUE",), None, {"week_based": True}),
    4: ("file_name", ("CON",), None, {}),
    5: ("bank", (), None, {"template": "bank", "base": 4e10, "unit": 1_000_000}),
    6: ("bank bank_other_income", (), None, {"template": "bank", "base": 2e9}),
    7: ("insurer", (), None, {"template": "insurer", "base": 5e9}),
    8: ("share_classes units", ("SPQ", "SPQU", "SPQW"), None, {"template": "shell", "unit": 1}),
    9: ("shared_ticker", ("MUX",), None, {}),
    10: ("shared_ticker_other v2_only", ("MUX",), (), {"delisted": _D(2014, 6, 30)}),
    11: ("renamed_short_history", ("NEWX",), ("NEWX",), {"old_symbols": ("OLDX",)}),
    12: ("renamed", ("NEWY",), ("OLDY",), {"old_symbols": ("OLDY",)}),
    13: ("no_tickers_v2", (), None, {}),
    14: ("no_tickers_v1", (), None, {"unit": 1}),
    15: ("delisted", ("GONE",), None, {"delisted": _D(2019, 9, 30)}),
    16: ("delisted", ("LOST",), None, {"delisted": _D(2023, 3, 31)}),
    17: ("split", (), None, {"splits": ((_D(2021, 7, 20), 10.0),)}),
    18: ("split", (), None, {"splits": ((_D(2014, 6, 9), 7.0), (_D(2020, 8, 31), 4.0))}),
    19: ("split", (), None, {"splits": ((_D(2023, 5, 15), 0.1),)}),
    20: ("split_to_come", (), None, {}),
    21: ("rounded", (), None, {"base": 3e9}),
    22: ("rounded", (), None, {"base": 8e9, "fiscal_month": 9}),
    23: ("stray_year_end", (), None, {"week_based": True}),
    24: ("stray_year_end stray_comparative", (), None, {}),
    25: ("amended", (), None, {}),
    26: ("amended", (), None, {"fiscal_month": 6}),
    27: ("v2_lacks_period", (), None, {}),
    28: ("v2_lacks_statement", (), None, {}),
    29: ("v1_lacks_fourth", (), None, {}),
    30: ("v1_lacks_fourth", (), None, {"fiscal_month": 9}),
    31: ("v1_liabilities_imputed", (), None, {}),
    32: ("v1_expenses_include_cost", (), None, {"base": 1e11, "unit": 1_000_000}),
    33: ("retailer", (), None, {"fiscal_month": 1, "week_based": True}),
    34: ("early_dates_off", (), None, {"week_based": True}),
    35: ("markup_name", ("HTM",), None, {"name": '<b>Sons</b> & "Co" Sandbox'}),
    36: ("zero_filled", (), None, {"absent_style": "zero"}),
    37: ("keys_omitted", (), None, {"absent_style": "omit"}),
    38: ("securities_missing", (), None, {}),
    39: ("empty_row", (), None, {}),
    40: ("two_codes_v1", (), None, {}),
    41: ("late_filer", (), None, {}),
    42: ("broken_fourth_shares", (), None, {}),
    43: ("cash_adjustments", (), None, {}),
    44: ("restated_to_come", (), None, {}),
    45: ("restated_to_come", (), None, {"fiscal_month": 3}),
}


def _plain(index: int, seed: int, plain_only: bool) -> Profile:
    rng = np.random.default_rng([seed, index, 1])
    u = rng.random(12)
    symbol = generic_symbol(index)
    word = _WORDS[index % len(_WORDS)]
    kind = _KINDS[index // len(_WORDS) % len(_KINDS)]
    base = float(10 ** (7.7 + 2.6 * u[3]))
    profile = Profile(
        index=index,
        cik=f"{9_000_000 + index:010d}",
        name=f"Sandbox {word} {kind} {index:04d} Inc.",
        sic=str(1000 + int(u[0] * 7999)),
        symbols=(symbol,),
        v1_symbols=(symbol,),
        fiscal_month=_FISCAL_MONTHS[int(u[1] * len(_FISCAL_MONTHS))],
        unit=1_000_000 if base > 3e9 and u[2] > 0.5 else (1, 1000)[int(u[2] * 3) > 0],
        base=base,
        growth=0.035 * (u[4] - 0.2),
        lag_quarter=26 + int(u[5] * 18),
        lag_annual=48 + int(u[6] * 20),
    )
    if plain_only:
        return replace(profile, plain=True)
    roles = set()
    splits: tuple[tuple[date, float], ...] = ()
    if u[7] < 0.06:
        ratio = (2.0, 3.0, 4.0, 5.0, 0.1)[int(u[8] * 5)]
        splits = ((date(2012, 3, 5) + timedelta(days=int(u[9] * 5000)), ratio),)
        roles.add("split")
    elif u[7] < 0.10 and profile.unit < 1_000_000 and profile.base > 5e8:
        roles.add("rounded")
    elif u[7] < 0.12:
        roles.add("stray_year_end")
    elif u[7] < 0.16 and index >= 60:
        gone = date(2012, 6, 30) + timedelta(days=int(u[8] * 4600))
        return replace(profile, roles=frozenset({"delisted"}), delisted=gone)
    if u[10] < 0.3:
        roles.add("v1_fourth_gaps")
    return replace(
        profile,
        roles=frozenset(roles),
        splits=splits,
        week_based=bool(u[9] < 0.12),
        absent_style=("null", "null", "zero", "omit")[int(u[11] * 4)],
        exponent_numbers=index % 4 == 3,
    )


def build_roster(count: int, seed: int, quirks: bool, today: date) -> list[Profile]:
    """Return `count` profiles; the same arguments give the same ones.

    `today` places the oddities that are still to come and the latest rename.
    """
    roster = []
    for index in range(count):
        profile = _plain(index, seed, plain_only=not quirks)
        if quirks and index in SPECIALS:
            profile = _special(profile, today)
        roster.append(profile)
    return roster


def _special(profile: Profile, today: date) -> Profile:
    roles, symbols, v1_symbols, fields = SPECIALS[profile.index]
    changes: dict[str, object] = {
        "roles": frozenset(roles.split()),
        "splits": (),
        "delisted": None,
        "unit": 1000,
        "base": max(profile.base, 4e8),
        "fiscal_month": 12,
        "week_based": False,
        **fields,
    }
    if symbols:
        changes["symbols"] = symbols
        changes["v1_symbols"] = symbols if v1_symbols is None else v1_symbols
    if "split_to_come" in roles:
        changes["splits"] = ((today + timedelta(days=9), 3.0),)
    if "renamed" in roles:
        changes["renamed"] = today - timedelta(days=500 if "short" in roles else 120)
    return replace(profile, **changes)  # type: ignore[arg-type]
