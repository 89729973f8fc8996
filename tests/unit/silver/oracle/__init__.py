"""The tables of past days as they were built before there was a history: what it must equal.

It stays, for the slow tests: it decides day by day, without a span or a cut, so that it shares no
reasoning about time with the history but the days themselves (`silver.known_dates`).
"""

from tests.unit.silver.oracle.table import wide_table

__all__ = ["wide_table"]
