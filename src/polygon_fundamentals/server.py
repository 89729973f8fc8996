"""The names under which a Prefect server holds what the runs and a deploy share."""

from __future__ import annotations

import re

# The tag of every deployment of ours; others in the workspace are left alone.
TAG = "polygon-fundamentals"
# The global concurrency limit that counts requests.
LIMIT_NAME = "polygon-api"
# The Secret block of the API key.
SECRET_BLOCK = "polygon-api-key"
# The variable in which a cutover notes the deployments whose schedules it switched, → active.
SWITCHED = "polygon_fundamentals_switched"
# The variable that notes which schedules were to be active at the last deploy or switch.
LAST_SCHEDULES = "polygon_fundamentals_schedules"
# The tag of the deployments that `cleanup` took out of service.
RETIRED_TAG = "retired"
# The tag of the deployments that compare both generations.
PARITY_TAG = "parity"
# The deployment whose runs are the shards of a sharded load.
SHARD_DEPLOYMENT = "historical-load/history-shard"


def schedule_key(deployment: str, slug: str) -> str:
    """Return the name of a schedule in the variable `LAST_SCHEDULES`."""
    return f"{deployment}/{slug}"


def without_credentials(text: str) -> str:
    """Return a text without the user and password of any address in it."""
    return re.sub(r"://[^/@\s]*@", "://", text)
