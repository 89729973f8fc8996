"""The numbers of a synthetic company: one set of facts that both generations are told from.

Every amount is a whole number of dollars and obeys the statements' identities by
construction: leaves are drawn, subtotals are sums, and one residual a statement closes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .companies import Profile
from .draws import Draw, Has, Ints, Leaf, optional_lines

_LEVELS_TEXT = """
cash sti rec oca inv prepaid ppe goodwill intang oa nc_prepaid ap wages int_payable
accrued debt_cur defrev ltd oncl mezz mezz_rni mezz_temp mezz_temp_parent nci_bs cs apic
pref_bs treasury aoci other_eq retained ta ca ca_v2 nca tl cl ncl te parent_eq cash_v1
rec_trade oca_v1 onca_v1 ltd_v1 oncl_v1 ocl_v1 liab_v1
"""
#: Facts that are a state at the period's end; all others are sums over the period.
LEVELS: frozenset[str] = frozenset(_LEVELS_TEXT.split())


@dataclass(frozen=True)
class Facts:
    """Facts by name for quarters, as whole dollars, with the weighted share counts."""

    quarterly: dict[str, Ints]
    shares_basic: Ints
    shares_diluted: Ints
    has: Has

    @cached_property
    def annual(self) -> dict[str, Ints]:
        """Facts of each fiscal year: sums of its quarters, states at its end."""
        return {
            name: values[3::4] if name in LEVELS else values.reshape(-1, 4).sum(axis=1)
            for name, values in self.quarterly.items()
        }

    @cached_property
    def ttm(self) -> dict[str, Ints]:
        """Facts of the twelve months to each quarter's end, the fourth quarter first."""
        facts = {}
        for name, values in self.quarterly.items():
            if name in LEVELS:
                facts[name] = values[3:]
            else:
                sums = np.concatenate(([0], np.cumsum(values)))
                facts[name] = sums[4:] - sums[:-4]
        return facts


def build_facts(profile: Profile, quarters: int, seed: int) -> Facts:
    """Draw the facts of the first `quarters` quarters (a multiple of four)."""
    has = optional_lines(profile, seed)
    draw = Draw(profile, quarters, seed)
    f: dict[str, Ints] = {}
    zero = np.zeros(quarters, dtype=np.int64)
    step = np.arange(quarters)
    season = np.array([0.96, 1.0, 0.98, 1.06])[step % 4]
    walk = np.cumsum(draw.next() - 0.48) * 0.01
    trend = profile.base * np.exp(profile.growth * step + walk) * season

    def leaf(share: float, swing: float = 0.1, line: str | None = None) -> Ints:
        amounts = draw.leaf(trend * share * (1 + swing * (2 * draw.next() - 1)))
        return amounts if line is None or has(line) else zero

    _balance(f, has, profile, leaf, zero)
    _income(f, has, profile, leaf, draw, zero)
    _cash_flow(f, has, profile, leaf, zero)
    _v1_lines(f, has, profile, zero)
    per_share = 5.0 if profile.base > 1e9 else 1.5
    count = profile.base / per_share * (1 - 0.002 * step) * (1 + 0.004 * (draw.next() - 0.5))
    basic = np.rint(count / 1000).astype(np.int64) * 1000
    diluted = np.rint(count * 1.012 / 1000).astype(np.int64) * 1000
    return Facts(f, basic, diluted, has)


