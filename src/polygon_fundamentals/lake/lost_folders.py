"""What to run where folders of the lake are lost: not only unmounted, and in no backup."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from polygon_fundamentals.lake.paths import Dataset
from polygon_fundamentals.statements import Generation, Snapshot

# The lake may have no ticker left that a load could follow, so the commands name some.
_V1 = (
    "`polygon-fundamentals historical-load --generation v1 --universe all`, or `import-v1` where "
    "the API has retired v1"
)
_V2 = (
    "`polygon-fundamentals historical-load --generation v2 --universe active` (or `--tickers-file "
    "FILE`)"
)
_RATIOS = "`polygon-fundamentals ratios`, for the days to come"


def how_to_load_anew(datasets: Sequence[Dataset], make_folder: str = "") -> str:
    """Return the commands that load some datasets anew, as a sentence of a message.

    Their index must go first: a file that it lists and that is not there counts as damage.
    `make_folder` is a folder to be made, where a link leads to it.
    """
    indexes = [str(d.index_folder) for d in datasets if d.index_folder.is_dir()]
    first = [["mkdir", make_folder]] if make_folder else []
    first += [["rm", "-r", *indexes]] if indexes else []
    loads = dict.fromkeys(_load_of(dataset) for dataset in datasets)
    return (
        "If no backup has what is lost, load it anew: "
        f"{''.join(f'`{shlex.join(command)}`, ' for command in first)}then {'; '.join(loads)}"
    )


def _load_of(dataset: Dataset) -> str:
    if isinstance(dataset.statement, Snapshot):
        return _RATIOS
    return _V1 if dataset.generation is Generation.V1 else _V2
