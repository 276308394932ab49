"""Would a write succeed?  Asked as a client would ask: over the client port, in PostgreSQL's protocol.

The question is a CREATE TABLE that is rolled back: it takes the writer of the primary that the proxy knows, and
leaves nothing.
"""

from __future__ import annotations

import trio

from lfsql.config import split_address
from lfsql.errors import LfsqlError, LinkLost, ProtocolViolation
from proxy.pg.client import BackendDecoder, encode_frontend
from proxy.pg.messages import (
    PROTOCOL_3_0,
    BackendMessage,
    ErrorResponse,
    Query,
    ReadyForQuery,
    StartupMessage,
    Terminate,
)

ANSWER_S_MAX = 20.0
WRITE = "BEGIN; CREATE TABLE lfsql_up_asks (id int); ROLLBACK"
EXISTS = "42P07"
"""The table's name is taken: the primary said so, which is what was asked."""


async def would_write(address: str, user: str, database: str) -> str:
    """'' when a write would succeed now, else why not.  Waits for a primary as long as any client's write does."""
    host, port = split_address(address)
    try:
        with trio.fail_after(ANSWER_S_MAX):
            async with await trio.open_tcp_stream(host, port) as stream:
                return await _ask(stream, user, database)
    except (OSError, trio.BrokenResourceError, LfsqlError) as error:
        return f"{address}: {error}"
    except trio.TooSlowError:
        return f"{address}: no answer within {ANSWER_S_MAX:.0f} s"


async def _ask(stream: trio.SocketStream, user: str, database: str) -> str:
    decoder = BackendDecoder()
    pending: list[BackendMessage] = []

    async def until_ready() -> ErrorResponse | None:
        failure: ErrorResponse | None = None
        while True:
            while pending:
                message = pending.pop(0)
                if isinstance(message, ErrorResponse):
                    failure = failure or message
                elif isinstance(message, ReadyForQuery):
                    return failure
            data = await stream.receive_some()
            if not data:
                if failure is not None:
                    return failure
                raise LinkLost("the connection ended before the answer")
            decoder.feed(data)
            pending.extend(decoder.messages())

    await stream.send_all(encode_frontend(StartupMessage(PROTOCOL_3_0, {"user": user, "database": database})))
    failure = await until_ready()
    if failure is None:
        await stream.send_all(encode_frontend(Query(WRITE)))
        failure = await until_ready()
    if failure is None or failure.fields.get("C") == EXISTS:
        await stream.send_all(encode_frontend(Terminate()))
        return ""
    if "M" not in failure.fields:
        raise ProtocolViolation("an error without a message")
    return failure.fields["M"]
