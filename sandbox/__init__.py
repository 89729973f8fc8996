"""A local server that answers as both fundamentals APIs do, with synthetic companies.

    from sandbox import Sandbox

    with Sandbox(companies=60) as sandbox:
        print(sandbox.url, sandbox.tickers)

It holds its own literal lists of fields and signs, and imports nothing else of this project.
"""

from __future__ import annotations

from .core import Sandbox
from .faults import Faults
from .planted import Planted
from .server import ServedRequest

__all__ = ["Faults", "Planted", "Sandbox", "ServedRequest"]
