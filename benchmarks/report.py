"""Write a page of tables and curves from what is measured so far.

    python -m benchmarks.report FOLDER

The page is FOLDER/benchmarks.md; docs/benchmarks.md, which says more, takes its tables from it.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

from benchmarks import tools
from benchmarks.curves import chart
from benchmarks.results import Results, Row

TITLES = {
    "history": "History",
    "sizes": "From 50 to 200 companies",
    "again": "A second, unchanged load",
    "update": "Daily update of two days",
    "week": "Daily update of seven days",
    "parity": "Comparing the generations",
    "parity again": "Comparing again after a day's update",
}
EXPLAINED = {
    "history": (
        "All quarterly records of all three statements, into an empty folder. Ours and the plain "
        "downloader write the lake's layout, one file per ticker, statement and month; the "
        "vendor's client writes one file per ticker (for v2, per ticker and statement), and dlt "
        "writes a few tables. Readers of a lake can open neither."
    ),
    "sizes": "A first load of v2 as above, of sizes between which the task runs change.",
    "again": (
        "The same command once more. Ours and the vendor's client leave the records as they were; "
        "the plain downloader and dlt's `append` hold each twice."
    ),
    "update": (
        "What the whole market filed on two days of May. Ours takes it into a lake that holds "
        "the history (files and bytes are the whole lake's); the plain downloader, the vendor's "
        "client and dlt write the answer into an empty folder."
    ),
    "week": "The same with the window that ours asks for by default.",
    "parity": (
        "All mapped fields of three statements. Ours compares for the first time, from the rows "
        "that the loads kept as they wrote (decisions/what-a-load-wrote-is-not-read-again.md), "
        "with checkpoint, data docs and the list of differences; the SQL reads the files and "
        "counts equal and unequal values on the period key; datacompy reports on each statement."
    ),
    "parity again": "Ours compares what changed; the others compare everything once more.",
}
HOW = """# Benchmarks

What a load and a comparison cost, beside the tools that are used for it today. Only ratios compare
between machines.

## How it is measured

- One server for all: the sandbox, in a process of its own.
- Every tool is a process of its own, started cold. Tools take turns (A, B, C, A, B, C, …); a
  figure is the median of its runs, a ratio the median of the ratios turn by turn.
- Wall time is from start to end of the command; ours includes Prefect and its temporary server.
- Processor time and peak memory are those of the whole process tree, memory as the proportional
  set size, looked at when the pages in memory have grown by a hundredth.
- Requests are counted by the server; records, files and bytes are those of the Parquet files after
  the run.
- Machine: {machine}. Measured {days}. Its speed changes over the hours, so that
  only figures of tools that took turns compare.

| tool | what it is |
| --- | --- |
| this project | the command line, as a user starts it |
| this project without Prefect | `benchmarks/library_only.py`: same batches, threads, writers |
| plain asyncio downloader | `benchmarks/plain_asyncio.py`: httpx, 100 in flight, polars |
| the vendor's client in a loop | `benchmarks/vendor_client.py`: package `massive` |
| dlt REST source | `benchmarks/dlt_rest.py`: into Parquet, dlt's own layout |
| DuckDB SQL | `benchmarks/sql.py` makes the queries from the field map |
| datacompy | `benchmarks/datacompy_frames.py` |

## To repeat it

```
make bench BENCH_COMPANIES="100 300 1000"
```

builds `.venv-bench` with the packages of the others (`benchmarks/requirements.txt`), measures into
`bench/results.jsonl`, one line per measurement, and writes its tables and curves to
`bench/benchmarks.md`. If it is interrupted, the same command continues where it stopped.
`python -m benchmarks.run --help` lists the options.
"""


def main() -> None:
    """Write the page and the curves."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    rows = Results(given.folder).rows()
    if not any(row.good for row in rows):
        raise SystemExit(f"{given.folder} holds no measurement: python -m benchmarks.run --help")
    drawn = curves(rows)
    for _, name, text in drawn:
        (given.folder / name).write_text(text)
    (given.folder / "benchmarks.md").write_text("\n".join(page(rows, drawn)))
    print(f"written: {given.folder / 'benchmarks.md'}")


