"""What is planted on request: a vendor's errors and restatements, from now on."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .company import TTM
from .planted import SECTIONS, Planted, counterpart, value_of
from .rows import Row, iso

if TYPE_CHECKING:
    from .world import World

#: Kinds that change a value of one line of one period.
VALUE_KINDS = frozenset(
    {"wrong_value", "within_tolerance", "missing_field", "flipped_sign", "scale", "restated"}
)
#: Kinds that take rows away, or give them another label.
ROW_KINDS = frozenset({"missing_ticker", "missing_period", "withdraw", "relabel"})


@dataclass(frozen=True)
class _Change:
    """A planted entry with what it does: a new value, or a new label."""

    planted: Planted
    value: float | None = None
    label: tuple[int, int] | None = None
    filed: str | None = None

    def concerns(self, row: Row, generation: str) -> bool:
        planted = self.planted
        if planted.generation != generation:
            return False
        if planted.kind == "missing_ticker":
            return True
        timeframe = TTM if row.timeframe == "ttm" else row.timeframe
        return planted.period_end == row.period_end and planted.timeframe == timeframe


class Plantings:
    """What was planted in a world on request, and how it changes the rows."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._by_company: dict[int, list[_Change]] = {}
        #: Bytes of content that rows have rendered and keep.
        self.rendered = 0

    def all(self) -> list[Planted]:
        """Return what was planted, in order for each company."""
        return [change.planted for group in self._by_company.values() for change in group]

    def restatements(self, index: int) -> list[tuple[Planted, str]]:
        """Return a company's planted restatements, each with the day of its filing."""
        changes = self._by_company.get(index, ())
        return [(c.planted, c.filed) for c in changes if c.filed and c.planted.generation == "v2"]

    def add(
        self,
        kind: str,
        *,
        generation: str = "v2",
        ticker: str | None = None,
        cik: str | None = None,
        statement: str = "",
        period_end: str | None = None,
        timeframe: str = "quarterly",
        field: str | None = None,
        value: float | None = None,
        fiscal_year: int | None = None,
        fiscal_quarter: int | None = None,
        note: str = "",
    ) -> Planted:
        """Plant something from now on and return it; what is not named is chosen.

        Kinds: wrong_value (`value`, else a tenth more), within_tolerance (0.40 more),
        missing_field, flipped_sign, scale (a thousandth), restated (as wrong_value, with
        today's filing date), missing_ticker (all rows of the company), missing_period and
        withdraw (a period of one statement, or of all if none is named), relabel
        (`fiscal_year`, `fiscal_quarter`; else the next year). ValueError where the kind, the
        company or the period is not there.
        """
        if kind not in VALUE_KINDS | ROW_KINDS:
            known = ", ".join(sorted(VALUE_KINDS | ROW_KINDS))
            raise ValueError(f"unknown kind {kind!r}; one of {known}")
        index = self._find(ticker, cik)
        profile = self._world.profiles[index]
        planted = Planted(kind, generation, profile.cik, profile.symbols, note=note)
        if kind == "missing_ticker":
            return self._keep(index, _Change(planted))
        timeframe = TTM if timeframe == "ttm" else timeframe
        if kind in VALUE_KINDS or kind == "relabel":
            statement = statement or "income_statements"
        row = self._row(index, generation, statement or "income_statements", timeframe, period_end)
        planted = replace(
            planted, statement=statement or None, period_end=row.period_end, timeframe=timeframe
        )
        if kind == "relabel":
            label = (fiscal_year or row.fiscal_year + 1, fiscal_quarter or row.fiscal_quarter)
            return self._keep(index, _Change(planted, label=label))
        if kind not in VALUE_KINDS:
            return self._keep(index, _Change(planted))
        if field is None:
            field = "revenue" if generation == "v2" else "revenues"
        old = value_of(row, generation, statement, field)
        if old is None:
            raise ValueError(f"{profile.cik} has no {field} in the period {row.period_end}")
        planted = replace(planted, field=field)
        filed = iso(self._world.today) if kind == "restated" else None
        new = _changed(kind, old, value)
        self._keep(index, _Change(planted, value=new, filed=filed))
        return self._with_values(index, statement, field)

    def _find(self, ticker: str | None, cik: str | None) -> int:
        world = self._world
        if cik is not None:
            if cik not in world.by_cik:
                raise ValueError(f"no company with CIK {cik}")
            return world.by_cik[cik]
        if ticker is not None:
            companies = world.by_v1_symbol.get(ticker) or world.by_v2_symbol.get(ticker)
            if not companies:
                raise ValueError(f"no company with the ticker {ticker}")
            return companies[0]
        plain = [p.index for p in world.profiles if not p.roles] or [0]
        return min(plain, key=lambda index: (len(self._by_company.get(index, ())), index))

    def _row(
        self, index: int, generation: str, statement: str, timeframe: str, period_end: str | None
    ) -> Row:
        world = self._world
        rows = world.v2_rows(index, statement) if generation == "v2" else world.v1_rows(index)
        wanted = [
            row
            for row in rows
            if (TTM if row.timeframe == "ttm" else row.timeframe) == timeframe
            and (row.period_end == period_end or (period_end is None and not row.variant))
        ]
        if not wanted:
            cik = world.profiles[index].cik
            raise ValueError(f"{generation} has no {timeframe} period {period_end} of {cik}")
        return wanted[-1] if period_end else wanted[len(wanted) // 2]

    def _with_values(self, index: int, statement: str, field: str) -> Planted:
        """Fill in what both generations say now, and keep that in the list."""
        change = self._by_company[index][-1]
        planted = change.planted
        other = "v1" if planted.generation == "v2" else "v2"
        said: dict[str, float | None] = {}
        for generation, name in (
            (planted.generation, field),
            (other, counterpart(statement, field, planted.generation)),
        ):
            try:
                row = self._row(
                    index, generation, statement, planted.timeframe or "", planted.period_end
                )
            except ValueError:
                continue
            if name is not None:
                said[generation] = value_of(row, generation, statement, name)
        planted = replace(planted, v1_value=said.get("v1"), v2_value=said.get("v2"))
        self._by_company[index][-1] = replace(change, planted=planted)
        return planted

    def _keep(self, index: int, change: _Change) -> Planted:
        self._by_company.setdefault(index, []).append(change)
        self._world.forget([index])
        return change.planted

    def select(self, rows: list[Row], generation: str) -> list[Row]:
        """Return the rows that are still served, with planted labels and filing dates."""
        if not rows or rows[0].owner.index not in self._by_company:
            return rows
        served = []
        for row in rows:
            changes = [
                change
                for change in self._by_company[row.owner.index]
                if change.concerns(row, generation)
                and change.planted.statement in (None, row.statement, *[""] * (not row.statement))
            ]
            whole = [c for c in changes if generation == "v2" or c.planted.statement is None]
            if any(c.planted.kind in ROW_KINDS - {"relabel"} for c in whole):
                continue
            for change in changes:
                if change.label:
                    row.fiscal_year, row.fiscal_quarter = change.label
                if change.filed:
                    row.filing_date = change.filed
            served.append(row)
        return served

    def revise_v1(self, row: Row, data: bytes) -> bytes:
        """Return a v1 record with what was planted in it."""
        self.rendered += len(data)
        changes = self._changes(row, "v1")
        if not changes:
            return data
        record = json.loads(data)
        for change in changes:
            planted = change.planted
            lines = record["financials"][SECTIONS[planted.statement or ""]]
            if planted.kind in ROW_KINDS:
                lines.clear()
            elif planted.kind == "missing_field":
                lines.pop(planted.field, None)
            elif planted.field in lines:
                lines[planted.field]["value"] = change.value
        return json.dumps(record, separators=(",", ":")).encode()

    def revise_v2(self, row: Row, data: bytes) -> bytes:
        """Return a v2 row with what was planted in it."""
        self.rendered += len(data)
        changes = [c for c in self._changes(row, "v2") if c.planted.statement == row.statement]
        changes = [c for c in changes if c.planted.field]
        if not changes:
            return data
        record = json.loads(data)
        for change in changes:
            field = change.planted.field or ""
            if change.planted.kind == "missing_field":
                record.pop(field, None)
            else:
                record[field] = change.value
        return json.dumps(record, separators=(",", ":")).encode()

    def _changes(self, row: Row, generation: str) -> list[_Change]:
        group = self._by_company.get(row.owner.index)
        if not group:
            return []
        return [c for c in group if c.planted.statement and c.concerns(row, generation)]


def _changed(kind: str, old: float, value: float | None) -> float | None:
    """Return what the line says once the kind is planted."""
    if kind == "missing_field":
        return None
    if value is not None:
        return value
    if kind == "within_tolerance":
        return round(old + 0.4, 2)
    if kind == "flipped_sign":
        return -old
    if kind == "scale":
        whole = isinstance(old, int) and old % 1000 == 0
        return old // 1000 if whole else old * 1000
    if isinstance(old, int):
        return old + max(1, abs(old) // 10)
    return round(old * 1.1 + 1, 2)
