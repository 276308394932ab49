"""Every message of PostgreSQL's frontend/backend protocol 3, as frozen values.

Names are those of PostgreSQL's manual, chapter "Message Formats"; fields are what the bytes carry, decoded no
further than text.  `proxy.pg.decode` turns a client's bytes into frontend messages; the server writes its answers
with the functions of `proxy.pg.encode`, which return bytes and never build these values, because a result of a
million rows should not make a million objects.  `proxy.pg.client` is the opposite end: it reads backend messages
as the values below and writes frontend messages, for tests, tools and benchmarks.

Frozen dataclasses, not named tuples: two empty messages of different kinds must not be equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from lfsql.errors import LfsqlError

TEXT_FORMAT: Final = 0
BINARY_FORMAT: Final = 1

STATEMENT: Final = "S"
PORTAL: Final = "P"

IDLE: Final = "I"
IN_TRANSACTION: Final = "T"
FAILED_TRANSACTION: Final = "E"

PROTOCOL_3_0: Final = 3 << 16
PROTOCOL_3_2: Final = 3 << 16 | 2


# -- Frontend: the startup phase, without a type byte ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartupMessage:
    """`version` is major << 16 | minor.  Parameters keep the client's order; the last of a repeated name wins."""

    version: int
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SSLRequest:
    """Answered with one byte, b'S' or b'N'.  Nothing may follow it before that answer."""


@dataclass(frozen=True, slots=True)
class GSSENCRequest:
    """Answered with b'N': GSSAPI encryption is not supported."""


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """`key` is 4 bytes in protocol 3.0, up to 256 from 3.2 on."""

    process_id: int
    key: bytes


# -- Frontend: authentication, all of type 'p' -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PasswordMessage:
    """Clear text, or an MD5 digest; without its terminating zero."""

    password: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SASLInitialResponse:
    """`data` is None when the client sent none (length -1)."""

    mechanism: str
    data: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class SASLResponse:
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class GSSResponse:
    data: bytes = field(repr=False)


# -- Frontend: the session ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Query:
    sql: str


@dataclass(frozen=True, slots=True)
class Parse:
    """`parameter_oids` may be shorter than the statement's parameters; 0 means: infer."""

    statement: str
    sql: str
    parameter_oids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Bind:
    """Format lists are as sent: empty (all text), one for all, or one each."""

    portal: str
    statement: str
    parameter_formats: tuple[int, ...] = ()
    parameters: tuple[bytes | None, ...] = ()
    result_formats: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Describe:
    """`kind` is STATEMENT or PORTAL."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Execute:
    """`rows_max` 0: all."""

    portal: str
    rows_max: int = 0


@dataclass(frozen=True, slots=True)
class Close:
    """`kind` is STATEMENT or PORTAL."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Sync:
    pass


@dataclass(frozen=True, slots=True)
class Flush:
    pass


@dataclass(frozen=True, slots=True)
class Terminate:
    pass


@dataclass(frozen=True, slots=True)
class FunctionCall:
    function_oid: int
    argument_formats: tuple[int, ...]
    arguments: tuple[bytes | None, ...]
    result_format: int


@dataclass(frozen=True, slots=True)
class CopyData:
    """A piece of COPY's stream, in either direction; its boundaries mean nothing."""

    data: bytes


@dataclass(frozen=True, slots=True)
class CopyDone:
    pass


@dataclass(frozen=True, slots=True)
class CopyFail:
    reason: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """A message that arrived whole but whose content is wrong: bad UTF-8, a count that does not fit its length.

    No message of the protocol, but what the decoder gives in its place: the frame is sound, so the session goes
    on.  It answers `error` exactly as if executing that message had failed.  `kind` is the message's type byte.
    """

    kind: str
    error: LfsqlError


StartupPacket = StartupMessage | SSLRequest | GSSENCRequest | CancelRequest
AuthenticationResponse = PasswordMessage | SASLInitialResponse | SASLResponse | GSSResponse
SessionMessage = (
    Query
    | Parse
    | Bind
    | Describe
    | Execute
    | Close
    | Sync
    | Flush
    | Terminate
    | FunctionCall
    | CopyData
    | CopyDone
    | CopyFail
    | Malformed
)
FrontendMessage = StartupPacket | AuthenticationResponse | SessionMessage


