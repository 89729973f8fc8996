"""The command `serve-v1`: v1's API from the lake, for programs that still call it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from flows.parameters.declaration import Flag, Parameters
from flows.parameters.shared import Day, LakeFolder
from polygon_fundamentals.business_days import today_in_new_york
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.settings import existing_lake_root, reader_keys


class ServeV1Parameters(Parameters):
    """Where to listen, and what to serve of the lake."""

    host: Annotated[str, Flag(help="address to listen on")] = "127.0.0.1"
    port: Annotated[
        int,
        Field(ge=0, le=65_535),
        Flag(metavar="N", help="port to listen on", unset="8080; 0: any free one"),
    ] = 8080
    as_of: Annotated[
        Day,
        Flag(metavar="DAY", help="serve what was known at the end of that day, which must be over"),
    ] = None
    differing: Annotated[
        bool,
        Flag(
            help="also serve revenues, earnings per share and other fields that v2 defines "
            "differently"
        ),
    ] = False
    only: Annotated[Literal["v1"] | None, Flag(help="serve v1's own records only")] = None
    public_url: Annotated[
        str | None,
        Flag(
            metavar="URL",
            help="address for next_url, if a proxy is in front of the server",
            unset="that of the request",
        ),
    ] = None
    lake: LakeFolder = None

    @model_validator(mode="after")
    def _check_day(self) -> Self:
        today = today_in_new_york()
        if self.as_of is not None and self.as_of >= today:
            raise UsageError(
                f"--as-of {self.as_of} is not over: today is {today} in New York; give an earlier "
                "day"
            )
        return self


def run(given: ServeV1Parameters, _: bool) -> int:
    """Serve until Ctrl-C or SIGTERM; return 0."""
    root = existing_lake_root(given.lake)
    keys = reader_keys()
    # Imported after the checks, so that wrong use is reported at once.
    from polygon_fundamentals.v1_view import server
    from polygon_fundamentals.v1_view.index import Index
    from polygon_fundamentals.v1_view.serve import make_app
    from polygon_fundamentals.v1_view.view import View

    server.refuse_open(given.host, bool(keys))
    listening = server.listen(given.host, given.port)
    server.log_to_stderr()
    index = Index(View(str(root), given.as_of, given.differing, given.only == "v1"))
    port = listening.getsockname()[1]
    host = f"[{given.host}]" if ":" in given.host else given.host

    def started() -> None:
        index.start()
        print(
            f"v1's API of {root} at http://{host}:{port}/vX/reference/financials "
            f"(parameters: /docs, state: /health); requests need {'a key' if keys else 'no key'}; "
            "Ctrl-C ends it",
            flush=True,
        )

    try:
        public = given.public_url.rstrip("/") if given.public_url else None
        server.run(make_app(index, keys, public), [listening], started)
    finally:
        index.stop()
        listening.close()
    print("ended", flush=True)
    return 0
