"""Keys, plans, bad queries, retirement and allowances: each error as the vendor sends it."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
import requests

from sandbox import Sandbox

V1 = "/vX/reference/financials"
INCOME = "/stocks/financials/v1/income-statements"
TICKERS = "/v3/reference/tickers"
FILINGS = "/stocks/filings/vX/index"
HEADERS = {"Authorization": "Bearer sandbox-key"}


def _small(**options: Any) -> Sandbox:
    return Sandbox(**{"companies": 3, "start": date(2025, 1, 1), "quirks": False, **options})


def _get(
    sandbox: Sandbox, path: str, params: dict[str, str] | None = None, key: bool = True
) -> requests.Response:
    return requests.get(sandbox.url + path, params, headers=HEADERS if key else None, timeout=10)


def test_keys() -> None:
    with _small() as sandbox:
        assert _get(sandbox, INCOME).status_code == 200
        assert _get(sandbox, INCOME, {"apiKey": "sandbox-key"}, key=False).status_code == 200
        for params in (None, {"apiKey": "other"}):
            answer = _get(sandbox, INCOME, params, key=False)
            assert answer.status_code == 401
            body = answer.json()
            body.pop("request_id")
            assert body == {"status": "ERROR", "error": "Unknown API Key"}
        following = _get(sandbox, INCOME, {"limit": "1", "apiKey": "sandbox-key"}, key=False)
        assert "sandbox-key" not in following.text
    with _small(api_key=None) as open_house:
        assert _get(open_house, INCOME, key=False).status_code == 200


BAD_QUERIES = [
    (V1, {"limit": "101"}),
    (V1, {"limit": "0"}),
    (V1, {"limit": "ten"}),
    (V1, {"filing_date.gte": "2024-13-01"}),
    (V1, {"period_of_report_date": "yesterday"}),
    (V1, {"timeframe": "monthly"}),
    (V1, {"timeframe": "trailing_twelve_months"}),
    (V1, {"sort": "company_name"}),
    (V1, {"order": "up"}),
    (V1, {"cursor": "%%%"}),
    (INCOME, {"limit": "50001"}),
    (INCOME, {"limit": "-1"}),
    (INCOME, {"period_end": "20240331"}),
    (INCOME, {"filing_date.lt": "2024-02-30"}),
    (INCOME, {"fiscal_year": "last"}),
    (INCOME, {"timeframe": "ttm"}),
    (INCOME, {"timeframe.any_of": "annual,monthly"}),
    (INCOME, {"sort": "nope.asc"}),
    (INCOME, {"sort": "period_end.sideways"}),
    (TICKERS, {"limit": "1001"}),
    (TICKERS, {"active": "maybe"}),
    (FILINGS, {"limit": "10001"}),
    (FILINGS, {"filing_date": "soon"}),
]


def test_bad_queries() -> None:
    with _small() as sandbox:
        for path, params in BAD_QUERIES:
            answer = _get(sandbox, path, params)
            assert answer.status_code == 400, (path, params)
            body = answer.json()
            assert set(body) == {"status", "request_id", "error"}
            assert body["status"] == "ERROR"
            name = next(iter(params)).split(".")[0]
            assert body["error"].startswith(("sort", name)), body["error"]


def test_largest_limits_are_accepted() -> None:
    with _small() as sandbox:
        for path, limit in ((V1, 100), (INCOME, 50_000), (TICKERS, 1000), (FILINGS, 10_000)):
            assert _get(sandbox, path, {"limit": str(limit)}).status_code == 200


@pytest.mark.parametrize(
    ("entitled", "statuses"), [(("v1",), (200, 403, 200)), (("v2",), (403, 200, 200))]
)
def test_a_plan_covers_what_it_covers(
    entitled: tuple[str, ...], statuses: tuple[int, int, int]
) -> None:
    with _small(entitled=entitled) as sandbox:
        answers = [_get(sandbox, path) for path in (V1, INCOME, TICKERS)]
        assert tuple(answer.status_code for answer in answers) == statuses
        refused = next(answer.json() for answer in answers if answer.status_code == 403)
        assert refused["status"] == "NOT_AUTHORIZED"
        assert refused["message"].startswith("You are not entitled to this data.")


def test_an_unknown_path() -> None:
    with _small() as sandbox:
        answer = _get(sandbox, "/stocks/financials/v2/income-statements")
        assert answer.status_code == 404
        assert answer.json()["status"] == "NOT_FOUND"
        assert "message" in answer.json()


def test_no_sunset_no_headers() -> None:
    with _small() as sandbox:
        assert "Sunset" not in _get(sandbox, V1).headers


def test_a_sunset_ahead_is_announced_by_v1_alone() -> None:
    with _small(v1_sunset=date(2026, 10, 9)) as sandbox:
        headers = _get(sandbox, V1).headers
        assert headers["Deprecation"] == "true"
        assert headers["Sunset"] == "Fri, 09 Oct 2026 00:00:00 GMT"
        assert 'rel="successor-version"' in headers["Link"]
        assert "Sunset" not in _get(sandbox, INCOME).headers


def test_brownouts_come_and_go() -> None:
    with _small(v1_sunset=date(2099, 10, 9), v1_brownout=0.4) as sandbox:
        answers = [_get(sandbox, V1) for _ in range(40)]
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) == {200, 410}
        gone = answers[statuses.index(410)]
        assert gone.headers["Sunset"] == "Fri, 09 Oct 2099 00:00:00 GMT"
        assert _get(sandbox, INCOME).status_code == 200


def test_v1_is_gone_for_good_once_the_clock_reaches_its_sunset() -> None:
    with _small(v1_sunset=date(2026, 7, 3)) as sandbox:
        assert _get(sandbox, V1).status_code == 200
        sandbox.advance(2)
        assert {_get(sandbox, V1).status_code for _ in range(5)} == {410}


def test_retired_v1_names_a_sunset_in_the_past() -> None:
    with _small(v1_retired=True) as sandbox:
        answer = _get(sandbox, V1)
        assert answer.status_code == 410
        assert answer.json()["status"] == "ERROR"
        assert answer.headers["Sunset"].endswith("GMT")
        assert sandbox.rows("v1"), "what it held can still be looked at"


def test_allowance_per_minute() -> None:
    with _small(requests_per_minute=3) as sandbox:
        statuses = [_get(sandbox, INCOME).status_code for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        assert [request.status for request in sandbox.requests] == statuses


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="companies"):
        Sandbox(companies=0)
    with pytest.raises(ValueError, match="start"):
        Sandbox(start=date(2027, 1, 1))
    with pytest.raises(RuntimeError, match="not running"):
        _ = Sandbox(companies=1).url
    with pytest.raises(ValueError, match="generation"):
        Sandbox(companies=1).rows("v3")
    with pytest.raises(ValueError, match="clock"):
        Sandbox(companies=1).advance(-1)
