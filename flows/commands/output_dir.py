"""`--output-dir` of older users: a lake, or the folder of one generation in a lake."""

from __future__ import annotations

from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake.paths import POINTER, V1_ARCHIVE, V2_FOLDER, Lake
from polygon_fundamentals.places import BRONZE, is_lake, refuse_nested
from polygon_fundamentals.settings import lake_root
from polygon_fundamentals.statements import Generation, Statement

# A lake in a folder of such a name would lie in another one, or be mistaken for a part of one.
RESERVED = {BRONZE, POINTER, V2_FOLDER, V1_ARCHIVE, *(statement.value for statement in Statement)}


def lake_of(output_dir: str, generation: str | None) -> str:
    """Return the lake that an `--output-dir` stands for.

    Older scripts name `$BRONZE_DIR/fundamentals` or `$BRONZE_DIR/fundamentals_v2`, in which this
    command would make a lake of its own.

    Raises:
        UsageError: a lake would lie within another one or be named like a part of one, or the
            folder is the other generation's.
    """
    folder = lake_root(output_dir)
    if folder.parent.name == BRONZE and folder.name in (POINTER, V2_FOLDER):
        lake = folder.parent.parent
        if folder.name == V2_FOLDER and (generation or Lake(lake).primary) == Generation.V1:
            raise UsageError(
                f"--output-dir {output_dir} is the folder of v2, and this would load v1: add "
                f"--use-v2, or name the lake: --lake {lake}"
            )
        return str(lake)
    refuse_nested(folder)
    if folder.name in RESERVED and not is_lake(folder):
        raise UsageError(
            f"--output-dir {output_dir} would make a lake in a folder that is named like a part "
            f"of one: give the lake's own folder, such as --lake {folder.parent}, or "
            f"{folder.parent / BRONZE / V2_FOLDER}"
        )
    return str(folder)
