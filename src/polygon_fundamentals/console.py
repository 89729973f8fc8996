"""The command `polygon-fundamentals`: `python -m flows` of the checkout, from any folder.

The flows are not part of the installed package: they stand beside it in the checkout, of which
this package is an editable installation (`make setup`).
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Run the command line of the checkout; return an exit code if the checkout is missing."""
    if not (ROOT / "flows" / "__main__.py").is_file():
        print(
            f"error: there are no flows beside {Path(__file__).parent}: polygon-fundamentals needs "
            "the project's checkout; clone it and run `make setup` there",
            file=sys.stderr,
        )
        return 2
    # First, as `python -m flows` in the checkout has it: relative paths stay the caller's.
    sys.path.insert(0, str(ROOT))
    runpy.run_module("flows", run_name="__main__")
    return 0
