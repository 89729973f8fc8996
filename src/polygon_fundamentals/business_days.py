"""Days in New York, and which of them are business days.

Business days are Monday to Friday without the federal holidays of the United States.
Fact: 5 U.S.C. 6103 names the days; one that falls on a Saturday is observed on the Friday
before, on a Sunday on the Monday after. The SEC takes filings on business days only.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
# A lake that got nothing new for longer is not being updated. A company that files the 10-Q of its
# third quarter and its 10-K on the last day, 45 and 90 days after the end, files nothing for 137.
STALE_DAYS = 140
_MONDAY, _THURSDAY = 0, 3
_FIXED = ((1, 1), (6, 19), (7, 4), (11, 11), (12, 25))
# (month, weekday, which of them; -1: the last)
_MOVING = (
    (1, _MONDAY, 3),
    (2, _MONDAY, 3),
    (5, _MONDAY, -1),
    (9, _MONDAY, 1),
    (10, _MONDAY, 2),
    (11, _THURSDAY, 4),
)
_JUNETEENTH_SINCE = 2021
_SINCE_1970 = re.compile(r"[1-9]\d{9}(?:\d{3}){0,3}(?:\.\d*)?")
_OF_HTTP = re.compile(r"[A-Z][a-z]{2}, ")


def today_in_new_york(now: datetime | None = None) -> date:
    """Return the present day in New York, where filings happen."""
    return (now or datetime.now(NEW_YORK)).astimezone(NEW_YORK).date()


def day_of(moment: datetime) -> date:
    """Return the day in New York on which something happened."""
    return moment.astimezone(NEW_YORK).date()


def start_of(day: date) -> datetime:
    """Return the moment at which a day begins in New York."""
    return datetime.combine(day, time(), NEW_YORK).astimezone(UTC)


def day_of_text(text: str) -> date:
    """Return the day that a text YYYY-MM-DD names.

    Raises:
        ValueError: it names none, or in another form, such as 2024-W22-5.
    """
    day = date.fromisoformat(text)
    if day.isoformat() != text:
        raise ValueError(f"{text!r} is not of the form YYYY-MM-DD")
    return day


def as_moment(said: str | datetime) -> datetime:
    """Return a timestamp from text or from a naive datetime.

    A text is in ISO form, a date as HTTP writes it, or seconds to nanoseconds since 1970, of which
    all days from 2001 on have 10, 13, 16 or 19 digits. Without a zone it is in UTC. A day without
    a time, which pandas writes with a midnight behind it, is a day in New York, since history
    counts those: in UTC it would count as the day before.

    Raises:
        ValueError: the text gives no moment.
    """
    moment = _read(said.strip()) if isinstance(said, str) else said
    if moment.tzinfo:
        return moment
    return start_of(moment.date()) if moment.time() == time() else moment.replace(tzinfo=UTC)


def _read(text: str) -> datetime:
    if _SINCE_1970.fullmatch(text):
        digits = len(text.partition(".")[0])
        return datetime.fromtimestamp(float(text) / 10 ** (digits - 10), UTC)
    return parsedate_to_datetime(text) if _OF_HTTP.match(text) else datetime.fromisoformat(text)


def _weekday_of_month(year: int, month: int, weekday: int, which: int) -> date:
    if which > 0:
        first = date(year, month, 1)
        return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (which - 1))
    last = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
    return last - timedelta(days=(last.weekday() - weekday) % 7)


def _observed(day: date) -> date:
    """Return the day on which a holiday with a fixed date is observed."""
    return day + timedelta(days={5: -1, 6: 1}.get(day.weekday(), 0))


@cache
def federal_holidays(year: int) -> frozenset[date]:
    """Return the days of a year on which a federal holiday is observed.

    New Year's Day of the next year may be observed on the last day of this one.
    """
    fixed = [date(year, month, day) for month, day in _FIXED] + [date(year + 1, 1, 1)]
    observed = [_observed(day) for day in fixed if day.month != 6 or year >= _JUNETEENTH_SINCE]
    moving = [_weekday_of_month(year, *rule) for rule in _MOVING]
    return frozenset(day for day in (*observed, *moving) if day.year == year)


def is_business_day(day: date) -> bool:
    """Return whether filings are taken on a day."""
    return day.weekday() < 5 and day not in federal_holidays(day.year)


def previous_business_day(day: date) -> date:
    """Return the last business day before `day`."""
    day -= timedelta(days=1)
    while not is_business_day(day):
        day -= timedelta(days=1)
    return day


def business_days_between(after: date, until: date) -> int:
    """Return how many business days lie after the first day, up to and with the last."""
    days = range(1, (until - after).days + 1)
    return sum(is_business_day(after + timedelta(days=n)) for n in days)


def streak(days: Collection[date], today: date) -> list[date]:
    """Return the last business days in a row that are all in `days`, oldest first.

    The row ends today, or on the business day before where today has not had its run yet.
    """
    day = today if is_business_day(today) and today in days else previous_business_day(today)
    row = []
    while day in days:
        row.append(day)
        day = previous_business_day(day)
    return row[::-1]


def missed_since(since: datetime, days: Collection[date], today: date) -> list[date]:
    """Return the business days after `since`'s day and before today that are not in `days`."""
    first = day_of(since)
    between = (first + timedelta(days=n) for n in range(1, (today - first).days))
    return [day for day in between if is_business_day(day) and day not in days]