def page(rows: Sequence[Row], drawn: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    """Yield the lines of the page."""
    good = [row for row in rows if row.good]
    machines = {
        f"{m['cores']} cores, {m['memory_gb']} GB, {m['system']}, Python {m['python']}": None
        for m in (row.machine for row in good)
    }
    days = " to ".join(sorted({min(r.at[:10] for r in good), max(r.at[:10] for r in good)}))
    yield HOW.format(machine="; ".join(machines), days=days)
    for kind, title in TITLES.items():
        mine = [row for row in good if row.kind == kind]
        if not mine:
            continue
        yield f"## {title}\n\n{EXPLAINED[kind]}\n\n{'; '.join(settings(mine))}.\n"
        yield from table(mine)
        for of, name, _ in drawn:
            if of == kind:
                yield f"![{name.removesuffix('.svg').replace('-', ' ')}]({name})"
        yield ""
    yield from prefects_share(good)
    yield from started(good)
    yield from lacking(rows)


def settings(rows: Sequence[Row]) -> list[str]:
    """Return under what the rows were measured, each setting once."""
    kinds = {(row.setting["start"], row.setting["latency"]) for row in rows}
    return [f"Records since {day}, {1000 * wait:.0f} ms of latency" for day, wait in sorted(kinds)]


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield one table of a kind: by generation, companies and tool."""
    yield (
        "| generation | companies | tool | runs | wall s | ours / it | CPU s | peak MB | "
        "requests | records | files | MB |"
    )
    yield "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    order = {name: k for k, name in enumerate(dict.fromkeys([*tools.LOADERS, *tools.COMPARERS]))}
    groups = grouped(rows, lambda row: (row.generation, row.companies, order[row.tool], row.tool))
    for (generation, companies, _, tool), some in sorted(groups.items()):
        ours = groups.get((generation, companies, order["ours"], "ours"), [])
        wall, cpu, peak, requests, records, files, size = (
            median(getattr(row, name) for row in some)
            for name in ("wall", "cpu", "peak", "requests", "records", "files", "bytes")
        )
        yield (
            f"| {generation} | {companies:,} | {titled(tool)} | {len(some)} | {wall:,.1f} | "
            f"{ratio(ours, some) if tool != 'ours' else ''} | {cpu:,.1f} | {peak / 1e6:,.0f} | "
            f"{requests:,.0f} | {count(records)} | {count(files)} | {count(size / 1e6)} |"
        )
    yield ""


def grouped(
    rows: Sequence[Row], key: Callable[[Row], tuple[object, ...]]
) -> dict[tuple, list[Row]]:  # type: ignore[type-arg]
    """Return the rows by key, in order."""
    found: defaultdict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return dict(found)


def count(value: float) -> str:
    """Return a count, or nothing where there is none."""
    return f"{value:,.0f}" if value >= 1 else (f"{value:.1f}" if value else "")


def titled(tool: str) -> str:
    """Return what a tool is called in tables."""
    return (tools.LOADERS.get(tool) or tools.COMPARERS[tool]).title


def ratio(ours: Sequence[Row], others: Sequence[Row]) -> str:
    """Return the median of our wall time over another's, turn by turn, with its range."""
    by_run = {row.run: row.wall for row in others}
    found = [row.wall / by_run[row.run] for row in ours if row.run in by_run]
    if not found:
        return ""
    if len(found) == 1:
        return f"{found[0]:.2f}"
    return f"{median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


def curves(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """Return (kind, file name, SVG): time and memory of each tool over companies."""
    found = []
    for kind in TITLES:
        for generation in ("v1", "v2", "both"):
            mine = [r for r in rows if r.good and (r.kind, r.generation) == (kind, generation)]
            if len({row.companies for row in mine}) < 2:
                continue
            for name, unit, field, scale in (
                ("time", "seconds", "wall", 1.0),
                ("memory", "MB", "peak", 1e6),
            ):
                lines: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
                for (tool, companies), some in grouped(
                    mine, lambda row: (row.tool, row.companies)
                ).items():
                    value = median(getattr(row, field) for row in some) / scale
                    lines[titled(tool)].append((companies, value))
                label = "" if generation == "both" else f" of {generation}"
                file = f"benchmarks-{kind}-{generation}-{name}.svg".replace(" ", "-")
                found.append((kind, file, chart(f"{TITLES[kind]}{label}: {name}", unit, lines)))
    return found


def prefects_share(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what the command takes beyond the library's own work."""
    pairs = grouped(
        [row for row in rows if row.kind == "history" and row.tool in ("ours", "library")],
        lambda row: (row.generation, row.companies),
    )
    lines = []
    for (generation, companies), some in sorted(pairs.items()):
        ours = {row.run: row.wall for row in some if row.tool == "ours"}
        alone = {row.run: row.wall for row in some if row.tool == "library"}
        both = sorted(ours.keys() & alone.keys())
        if both:
            beyond = median(ours[run] - alone[run] for run in both)
            share = median(1 - alone[run] / ours[run] for run in both)
            lines.append(f"| {generation} | {companies:,} | {beyond:.1f} | {share:.0%} |")
    if lines:
        yield "## Prefect's share\n\nThe command less the same work without Prefect, in one turn.\n"
        yield "| generation | companies | seconds beyond | of the wall time |"
        yield "| --- | ---: | ---: | ---: |"
        yield from lines
        yield ""


def started(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what starting costs."""
    groups = grouped([row for row in rows if row.kind == "startup"], lambda row: (row.tool,))
    if not groups:
        return
    yield "## Start-up\n\nOne ticker's whole history is the work of the last rows.\n"
    yield "| what | wall s | CPU s | peak MB |"
    yield "| --- | ---: | ---: | ---: |"
    for (name,), some in groups.items():
        wall, cpu, peak = (median(getattr(row, f) for row in some) for f in ("wall", "cpu", "peak"))
        yield f"| {name} | {wall:.2f} | {cpu:.2f} | {count(peak / 1e6)} |"
    yield ""


def lacking(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what could not be measured, and why."""
    groups = grouped(
        [row for row in rows if not row.good],
        lambda row: (row.tool, row.kind, row.generation, row.companies, row.missing or row.failed),
    )
    if groups:
        yield "## Not measured\n"
        for tool, kind, generation, companies, reason in groups:
            yield f"- {tool}, {kind} {generation}, {companies:,} companies: {reason}"
        yield ""


if __name__ == "__main__":
    main()
