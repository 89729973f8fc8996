"""What EDGAR's answers hold, as Arrow tables: facts of companyfacts, filings of submissions.

Kept are facts of the standard taxonomies and of periodic and current reports. Proxy statements and
prospectuses repeat single figures of several years out of their context, and are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec
import orjson
import pyarrow as pa

from polygon_fundamentals.datasets.schemas import DAY, TEXT
from polygon_fundamentals.errors import ContentError
from polygon_fundamentals.http.answers import JsonObject

TAXONOMIES = ("us-gaap", "ifrs-full", "srt")
QUARTERLY_FORMS = frozenset(("10-Q", "10-QT", "10-QSB"))
ANNUAL_FORMS = frozenset(("10-K", "10-KT", "10-K405", "10-KSB", "20-F", "40-F"))
PERIODIC_FORMS = QUARTERLY_FORMS | ANNUAL_FORMS
# 8-K: a fifth of all changed values got their last value by a recast statement in one.
_FACT_FORMS = PERIODIC_FORMS | {"8-K", "6-K"}
_TEXTS = pa.dictionary(pa.int32(), TEXT)

FACTS_SCHEMA = pa.schema(
    [
        pa.field("concept", _TEXTS),
        pa.field("unit", _TEXTS),
        pa.field("start", DAY),
        pa.field("end", DAY),
        pa.field("value", pa.float64()),
        pa.field("accession", _TEXTS),
        pa.field("form", _TEXTS),
        pa.field("filed", DAY),
    ]
)
FILINGS_SCHEMA = pa.schema(
    [
        pa.field("accession", TEXT),
        pa.field("form", TEXT),
        pa.field("filing_date", DAY),
        pa.field("report_date", DAY),
        pa.field("is_xbrl", pa.bool_()),
    ]
)


def without_amendment(form: str) -> str:
    """Return a form's name without the mark of an amendment."""
    return form.removesuffix("/A")


def read_facts(body: bytes, what: str) -> pa.Table:
    """Return the facts in a companyfacts answer, in `FACTS_SCHEMA`.

    Raises:
        ContentError: the answer is of another kind; `what` names it.
    """
    columns: dict[str, list[Any]] = {name: [] for name in FACTS_SCHEMA.names}
    try:
        document = orjson.loads(body)
        for concept, unit, fact in _facts(document["facts"]):
            start = fact.get("start")
            row = (
                concept,
                # How some filers spelled it in 2009.
                "USD/shares" if unit == "USD" and "EarningsPerShare" in concept else unit,
                None if start is None else date.fromisoformat(start),
                date.fromisoformat(fact["end"]),
                float(fact["val"]),
                fact["accn"],
                fact["form"],
                date.fromisoformat(fact["filed"]),
            )
            for name, value in zip(columns, row, strict=True):
                columns[name].append(value)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ContentError(f"{what} is not a companyfacts answer ({error!r})") from error
    return pa.table({f.name: pa.array(columns[f.name], f.type) for f in FACTS_SCHEMA})


def _facts(taxonomies: Mapping[str, Any]) -> Iterator[tuple[str, str, JsonObject]]:
    for taxonomy in TAXONOMIES:
        for tag, entry in taxonomies.get(taxonomy, {}).items():
            concept = f"{taxonomy}:{tag}"
            for unit, facts in entry["units"].items():
                for fact in facts:
                    if without_amendment(str(fact.get("form"))) in _FACT_FORMS:
                        yield concept, unit, fact


class OlderPage(msgspec.Struct, frozen=True):
    """A page of older filings that submissions name; it changes when filings move to it."""

    name: str
    count: int
    until: str


@dataclass(frozen=True)
class Head:
    """Who filed, and where the older filings are; empty for an older page."""

    name: str | None = None
    former_names: tuple[str, ...] = ()
    older_pages: tuple[OlderPage, ...] = ()


def read_filings(body: bytes, what: str) -> tuple[pa.Table, Head]:
    """Return the periodic reports in a submissions answer, in `FILINGS_SCHEMA`, and its head.

    Amendments are among them.

    Raises:
        ContentError: the answer is of another kind; `what` names it.
    """
    try:
        document = orjson.loads(body)
        lists = document["filings"]["recent"] if "filings" in document else document
        rows = [
            {
                "accession": accession,
                "form": form,
                "filing_date": date.fromisoformat(filed),
                # Empty where the filer gave none.
                "report_date": date.fromisoformat(report) if report else None,
                "is_xbrl": bool(xbrl),
            }
            for accession, form, filed, report, xbrl in zip(
                lists["accessionNumber"],
                lists["form"],
                lists["filingDate"],
                lists["reportDate"],
                lists["isXBRL"],
                strict=True,
            )
            if without_amendment(form) in PERIODIC_FORMS
        ]
        head = _head(document) if "filings" in document else Head()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ContentError(f"{what} is not a submissions answer ({error!r})") from error
    return pa.Table.from_pylist(rows, schema=FILINGS_SCHEMA), head


def _head(document: Mapping[str, Any]) -> Head:
    return Head(
        document.get("name"),
        tuple(str(former.get("name")) for former in document.get("formerNames") or ()),
        tuple(
            OlderPage(str(page["name"]), int(page["filingCount"]), str(page["filingTo"]))
            for page in document["filings"].get("files") or ()
        ),
    )
