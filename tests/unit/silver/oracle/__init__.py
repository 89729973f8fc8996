"""The tables of past days as they were built before there was a history: what it must equal."""

from tests.unit.silver.oracle.table import wide_table

__all__ = ["wide_table"]
