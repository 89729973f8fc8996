"""What tests of EDGAR share: its settings, and a clock that only sleeping moves."""

from __future__ import annotations

from polygon_fundamentals.settings import EdgarSettings, load_edgar_settings


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def settings() -> EdgarSettings:
    """Return the settings of EDGAR that the environment gives."""
    found = load_edgar_settings()
    assert found is not None
    return found
