"""The commands of `python -m flows`, by group, in the order in which `--help` lists them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flows.commands import (
    accept,
    demo,
    deploy,
    import_v1,
    inspect,
    loads,
    parity,
    rehearse,
    sandbox,
    serve,
    serve_v1,
    silver,
    status,
    switch,
)
from flows.commands.run import here
from flows.parameters.declaration import Parameters
from flows.parameters.lake import PublishParameters
from flows.parameters.loads import DailyUpdateParameters, RatiosParameters, RefreshParameters
from flows.parameters.switch import (
    CleanupParameters,
    CutoverParameters,
    DrillParameters,
    RestoreParameters,
    RollbackParameters,
    VerifyParameters,
)

COMMON = ("--base-url", "--json", "--verbose")


@dataclass(frozen=True)
class Command:
    """One command: what it does, its parameters, and what it runs.

    `run` is called with the parameters and whether `--json` was given. `shared` are the options
    beside the parameters' own. An example is what follows the program's name.
    """

    summary: str
    parameters: type[Parameters]
    run: Callable[[Any, bool], int]
    examples: tuple[str, ...]
    shared: tuple[str, ...] = COMMON


GROUPS: dict[str, dict[str, Command]] = {
    "try it": {
        "demo": Command(
            "run the whole migration once, on a local stand-in for the API and in its own lake",
            demo.DemoParameters,
            demo.run,
            ("demo",),
            (),
        ),
        "sandbox": Command(
            "serve the local stand-in for the API, with synthetic companies",
            sandbox.SandboxParameters,
            sandbox.run,
            ("sandbox --companies 20 --faults 429=.05,reset=.03",),
            (),
        ),
    },
    "look first": {
        "inspect": Command(
            "report what a lake of v1 holds, whoever wrote it, and what to do (only reads)",
            inspect.InspectParameters,
            inspect.run,
            ("inspect --lake /data/lake",),
            ("--json",),
        ),
    },
    "load": {
        "fundamentals": Command(
            "load some tickers once, from the generation that readers see by default",
            loads.FundamentalsCommand,
            loads.fundamentals,
            (
                "fundamentals AAPL --use-v2 --filing-date-gte 2024-01-01",
                "fundamentals --cik 320193 --use-v2 --timeframe annual",
            ),
        ),
        "historical-load": Command(
            "load all history of the given tickers, or of those in the lake",
            loads.HistoricalLoadCommand,
            loads.historical,
            (
                "historical-load --generation v2 --tickers AAPL,MSFT --from 2010-01-01",
                "historical-load --generation v2 --tickers-file tickers.txt",
                "historical-load --generation v2",
                "historical-load --generation v2 --universe active --shards 8",
                "historical-load --generation v2 --tickers AAPL --original-dates",
            ),
        ),
        "daily-update": Command(
            "load what was filed in the last days, both generations side by side by default",
            DailyUpdateParameters,
            loads.daily,
            (
                "daily-update --generation v2 --days-back 7",
                "daily-update --generation v2 --universe active",
            ),
        ),
        "ratios": Command(
            "load the vendor's ratios of the last trading day (run daily)",
            RatiosParameters,
            loads.ratios,
            ("ratios", "ratios --universe active"),
        ),
        "refresh": Command(
            "read all of v2 again and withdraw what is gone (run weekly)",
            RefreshParameters,
            loads.refresh,
            ("refresh",),
        ),
        "import-v1": Command(
            "store recordings of v1's answers in the lake",
            import_v1.ImportV1Parameters,
            import_v1.run,
            ("import-v1 recordings/", "import-v1 pages/*.json.gz --as-recorded 2026-09-30"),
            ("--json",),
        ),
    },
    "compare": {
        "parity": Command(
            "compare both generations value by value, run the rules, build the data docs",
            parity.ParityCommand,
            parity.parity,
            (
                "parity",
                "parity --sample 100 --seed 1",
                "parity --tickers AAPL,MSFT",
                "parity --witness edgar",
            ),
        ),
        "accept": Command(
            "accept differences of the last parity report, with a reason",
            accept.AcceptParameters,
            accept.run,
            (
                "accept restated --ticker AAPL --period 2024-12-28 --field revenue "
                "--reason 'the 10-Q/A corrects it' --by 'Ada Lovelace'",
                "accept --from-report values.csv --by 'Ada Lovelace'",
            ),
            ("--json",),
        ),
    },
    "switch": {
        "checklist": Command(
            "show which conditions for the cutover are met",
            switch.ChecklistCommand,
            switch.checklist,
            ("checklist", "checklist --record-checksums"),
        ),
        "sign-off": Command(
            "sign off an item of the checklist",
            switch.SignOffParameters,
            switch.sign_off,
            ("sign-off training --by 'Ada Lovelace'", "sign-off parity --by 'Ada Lovelace'"),
        ),
        "rehearse": Command(
            "copy the lake, and let days pass in the copy",
            rehearse.RehearseParameters,
            rehearse.run,
            ("rehearse --lake /data/lake --copy /tmp/copy", "rehearse --lake /tmp/copy --days 90"),
            ("--json",),
        ),
        "drill": Command(
            "carry out cutover and rollback on a hard-linked copy, and time them",
            DrillParameters,
            here("flows.drill.drill"),
            ("drill",),
        ),
        "cutover": Command(
            "switch readers to v2 (prints the plan; --execute carries it out)",
            CutoverParameters,
            here("flows.cutover.cutover"),
            ("cutover", "cutover --execute"),
        ),
        "rollback": Command(
            "switch readers back to v1 (prints the plan; --execute carries it out)",
            RollbackParameters,
            here("flows.rollback.rollback"),
            ("rollback", "rollback --execute", "rollback --delayed --execute"),
        ),
        "cleanup": Command(
            "retire v1's deployments, archive and remove its data (prints the plan; --execute "
            "carries it out)",
            CleanupParameters,
            here("flows.cleanup.cleanup"),
            ("cleanup", "cleanup --execute --script /opt/jobs/fundamentals.py"),
        ),
        "restore": Command(
            "bring v1's data back from its archive (prints the plan; --execute carries it out)",
            RestoreParameters,
            here("flows.cleanup.restore"),
            ("restore", "restore --execute", "restore --adopted"),
        ),
    },
    "serve readers": {
        "silver": Command(
            "build the silver tables from the generation that readers see",
            silver.SilverCommand,
            silver.silver,
            ("silver", "silver --as-of 2024-05-31", "silver --task-runner processes"),
        ),
        "publish": Command(
            "publish silver as Delta Lake tables in a folder or an object store",
            PublishParameters,
            silver.publish,
            ("publish --to s3://bucket/fundamentals", "publish --to /mnt/share/delta --bronze"),
            ("--json", "--verbose"),
        ),
        "export": Command(
            "write records in v1's nested form, for readers that cannot change yet",
            silver.ExportCommand,
            silver.export,
            (
                "export --shape v1 --statement balance_sheets --ticker AAPL",
                "export --shape v1 --continue-v1 --output /data/as_v1",
            ),
        ),
        "serve-v1": Command(
            "answer v1's API from the lake, for programs that still call it",
            serve_v1.ServeV1Parameters,
            serve_v1.run,
            ("serve-v1 --port 8080", "serve-v1 --as-of 2024-05-31 --only v1"),
            (),
        ),
    },
    "operate": {
        "status": Command(
            "show both pipelines side by side, and what is wrong",
            status.StatusCommand,
            status.run,
            ("status", "status --watch", "status --html status.html"),
        ),
        "verify": Command(
            "compare every file of the lake with its recorded checksum (run weekly)",
            VerifyParameters,
            here("flows.verify.verify", switch.verify_lines),
            ("verify",),
        ),
        "deploy": Command(
            "create or update everything in prefect.yaml on the configured Prefect server",
            deploy.DeployParameters,
            deploy.run,
            ("deploy --plan", "deploy"),
            ("--json",),
        ),
        "serve": Command(
            "run a Prefect server, a worker and the schedules on this machine until Ctrl-C",
            serve.ServeParameters,
            serve.run,
            ("serve", "serve --port 4201"),
            (),
        ),
    },
}
COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}
