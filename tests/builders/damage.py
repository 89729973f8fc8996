"""Damage to files, as a disk does it."""

from __future__ import annotations

import os
from pathlib import Path


def flip_a_bit(path: Path, place: int | None = None, bit: int = 1) -> None:
    """Change one bit of a byte of a file, and leave its size and time as they are."""
    stat, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) // 2 if place is None else place] ^= bit
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
