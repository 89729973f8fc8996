"""`publish` as a user runs it: exit codes, the ledger, the status, and credentials."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prefect.blocks.system import Secret

from polygon_fundamentals import ledger, silver
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.silver import HISTORY_TABLE, TABLE
from polygon_fundamentals.statements import Generation
from polygon_fundamentals.status import check_status, gather
from tests.builders.commands import call, call_with_errors
from tests.builders.ledger import entry
from tests.builders.publishing import BUCKET, s3_server
from tests.cutover_world import fill, load_gone, load_later

HIDDEN = "s3cr3t-7Zq9-never-to-be-seen"


@pytest.mark.slow
def test_publish_twice_is_recorded_and_the_status_says_what_is_where(
    lake: Lake, tmp_path: Path
) -> None:
    fill(lake)
    where, to = ["--lake", str(lake.root)], ["--to", str(tmp_path / "tables")]
    code, report, errors = call_with_errors("publish", *to, *where)
    assert (code, report["error"]) == (
        4,
        "silver was not built yet; build it with `polygon-fundamentals silver`",
    )
    assert len(errors.strip().splitlines()) == 1
    assert call("silver", *where)[0] == 0
    code, report = call("publish", *to, *where, "--bronze")
    assert code == 0
    assert [t["table"] for t in report["tables"]][:2] == [TABLE, HISTORY_TABLE]
    assert len(report["tables"]) == 5
    assert all(t["committed"] for t in report["tables"])
    code, again = call("publish", *to, *where)
    assert (code, [t["committed"] for t in again["tables"]]) == (0, [False, False])
    entries = [e for e in ledger.read_entries(lake)[0] if e.flow == "publish"]
    assert [e.outcome for e in entries] == ["failed", "succeeded", "succeeded"]
    assert entries[1].content["published"]["build"] == report["build"]
    _, status = call("status", *where)
    (place,) = status["published"]
    assert place["to"] == str(tmp_path / "tables")
    assert (place["build"], place["behind"], place["failed"]) == (report["build"], None, None)
    (row,) = [r for r in status["rows"] if r["name"].startswith("published in")]
    assert (row["ok"], row["detail"]) == (True, f"build {report['build']}, 0 hours ago")
    # The folder is on a disk that is not mounted.
    (tmp_path / "tables").rename(tmp_path / "away")
    code, gone = call("publish", *to, *where)
    assert code == 3
    assert f"{TABLE} was published as version 0 and is not there" in gone["error"]
    assert not (tmp_path / "tables").exists()


@pytest.mark.slow
def test_a_build_that_is_not_published_is_shown_and_late_after_a_day_and_a_half(
    lake: Lake, tmp_path: Path
) -> None:
    fill(lake)
    where, to = ["--lake", str(lake.root)], ["--to", str(tmp_path / "tables")]
    call("silver", *where)
    _, report = call("publish", *to, *where)
    # On another day too: a single publish may have been a trial.
    before = {"started": "2026-07-01T05:00:00+00:00", "ended": "2026-07-01T05:01:00+00:00"}
    before |= {"outcome": "succeeded", "parameters": {"to": str(tmp_path / "tables")}}
    entry(lake, "before", flow="publish", published={"build": "b"}, **before)
    load_later(lake)
    build = silver.build(lake, Generation.V1)
    assert build.id != report["build"]
    # Four days have two weekdays or more.
    for age, ok in ((timedelta(), None), (timedelta(days=4), False)):
        figures = gather(lake, {}, now=datetime.now(UTC) + age)
        (row,) = [r for r in check_status(figures) if r.kind == "published"]
        assert row.ok is ok
        assert row.reason == (
            f"build {report['build']}, {f'{age.days} days' if age else '0 hours'} ago; "
            f"the lake's readers see {build.id}"
        )
        assert row.remedy == f"run `publish --to {tmp_path / 'tables'}`"
    # A run that fails is told until one succeeds.
    with exclusive(lake.lock("publish")):
        code, refused = call("publish", *to, *where)
    assert code == 4
    assert "the publishing of this lake is held by another run" in refused["error"]
    _, status = call("status", *where)
    (warning,) = [w for w in status["warnings"] if w.startswith("published in")]
    assert "the last run failed: the lock of the publishing of this lake" in warning


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "where to publish: give --to with a folder, s3://, gs:// or az://, or set"),
        (("--to", f"s3://key:{HIDDEN}@bucket/x"), "--to must not hold a user, a password"),
        (("--to", "t", "--keep-days", "0"), "--keep-days 0 is not 1 to 3650"),
        (("--to", "t", "--credentials-block", "no-such"), "there is no Secret block 'no-such'"),
    ],
)
def test_wrong_use_ends_with_two(
    lake: Lake, words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lake.root)
    code, report, errors = call_with_errors("publish", *words, "--lake", str(lake.root))
    assert code == 2
    assert said in report["error"]
    assert HIDDEN not in errors + json.dumps(report)


@pytest.mark.slow
def test_credentials_come_from_a_block_and_stand_nowhere(lake: Lake, tmp_path: Path) -> None:
    fill(lake)
    where = ["--lake", str(lake.root)]
    call("silver", *where)
    Secret(value={"AWS_ACCESS_KEY_ID": "a-key", "AWS_SECRET_ACCESS_KEY": HIDDEN}).save("shop")
    Secret(value=["no", "object"]).save("odd")
    to = ["--to", str(tmp_path / "tables")]
    code, report = call("publish", *to, "--credentials-block", "odd", *where)
    assert code == 2
    assert "must hold a JSON object of names and texts" in report["error"]
    code, report, errors = call_with_errors("publish", *to, "--credentials-block", "shop", *where)
    assert code == 0
    # A store that nobody answers for: what is said of it does not hold the key either.
    Secret(
        value=json.dumps(
            {
                "AWS_ACCESS_KEY_ID": "a-key",
                "AWS_SECRET_ACCESS_KEY": HIDDEN,
                "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
                "AWS_ALLOW_HTTP": "true",
                "max_retries": "0",
            }
        )
    ).save("nowhere")
    code, report, said = call_with_errors(
        "publish", "--to", "s3://bucket/x", "--credentials-block", "nowhere", *where
    )
    assert code == 3
    assert "s3://bucket/x/fundamentals_wide: the store does not answer" in report["error"]
    assert len(said.strip().splitlines()) == 1
    written = [p for folder in (lake.root, tmp_path) for p in folder.rglob("*") if p.is_file()]
    assert len(written) > 20
    assert [p for p in written if HIDDEN.encode() in p.read_bytes()] == []
    assert HIDDEN not in errors + said + json.dumps(report)


@pytest.mark.slow
def test_a_store_takes_its_credentials_from_the_environment_or_from_a_block(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(lake)
    where = ["--lake", str(lake.root)]
    call("silver", *where)
    store = tmp_path / "store"
    store.mkdir()
    with s3_server(store) as server:
        to = ["--to", f"s3://{BUCKET}/tables"]
        with monkeypatch.context() as patched:
            for name, value in server.options().items():
                patched.setenv(name, value)
            code, report = call("publish", *to, *where)
        assert (code, report["tables"][0]["version"]) == (0, 0)
        load_later(lake)
        call("silver", *where)
        Secret(value=server.options()).save("our-store")
        code, report = call("publish", *to, "--credentials-block", "our-store", *where)
        assert (code, report["tables"][0]["version"]) == (0, 1)
        Secret(value=server.options("guest")).save("a-guest")
        load_gone(lake)
        call("silver", *where)
        code, report, said = call_with_errors(
            "publish", *to, "--credentials-block", "a-guest", *where
        )
        assert code == 3
        assert "access is denied; readers of it still see the version before" in report["error"]
    written = [p for p in lake.root.rglob("*") if p.is_file()]
    assert [p for p in written if b"secret-7Zq9" in p.read_bytes()] == []
    assert "secret-7Zq9" not in said
