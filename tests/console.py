"""The installed command `polygon-fundamentals` in tests, and the environment that cron gives."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAME = "polygon-fundamentals"


def installed(folder: Path) -> Path:
    """Return the command beside this Python; where it is not installed, one as pip writes it."""
    script = Path(sys.executable).with_name(NAME)
    if script.exists():
        return script
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, function = project["scripts"][NAME].split(":")
    script = folder / NAME
    script.write_text(
        f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\n"
        f"if __name__ == '__main__':\n    sys.exit({function}())\n",
        encoding="utf-8",
    )
    script.chmod(0o755)
    return script


def from_cron(
    line: str, home: Path, environment: Mapping[str, str], cwd: Path = Path("/")
) -> subprocess.CompletedProcess[str]:
    """Run a line as cron does: /bin/sh, its few variables, no terminal; `environment` beside."""
    folder = home / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    path = f"{installed(folder).parent}:/usr/bin:/bin"
    plain = {"HOME": str(home), "LOGNAME": "lake", "SHELL": "/bin/sh", "PATH": path}
    return subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=cwd,
        env={**plain, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
