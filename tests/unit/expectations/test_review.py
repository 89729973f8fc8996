"""The rows that the review page shows of a large frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations import review

KINDS = ["restated", "rounding", "null_in_v2", "rounded_by_filer", "value_differs"]


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Values with many ties, some without a difference, and tallies; in parts of 100 rows."""
    folder, draws = tmp_path_factory.mktemp("frames"), np.random.default_rng(7)
    rows = 1_000
    texts = {name: draws.choice(["a", "b", "c"], rows) for name in review._TEXTS}
    texts["finding"] = draws.choice(KINDS, rows)
    texts["ticker"] = np.where(draws.random(rows) < 0.1, None, draws.choice(["T", "U"], rows))
    days = {name: pd.to_datetime(draws.integers(0, 9_000, rows), unit="D") for name in review._DAYS}
    values = pd.DataFrame({**texts, **days, "v1_value": draws.integers(-3, 4, rows) * 1.0})
    values["difference"] = np.where(
        draws.random(rows) < 0.2, np.nan, draws.choice([-2.0, -0.0, 0.0, 2.0, np.inf], rows)
    )
    values["v2_value"], values["count"] = values["v1_value"] + values["difference"], 1
    coded = pa.Table.from_pandas(values.drop(columns="accession"), preserve_index=False)
    for position, field in enumerate(coded.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            column = coded[field.name].cast(pa.string()).dictionary_encode()
            coded = coded.set_column(position, field.name, column)
    pq.write_table(
        coded.replace_schema_metadata(None), folder / "values.parquet", row_group_size=100
    )
    return folder


def test_rows_of_several_parts_come_in_the_order_asked_for(frames: Path) -> None:
    whole = pd.read_parquet(frames / "values.parquet")
    cases = np.random.default_rng(1).permutation(len(whole))[:250]
    shown = review._rows(frames / "values.parquet", cases)
    expected = whole.iloc[cases][list(shown.columns)].reset_index(drop=True)
    pd.testing.assert_frame_equal(shown, expected, check_categorical=False)
    assert len(review._rows(frames / "values.parquet", cases[:0])) == 0
