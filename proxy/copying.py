"""COPY FROM STDIN and COPY TO STDOUT.

What a client copies in is one unit.  Rows gather here until there is a frame's worth; a copy that fits in one is sent
whole when the client is done and holds up nobody, a larger one opens the unit and takes the writer for as long as the
client takes to send the rest, under the idle limit of any transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from lfsql.core.requests import HOLD, Row, RunMany
from lfsql.errors import LfsqlError, ProtocolViolation, QueryCanceled
from proxy.execution import rows_of
from proxy.pg import encode
from proxy.pg.copy import copied_row_decoder, copied_row_encoder, copy_reader, copy_start, copy_stop
from proxy.pg.messages import CopyData, CopyDone, CopyFail, Flush, Sync
from proxy.planning import prepare
from proxy.sql.utility import CopyIn, CopyOut
from proxy.state import SessionState
from proxy.transaction_modes import check_may_write
from proxy.unit import SEND_BYTES, Step, told_nothing
from proxy.writing import flush_unit

FRAME_BYTES: Final = 4 << 20
"""Copied bytes that leave in one Submit."""
FEED_BYTES: Final = 64 * 1024
"""Copied bytes that are read in a row: a message may be a thousand times as long."""


async def copy_in(state: SessionState, utility: CopyIn) -> None:
    """Take rows until CopyDone.  Raises BadCopyFormat, DataError, QueryCanceled (for CopyFail, too), write errors.

    A cancel is heeded at once, also while the client sends nothing; what it sends of the copy after that is ignored.
    """
    check_may_write(state, "COPY FROM")
    if state.unit.steps:
        await flush_unit(state, HOLD)
    options = utility.options
    code = 1 if options.format == "binary" else 0
    state.outbox.write(encode.copy_in_response(code, (code,) * len(utility.columns)))
    reader = copy_reader(options, utility.columns, state.worker.limits.message_bytes_max)
    decode = copied_row_decoder(utility.oids, utility.typmods, options, state.encoding)
    rows: list[Row] = []
    size = 0
    count = 0
    while True:
        message = await state.receive()
        if isinstance(message, CopyData):
            for start in range(0, len(message.data), FEED_BYTES):
                data = message.data[start : start + FEED_BYTES]
                _extend(rows, count, utility, reader.feed, decode, data)
                size += len(data)
                if size >= FRAME_BYTES and rows:
                    _add(state, utility, rows, first=count == 0)
                    count += len(rows)
                    await flush_unit(state, HOLD)
                    rows = []
                    size = 0
                await state.pace()
                state.check_stopped()
        elif isinstance(message, CopyDone):
            break
        elif isinstance(message, CopyFail):
            raise QueryCanceled(f"COPY from stdin failed: {message.reason}")
        elif not isinstance(message, Flush | Sync):
            raise ProtocolViolation(f"unexpected message {type(message).__name__} during COPY from stdin")
    _extend(rows, count, utility, reader.finish, decode)
    if rows:
        _add(state, utility, rows, first=count == 0)
    count += len(rows)
    state.outbox.write(encode.command_complete(f"COPY {count}"))


def _extend(
    rows: list[Row],
    count: int,
    utility: CopyIn,
    read: Callable[..., Sequence[Sequence[str | bytes | None]]],
    decode: Callable[[Sequence[str | bytes | None]], Row],
    *data: bytes,
) -> None:
    """Add the rows that `read` gives of `data`.  An error says in its context where it was found."""
    decoding = False
    try:
        found = read(*data)
        decoding = True
        rows += map(decode, found)
    except LfsqlError as error:
        # What was decoded before the failed row is in `rows` already; a reader says itself where it stopped.
        line = count + len(rows) + 1 + (1 if utility.options.header else 0)
        error.context = f"COPY {utility.table}, line {line}" if decoding else f"COPY {utility.table}: {error.detail}"
        raise


def _add(state: SessionState, utility: CopyIn, rows: list[Row], *, first: bool) -> None:
    """`first`: of a statement that may be several steps."""
    work = (RunMany(utility.insert, tuple(rows)),)
    step = Step(work, told_nothing, reason="copy" if first else "", context=f"COPY {utility.table}")
    state.unit.add(step, writes=True)
    state.outbox.expect(step)


async def copy_out(state: SessionState, utility: CopyOut) -> None:
    """Give the rows of a query, at the client's speed."""
    prepared = await prepare(state, utility.query, lift=True)
    source = await rows_of(state, prepared, ())
    options = utility.options
    columns = prepared.plan.columns
    outbox = state.outbox
    code = 1 if options.format == "binary" else 0
    write = copied_row_encoder(
        [(column.name, column.oid, column.typmod) for column in columns], options, state.encoding
    )
    outbox.write(encode.copy_out_response(code, (code,) * len(columns)))
    head = copy_start(options, [column.name for column in columns])
    if head:
        outbox.write(head)
    count = 0
    more = True
    try:
        while more:
            rows, more = await source.fetch(0)
            count += len(rows)
            for row in rows:
                outbox.write(write(row))
                if outbox.bytes >= SEND_BYTES:
                    await state.flush()
            await state.flush()
            state.check_stopped()
    finally:
        await source.aclose()
    tail = copy_stop(options)
    if tail:
        outbox.write(tail)
    outbox.write(encode.COPY_DONE)
    outbox.write(encode.command_complete(f"COPY {count}"))
