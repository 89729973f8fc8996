"""`--output-dir` of older users: which lake it stands for, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.__main__ import main
from flows.commands.output_dir import lake_of
from polygon_fundamentals.errors import UsageError


@pytest.mark.parametrize(
    ("given", "generation"),
    [
        ("lake", None),
        ("lake/bronze/fundamentals", None),
        ("lake/bronze/fundamentals/", "v2"),
        ("lake/bronze/fundamentals", "v1"),
        ("lake/bronze/fundamentals_v2", "v2"),
    ],
)
@pytest.mark.parametrize("there", [False, True])
def test_a_lake_or_the_folder_of_a_generation(
    given: str, generation: str | None, there: bool, tmp_path: Path
) -> None:
    if there:
        (tmp_path / "lake" / "bronze" / "fundamentals").mkdir(parents=True)
    assert lake_of(str(tmp_path / given), generation) == str(tmp_path / "lake")


def test_after_the_cutover_the_folder_of_v2_needs_no_option(tmp_path: Path) -> None:
    bronze = tmp_path / "bronze"
    (bronze / "fundamentals_v2").mkdir(parents=True)
    (bronze / "fundamentals").symlink_to("fundamentals_v2")
    assert lake_of(str(bronze / "fundamentals_v2"), None) == str(tmp_path)


@pytest.mark.parametrize(
    ("given", "generation", "reason"),
    [
        ("lake/bronze/fundamentals_v2", None, "would load v1: add --use-v2"),
        ("lake/bronze/fundamentals_v2", "v1", "would load v1: add --use-v2"),
        ("lake/bronze", "v2", "lies within the lake {lake}"),
        ("lake/bronze/fundamentals/balance_sheets", "v2", "lies within the lake {lake}"),
        ("lake/bronze/fundamentals_v1_archive", "v1", "lies within the lake {lake}"),
        ("lake/more", "v2", "lies within the lake {lake}"),
        ("elsewhere/bronze", "v2", "named like a part of one"),
        ("elsewhere/fundamentals_v2", "v2", "named like a part of one"),
        ("elsewhere/income_statements", "v2", "named like a part of one"),
        ("s3://bucket/lake", "v2", "not a folder"),
    ],
)
def test_what_would_nest_or_load_the_other_generation_is_refused(
    given: str, generation: str | None, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "lake" / "bronze" / "fundamentals").mkdir(parents=True)
    text = given if ":" in given else str(tmp_path / given)
    with pytest.raises(UsageError) as raised:
        lake_of(text, generation)
    assert reason.format(lake=tmp_path / "lake") in str(raised.value)


def test_beside_another_lake_it_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["fundamentals", "AAPL", "--use-v2", "--output-dir", str(tmp_path / "one")]
    assert main([*words, "--lake", str(tmp_path / "two")]) == 2
    assert "name two lakes; give one" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