def _balance(f: dict[str, Ints], has: Has, profile: Profile, leaf: Leaf, zero: Ints) -> None:
    big = {"bank": 12.0, "insurer": 6.0, "shell": 0.1}.get(profile.template, 1.0)
    f["cash"] = leaf(0.6 * big, 0.3)
    f["sti"] = leaf(0.4 * big, 0.3, "sti")
    f["rec_trade"] = leaf(0.5 * big)
    f["rec"] = f["rec_trade"] + leaf(0.1 * big)
    f["inv"] = leaf(0.45, 0.1, "inv")
    f["prepaid"] = leaf(0.03)
    f["oca"] = f["prepaid"] + leaf(0.12 * big)
    f["ppe"] = leaf(1.4)
    f["goodwill"] = leaf(0.8, 0.02, "goodwill")
    f["intang"] = leaf(0.4, 0.05, "intang")
    f["nc_prepaid"] = leaf(0.02)
    f["oa"] = f["nc_prepaid"] + leaf(0.5 * big, 0.05)
    f["ap"] = leaf(0.4 * big)
    f["int_payable"] = leaf(0.01)
    f["wages"] = leaf(0.08)
    f["accrued"] = f["wages"] + f["int_payable"] + leaf(0.25 * big)
    maturities = leaf(0.1 * big, 0.5, "debt")
    f["debt_cur"] = maturities + leaf(0.05, 0.5, "debt")
    f["defrev"] = leaf(0.15, 0.2, "defrev")
    f["ltd"] = leaf(0.9 * big, 0.05, "debt")
    f["oncl"] = leaf(0.3 * big, 0.05)
    f["mezz"] = leaf(0.12 if profile.template != "shell" else 0.15, 0.02, "mezz")
    f["nci_bs"] = leaf(0.06, 0.05, "nci")
    f["cs"] = leaf(0.02, 0.0)
    f["apic"] = leaf(0.5, 0.01, "apic")
    f["pref_bs"] = leaf(0.05, 0.0, "pref")
    f["treasury"] = leaf(0.4, 0.02, "treasury")
    f["aoci"] = leaf(-0.04, 0.5, "aoci")
    f["other_eq"] = zero
    f["ca"] = f["cash"] + f["sti"] + f["rec"] + f["inv"] + f["oca"]
    f["ca_v2"] = f["ca"] - f["sti"] if "securities_missing" in profile.roles else f["ca"]
    f["nca"] = f["ppe"] + f["goodwill"] + f["intang"] + f["oa"]
    f["ta"] = f["ca"] + f["nca"]
    f["cl"] = f["ap"] + f["debt_cur"] + f["defrev"] + f["accrued"]
    f["ncl"] = f["ltd"] + f["oncl"]
    f["tl"] = f["cl"] + f["ncl"]
    f["te"] = f["ta"] - f["tl"] - f["mezz"]
    f["parent_eq"] = f["te"] - f["nci_bs"]
    named = f["cs"] + f["apic"] + f["pref_bs"] - f["treasury"] + f["aoci"]
    f["retained"] = f["parent_eq"] - named
    f["ltd_v1"] = f["ltd"] + maturities


def _income(
    f: dict[str, Ints], has: Has, profile: Profile, leaf: Leaf, draw: Draw, zero: Ints
) -> None:
    bank = profile.template == "bank"
    if profile.template == "shell":
        f["rev"] = zero
    elif bank:
        f["bank_int_inc"] = leaf(0.7, 0.05)
        f["bank_non_inc"] = leaf(0.3, 0.05)
        f["rev"] = f["bank_int_inc"] + f["bank_non_inc"]
    else:
        f["rev"] = leaf(1.0, 0.03)
    f["cost"] = leaf(0.3 if bank else 0.58, 0.05, "cost")
    f["gross"] = f["rev"] - f["cost"]
    f["sga"] = leaf(0.004 if profile.template == "shell" else 0.15, 0.08, "sga")
    f["rd"] = leaf(0.07, 0.08, "rd")
    f["dda"] = leaf(0.03, 0.05, "dda")
    f["oop"] = leaf(0.62 if profile.template == "insurer" else 0.02, 0.4, "oop")
    if bank:
        f["bank_prov"] = leaf(0.04, 0.8)
        f["oop"] = f["bank_prov"] + leaf(0.12, 0.1)
    f["opex"] = f["sga"] + f["rd"] + f["dda"] + f["oop"]
    f["op"] = f["gross"] - f["opex"]
    f["ie"] = leaf(0.012, 0.3, "ie")
    f["ii"] = leaf(0.006, 0.5, "ii")
    f["eq"] = leaf(0.004, 2.0, "eq")
    f["oth"] = leaf(0.01, 2.0, "oth" if bank else None)
    f["tot"] = f["ii"] + f["eq"] + f["oth"] - f["ie"]
    f["pretax"] = f["op"] + f["tot"]
    f["tax"] = draw.leaf(f["pretax"] * 0.21) if has("tax") else zero
    f["tax_def"] = draw.leaf(f["tax"] * 0.15) if has("tax") else zero
    f["tax_cur"] = f["tax"] - f["tax_def"]
    f["disc"] = np.where(draw.next() < 0.3, leaf(-0.01, 2.0, "disc"), 0)
    f["after_tax"] = f["pretax"] - f["tax"]
    f["ni"] = f["after_tax"] + f["disc"]
    f["nci"] = draw.leaf(f["ni"] * 0.04) if has("nci") else zero
    f["pref"] = leaf(0.003, 0.0, "pref")
    f["parent_ni"] = f["ni"] - f["nci"]
    f["common"] = f["parent_ni"] - f["pref"]
    f["before_eq"] = f["pretax"] - f["eq"]
    f["oci"] = leaf(0.01, 2.5)
    f["ci"] = f["ni"] + f["oci"]
    f["ci_parent"] = f["ci"] - f["nci"]


