"""v1's files in the form of the tool that wrote them, so that its readers go on until the cutover.

A lake whose v1 another tool wrote keeps that tool's form: where a load adds, changes or drops rows
of a file, the rows that stay are the file's own, and new ones come as v1 sent them, in the file's
columns and types, with all sections of `financials`. A new file has the form of another one of its
dataset. Such files lack our mark, and are read as those of other tools are. What is in no column of
theirs (`absent_fields`, and numbers that float64 would change) is not kept in them, and does not
count as content of an answer either: `as_stored` takes it out before the answer is compared.

`ops/v1_form.json` says which form a lake has. It is written before our first write, and by
`historical-load --adopt`, after which v1 is written in our form.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from polygon_fundamentals.datasets.keys import content_hashes, record_keys
from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake import codec
from polygon_fundamentals.lake.changes import Incoming, Plan, RowIds, own_key
from polygon_fundamentals.lake.paths import Dataset, Lake
from polygon_fundamentals.lake.storage import local
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.normalise.exact import JsonObject, to_json
from polygon_fundamentals.normalise.legacy import carried
from polygon_fundamentals.normalise.their_rows import as_sent, plain, stored_rows
from polygon_fundamentals.statements import Generation, Statement

THEIRS, OURS = "theirs", "ours"
_MOMENT = "downloaded_at"
_COMPRESSION = "zstd"
_REFUSED = (pa.ArrowException, TypeError, ValueError, KeyError, OverflowError)
# Record key and content hash.
_Identity = tuple[str, str]


class FormNotKeptError(DamagedFileError):
    """A file cannot take the rows that a load brings and stay in its form."""


def form_file(lake: Lake) -> Path:
    """Return the file that says which form v1's files have."""
    return lake.ops / "v1_form.json"


def use_our_form(lake: Lake) -> None:
    """Record that v1's files are written in this project's form from now on."""
    form_file(lake).parent.mkdir(parents=True, exist_ok=True)
    local.replace_file(form_file(lake), orjson.dumps({"form": OURS}))


def keeps_form(dataset: Dataset) -> bool:
    """Return whether files stay in another tool's form; decided before our first write.

    A lake that an earlier version wrote to has our form already.
    """
    if dataset.generation is not Generation.V1:
        return False
    path = form_file(dataset.lake)
    if not path.exists():
        with exclusive(dataset.lake.lock("v1.form")):
            if not path.exists():
                form = THEIRS if _is_theirs(dataset.lake) else OURS
                path.parent.mkdir(parents=True, exist_ok=True)
                local.replace_file(path, orjson.dumps({"form": form}))
    try:
        form = orjson.loads(path.read_bytes())["form"]
    except (ValueError, KeyError, TypeError):
        form = ""
    if form not in (THEIRS, OURS):  # not guessed: a load would rewrite another tool's files
        raise DamagedFileError(
            f'{path} does not say which form v1\'s files have; write {{"form":"{THEIRS}"}} into '
            f'it where another tool\'s readers still read them, else {{"form":"{OURS}"}}'
        )
    return bool(form == THEIRS)


def _is_theirs(lake: Lake) -> bool:
    datasets = [lake.dataset(Generation.V1, statement) for statement in Statement]
    if any((lake.ops / "index" / dataset.name).is_dir() for dataset in datasets):
        return False
    return any(
        not codec.is_ours(dataset.file(partition, ticker), dataset)
        for dataset in datasets
        for partition, ticker, _ in dataset.files()
    )


def as_stored(dataset: Dataset, incoming: Incoming) -> Incoming:
    """Return an answer as files in their form give it back, so that both have the same hashes."""
    assert isinstance(dataset.statement, Statement)
    rows = [plain(row) for row in incoming.raw or as_sent(incoming.table)]
    table, sources = stored_rows(rows, dataset.statement, incoming.table["observed_at"])
    now = {before: position for position, before in enumerate(sources)}
    places = {t: [now[i] for i in mine if i in now] for t, mine in incoming.rows.items()}
    return replace(incoming, table=table, rows=places, raw=[rows[i] for i in sources])


def encode_plan(
    dataset: Dataset,
    plan: Plan,
    incoming: Incoming,
    ids: RowIds,
) -> None:
    """Put the bytes of a ticker's files, in their form, into its plan; nothing is written.

    `incoming` is an answer as `as_stored` returns it.

    Raises:
        FormNotKeptError: a file cannot stay in its form.
        DamagedFileError: a file cannot be read.
    """
    sent = _sent(plan.ticker, incoming, ids)
    template = _template(dataset, plan)
    if template is None:
        return
    for partition, rows in plan.contents.items():
        path = dataset.file(partition, plan.ticker)
        if path.exists() and codec.is_ours(path, dataset):
            continue
        moved = plan.moved_out.get(partition)
        versions = {False: rows}
        if moved is not None:
            versions[True] = pa.concat_tables([rows, moved])
        for with_moved, wanted in versions.items():
            try:
                data = _encoded(dataset, plan.ticker, path, template, wanted, sent)
            except _REFUSED as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
                raise FormNotKeptError(
                    f"{path} cannot take new rows and keep the form in which another tool wrote it "
                    f"({reason}); nothing of {plan.ticker} was written. `historical-load --adopt` "
                    "writes v1's files in our form, and keeps the originals: `restore --adopted` "
                    "gives them back"
                ) from error
            plan.theirs[partition, with_moved] = data