# -- Backend: authentication, all of type 'R' --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AuthenticationOk:
    pass


@dataclass(frozen=True, slots=True)
class AuthenticationKerberosV5:
    pass


@dataclass(frozen=True, slots=True)
class AuthenticationCleartextPassword:
    pass


@dataclass(frozen=True, slots=True)
class AuthenticationMD5Password:
    salt: bytes


@dataclass(frozen=True, slots=True)
class AuthenticationGSS:
    pass


@dataclass(frozen=True, slots=True)
class AuthenticationGSSContinue:
    data: bytes


@dataclass(frozen=True, slots=True)
class AuthenticationSSPI:
    pass


@dataclass(frozen=True, slots=True)
class AuthenticationSASL:
    mechanisms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AuthenticationSASLContinue:
    data: bytes


@dataclass(frozen=True, slots=True)
class AuthenticationSASLFinal:
    data: bytes


# -- Backend: the session ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BackendKeyData:
    process_id: int
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NegotiateProtocolVersion:
    """`version`: the newest the server speaks, in full.  `options`: the `_pq_.` names it does not know."""

    version: int
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ParameterStatus:
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class ReadyForQuery:
    """`status` is IDLE, IN_TRANSACTION or FAILED_TRANSACTION."""

    status: str


@dataclass(frozen=True, slots=True)
class FieldDescription:
    """One column of a RowDescription.  `size` is in bytes, negative for variable width."""

    name: str
    table_oid: int
    attnum: int
    type_oid: int
    size: int
    typmod: int
    format: int


@dataclass(frozen=True, slots=True)
class RowDescription:
    columns: tuple[FieldDescription, ...]


@dataclass(frozen=True, slots=True)
class DataRow:
    values: tuple[bytes | None, ...]


@dataclass(frozen=True, slots=True)
class CommandComplete:
    tag: str


@dataclass(frozen=True, slots=True)
class EmptyQueryResponse:
    pass


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """Fields by their one-letter code, see `proxy.pg.errors`."""

    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NoticeResponse:
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NotificationResponse:
    process_id: int
    channel: str
    payload: str


@dataclass(frozen=True, slots=True)
class ParseComplete:
    pass


@dataclass(frozen=True, slots=True)
class BindComplete:
    pass


@dataclass(frozen=True, slots=True)
class CloseComplete:
    pass


@dataclass(frozen=True, slots=True)
class NoData:
    pass


@dataclass(frozen=True, slots=True)
class PortalSuspended:
    pass


@dataclass(frozen=True, slots=True)
class ParameterDescription:
    oids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FunctionCallResponse:
    value: bytes | None


@dataclass(frozen=True, slots=True)
class CopyInResponse:
    """`format` of the whole stream, then of each column."""

    format: int
    column_formats: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CopyOutResponse:
    format: int
    column_formats: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CopyBothResponse:
    format: int
    column_formats: tuple[int, ...]


AuthenticationRequest = (
    AuthenticationOk
    | AuthenticationKerberosV5
    | AuthenticationCleartextPassword
    | AuthenticationMD5Password
    | AuthenticationGSS
    | AuthenticationGSSContinue
    | AuthenticationSSPI
    | AuthenticationSASL
    | AuthenticationSASLContinue
    | AuthenticationSASLFinal
)
BackendMessage = (
    AuthenticationRequest
    | BackendKeyData
    | NegotiateProtocolVersion
    | ParameterStatus
    | ReadyForQuery
    | RowDescription
    | DataRow
    | CommandComplete
    | EmptyQueryResponse
    | ErrorResponse
    | NoticeResponse
    | NotificationResponse
    | ParseComplete
    | BindComplete
    | CloseComplete
    | NoData
    | PortalSuspended
    | ParameterDescription
    | FunctionCallResponse
    | CopyInResponse
    | CopyOutResponse
    | CopyBothResponse
    | CopyData
    | CopyDone
)