def _cash_flow(f: dict[str, Ints], has: Has, profile: Profile, leaf: Leaf, zero: Ints) -> None:
    f["dda_cf"] = leaf(0.04, 0.05) if profile.template != "shell" else zero
    f["chg"] = leaf(0.02, 2.5)
    f["oth_opr"] = leaf(0.03, 0.5)
    f["cfo"] = f["ni"] + f["dda_cf"] - f["disc"] + f["chg"] + f["oth_opr"]
    f["cfo_d"] = leaf(-0.004, 2.0, "disc")
    f["cfo_c"] = f["cfo"] - f["cfo_d"]
    f["capex"] = leaf(0.06, 0.3) if profile.template not in ("bank", "shell") else zero
    f["sale_ppe"] = leaf(0.004, 0.9, "sale_ppe")
    f["oth_inv"] = leaf(-0.03, 1.5)
    f["cfi"] = f["oth_inv"] - f["capex"] + f["sale_ppe"]
    f["cfi_d"] = leaf(-0.002, 2.0, "disc")
    f["cfi_c"] = f["cfi"] - f["cfi_d"]
    f["ltd_flow"] = leaf(0.01, 3.0)
    f["std_flow"] = leaf(0.005, 3.0, "std_flow")
    f["div"] = leaf(0.03, 0.05, "div")
    f["nci_cash"] = leaf(0.003, 0.5, "nci_cash")
    f["fx"] = leaf(0.003, 3.0, "fx")
    f["adj"] = leaf(0.002, 3.0) if "cash_adjustments" in profile.roles else zero
    before = np.concatenate(([f["cash"][0] - f["cash"][0] % 1_000_000], f["cash"][:-1]))
    f["dcash"] = f["cash"] - before
    f["cff"] = f["dcash"] - f["cfo"] - f["cfi"] - f["fx"] - f["adj"]
    f["oth_fin"] = f["cff"] - f["ltd_flow"] - f["std_flow"] + f["div"] + f["nci_cash"]
    f["cff_d"] = zero
    f["cff_c"] = f["cff"]
    f["dcash_c"] = f["cfo_c"] + f["cfi_c"] + f["cff_c"]
    f["dcash_d"] = f["cfo_d"] + f["cfi_d"] + f["cff_d"]
    f["ebitda"] = f["op"] + f["dda_cf"]


def _v1_lines(f: dict[str, Ints], has: Has, profile: Profile, zero: Ints) -> None:
    """Add what only v1 tells: its residuals, whose meaning differs from v2's of that name."""
    bank = profile.template == "bank"
    f["zero"] = zero
    f["rev_v1"] = f["rev"] - f["cost"] + f["oth"] if bank else f["rev"]
    f["costs_v1"] = f["rev_v1"] - f["pretax"]
    include_cost = "v1_expenses_include_cost" in profile.roles
    f["opex_v1"] = f["opex"] + f["cost"] if include_cost else f["opex"]
    f["oop_v1"] = f["opex_v1"] - f["sga"] - f["rd"] - f["dda"]
    if bank:
        f["bank_nii"] = f["bank_int_inc"] - f["cost"]
        f["bank_nii_after"] = f["bank_nii"] - f["bank_prov"]
        f["bank_non_exp"] = f["opex"] - f["bank_prov"]
    f["ie_debt"] = f["ie"]
    f["cash_v1"] = f["cash"] + f["sti"]
    shown = f["inv"] + zero
    for name, line in (("cash_v1", "v1_cash"), ("rec_trade", "v1_rec"), ("prepaid", "v1_prepaid")):
        if has(line):
            shown = shown + f[name]
    f["oca_v1"] = f["ca"] - shown
    f["onca_v1"] = f["nca"] - f["ppe"] - f["intang"]
    if has("v1_nc_prepaid"):
        f["onca_v1"] = f["onca_v1"] - f["nc_prepaid"]
    f["liab_v1"] = -f["te"] if "v1_liabilities_imputed" in profile.roles else f["tl"]
    f["ocl_v1"] = f["cl"] - f["ap"]
    if has("wages"):
        f["ocl_v1"] = f["ocl_v1"] - f["wages"]
    if has("v1_int_payable"):
        f["ocl_v1"] = f["ocl_v1"] - f["int_payable"]
    f["oncl_v1"] = f["ncl"] - f["ltd_v1"]
    f["mezz_rni"] = f["mezz_temp"] = f["mezz_temp_parent"] = f["mezz"]
