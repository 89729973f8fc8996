"""The fields of a record outside its statement's lines, in both generations."""

from __future__ import annotations

from polygon_fundamentals.field_map.entries import RecordField, Relation

RECORD_FIELDS: tuple[RecordField, ...] = (
    RecordField("cik", "cik", Relation.EXACT, "Ten digits, padded with zeros, in both."),
    RecordField(
        "tickers",
        "tickers",
        Relation.DEFINITION_DIFFERS,
        "v1: the filer's tickers. v2: every listed symbol of the CIK, units and warrants too; "
        "one symbol may lead to two companies.",
    ),
    RecordField(
        "end_date",
        "period_end",
        Relation.DEFINITION_DIFFERS,
        "The same day in recent records; v1's dates of 2009 and 2010 are off by days.",
    ),
    RecordField(
        "filing_date",
        "filing_date",
        Relation.DEFINITION_DIFFERS,
        "v1: the filing that the record came from, null on derived records. v2: the latest "
        "filing that repeated the period. Never a key.",
    ),
    RecordField(
        "fiscal_year",
        "fiscal_year",
        Relation.DEFINITION_DIFFERS,
        "Text in v1, a number in v2; v2's earliest records carry the later filing's year.",
    ),
    RecordField(
        "fiscal_period",
        "fiscal_quarter",
        Relation.DEFINITION_DIFFERS,
        "v1: Q1 to Q4, FY, TTM. v2: 1 to 4, and 4 on annual records: read it with the timeframe.",
    ),
    RecordField(
        "timeframe",
        "timeframe",
        Relation.DEFINITION_DIFFERS,
        "v1 says ttm, v2 trailing_twelve_months, and never for balance sheets.",
    ),
    RecordField("start_date", None, Relation.V1_ONLY, "The day after the previous period's end."),
    RecordField("company_name", None, Relation.V1_ONLY, "Served by /v3/reference/tickers."),
    RecordField("sic", None, Relation.V1_ONLY, "Served by the ticker details."),
    RecordField(
        "acceptance_datetime",
        None,
        Relation.V1_ONLY,
        "When EDGAR accepted the filing; v2 does not say.",
    ),
    RecordField("source_filing_url", None, Relation.V1_ONLY, ""),
    RecordField("source_filing_file_url", None, Relation.V1_ONLY, ""),
    RecordField("id", None, Relation.V1_ONLY, "Seen in answers of 2023 only."),
)
