"""Record the golden files anew: `python -m tests.contract.goldens_record`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from flows.runtime import quiet
from tests.contract.golden_values import options
from tests.contract.golden_world import GOLDENS, SCENARIOS, played


def write(name: str, content: Any) -> None:
    """Write a golden file."""
    text = json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True)
    (GOLDENS / f"{name}.json").write_text(text + "\n")


def main() -> None:
    """Write every golden file."""
    quiet.apply()
    from prefect.testing.utilities import prefect_test_harness

    write("options", options())
    with prefect_test_harness(server_startup_timeout=120):
        for scenario in SCENARIOS:
            with tempfile.TemporaryDirectory() as folder:
                for name, content in played(scenario, Path(folder)).items():
                    write(f"{scenario}_{name}", content)


if __name__ == "__main__":
    main()
