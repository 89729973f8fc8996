"""Every parameter of every flow, declared once, as a frozen model for each flow.

Prefect's form (`flows.runs.takes`), the command line, its help and the checks are made of these
models. Nothing here imports Prefect, so that `--help` and wrong use answer at once.
"""

from flows.parameters.declaration import Flag, Parameters, flag_of
from flows.parameters.lake import (
    ExportParameters,
    ParityParameters,
    PublishParameters,
    SilverParameters,
    StatusParameters,
)
from flows.parameters.loads import (
    DailyUpdateParameters,
    FundamentalsParameters,
    HistoricalLoadParameters,
    RatiosParameters,
    RefreshParameters,
    ShardedLoadParameters,
)
from flows.parameters.shared import (
    BaseUrl,
    Day,
    GenerationChoice,
    LakeFolder,
    Statements,
    Tickers,
    TickersFile,
    Timeframes,
    Universe,
    Witness,
)
from flows.parameters.switch import (
    ChecklistParameters,
    CleanupParameters,
    CutoverParameters,
    DrillParameters,
    RestoreParameters,
    RollbackParameters,
    VerifyParameters,
)

__all__ = [
    "BaseUrl",
    "ChecklistParameters",
    "CleanupParameters",
    "CutoverParameters",
    "DailyUpdateParameters",
    "Day",
    "DrillParameters",
    "ExportParameters",
    "Flag",
    "FundamentalsParameters",
    "GenerationChoice",
    "HistoricalLoadParameters",
    "LakeFolder",
    "Parameters",
    "ParityParameters",
    "PublishParameters",
    "RatiosParameters",
    "RefreshParameters",
    "RestoreParameters",
    "RollbackParameters",
    "ShardedLoadParameters",
    "SilverParameters",
    "Statements",
    "StatusParameters",
    "Tickers",
    "TickersFile",
    "Timeframes",
    "Universe",
    "VerifyParameters",
    "Witness",
    "flag_of",
]