def _sent(ticker: str, incoming: Incoming, ids: RowIds) -> dict[_Identity, JsonObject]:
    """Return what names a record of the answer → the row of a file that holds it."""
    rows = incoming.raw or ()
    moments = incoming.table["observed_at"].to_pylist()
    return {
        (own_key(ids.keys[i], ticker), ids.hashes[i]): {
            **rows[i],
            _MOMENT: moments[i].astimezone(UTC).replace(tzinfo=None),
        }
        for i in incoming.rows.get(ticker, ())
    }


def _template(dataset: Dataset, plan: Plan) -> pa.Table | None:
    """Return an empty table in the form of the ticker's newest file of another tool, or of any."""
    names = [(partition, plan.ticker) for partition in sorted(plan.index.files, reverse=True)]
    for partition, ticker in (*names, *((p, t) for p, t, _ in dataset.files())):
        path = dataset.file(partition, ticker)
        if path.exists() and not codec.is_ours(path, dataset):
            try:
                return pq.read_schema(path).empty_table()
            except (OSError, pa.ArrowException):
                continue
    return None


def _encoded(
    dataset: Dataset,
    ticker: str,
    path: Path,
    template: pa.Table,
    wanted: pa.Table,
    sent: Mapping[_Identity, JsonObject],
) -> bytes:
    """Return the bytes of a file that holds the wanted rows in its own form; b"" for none."""
    before, compression = template, _COMPRESSION
    mine: dict[_Identity, int] = {}
    loose: list[int] = []
    if path.exists():
        with pq.ParquetFile(path) as file:
            before = file.read(use_threads=False)
            if file.metadata.num_row_groups:
                compression = file.metadata.row_group(0).column(0).compression.lower()
        known, _ = codec.read(path, dataset, ticker)
        touched = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        places = carried(before, dataset.statement, touched)
        # Of rows that are alike the one stays that was downloaded first.
        in_order = sorted(
            zip(places, _identities(known, dataset), strict=True), key=lambda item: item[0][1]
        )
        for (place, _), row in in_order:
            mine.setdefault(row, place)
        # Records without this statement are no rows of this dataset, and stay where they are.
        loose = sorted(set(range(before.num_rows)) - {place for place, _ in places})
    stay, missing = list(loose), []
    for row in _identities(wanted, dataset):
        if row in mine:
            stay.append(mine[row])
        else:
            missing.append(sent[row])
    table = before.take(pa.array(sorted(stay), pa.int64()))
    if missing:
        table = _joined(table, missing)
    if not table.num_rows:
        return b""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression=compression if compression != "uncompressed" else None)
    data = bytes(sink.getvalue())
    _prove(data, dataset, ticker, wanted)
    return data


def _identities(table: pa.Table, dataset: Dataset) -> list[_Identity]:
    if not table.num_rows:
        return []
    return list(zip(record_keys(table, dataset.generation), content_hashes(table), strict=True))


def _joined(before: pa.Table, rows: Sequence[JsonObject]) -> pa.Table:
    """Return the table with rows added, in its columns and types; keys that it lacks come last."""
    new = pa.Table.from_pylist(list(rows))
    if _MOMENT not in before.schema.names:
        new = new.drop_columns([_MOMENT])
    for field in before.schema:
        place = new.schema.get_field_index(field.name)
        if place < 0 or new.schema.field(place).type.equals(field.type):
            continue
        column = new[field.name]
        is_text = pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        if is_text and pa.types.is_struct(column.type):
            texts = [None if cell is None else to_json(cell) for cell in column.to_pylist()]
            column = pa.chunked_array([pa.array(texts, field.type)])
        elif not pa.types.is_struct(column.type):
            column = column.cast(field.type)
        new = new.set_column(place, field.name, column)
    metadata = before.schema.metadata
    both = pa.concat_tables([before, new], promote_options="permissive")
    return both.replace_schema_metadata(metadata).combine_chunks()


def _prove(data: bytes, dataset: Dataset, ticker: str, wanted: pa.Table) -> None:
    """Read the bytes back.

    Raises:
        ValueError: they do not hold the wanted records.
    """
    table = codec.read_theirs(pq.read_table(pa.BufferReader(data)), dataset, ticker)
    read, written = (Counter(_identities(rows, dataset)) for rows in (table, wanted))
    if read != written:
        [(key, _), *_] = sorted((written - read) or (read - written))
        raise ValueError(f"the record {key} would not read back as it should")
