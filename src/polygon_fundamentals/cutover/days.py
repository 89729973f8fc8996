"""Business days: weekdays without the federal holidays of the United States."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")


def day_of(moment: datetime) -> date:
    """Return the day in New York on which something happened."""
    return moment.astimezone(NEW_YORK).date()


def business_days(first: date, last: date) -> list[date]:
    """Return the business days from `first` to `last`, both included."""
    if last < first:
        return []
    # Imported here: pandas takes half a second, and most commands never count days.
    import pandas as pd
    from pandas.tseries.holiday import USFederalHolidayCalendar

    holidays = USFederalHolidayCalendar().holidays(pd.Timestamp(first), pd.Timestamp(last))
    days = pd.bdate_range(pd.Timestamp(first), pd.Timestamp(last)).difference(holidays)
    return [day.date() for day in days]


def streak(days: Iterable[date], today: date) -> list[date]:
    """Return the last business days in a row that are all in `days`, oldest first.

    The row ends today, or on the business day before where today has not had its run yet.
    """
    known = set(days)
    if not known:
        return []
    row: list[date] = []
    for day in reversed(business_days(min(known), today)):
        if day in known:
            row.append(day)
        elif row or day != today:
            break
    return row[::-1]


def missed_since(since: datetime, days: Sequence[date], today: date) -> list[date]:
    """Return the business days after `since`'s day and before today that are not in `days`."""
    first = day_of(since) + timedelta(days=1)
    known = set(days)
    return [d for d in business_days(first, today - timedelta(days=1)) if d not in known]
