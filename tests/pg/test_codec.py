"""Every message through a client and a server of ours: whole, byte by byte, and with the next message behind it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfsql.errors import FeatureNotSupported, InvalidEncoding, LfsqlError, ProtocolViolation
from proxy.pg import encode
from proxy.pg import messages as m
from proxy.pg.client import BackendDecoder, encode_frontend
from proxy.pg.decode import SMALL_MESSAGE_BYTES_MAX, FrontendDecoder, Phase
from proxy.sql.plan import ResultColumn

STARTUP: list[m.StartupPacket] = [
    m.StartupMessage(m.PROTOCOL_3_0, {"user": "ann", "database": "shop", "options": "-c geqo=off"}),
    m.StartupMessage(m.PROTOCOL_3_2, {"user": "é"}),
    m.SSLRequest(),
    m.GSSENCRequest(),
    m.CancelRequest(4_000_000_000, b"1234"),
    m.CancelRequest(1, b"k" * 256),
]

AUTHENTICATION: list[m.AuthenticationResponse] = [
    m.PasswordMessage(b"secret"),
    m.SASLInitialResponse("SCRAM-SHA-256", b"n,,n=,r=abc"),
    m.SASLInitialResponse("SCRAM-SHA-256", None),
    m.SASLInitialResponse("SCRAM-SHA-256", b""),
    m.SASLResponse(b"c=biws,r=abc,p=x"),
    m.GSSResponse(b"\x00token"),
]

SESSION: list[m.SessionMessage] = [
    m.Query("SELECT 'é'"),
    m.Query(""),
    m.Parse("", "SELECT $1", ()),
    m.Parse("s1", "SELECT $1, $2", (23, 0xFFFFFFFF)),
    m.Bind("", "", (), (), ()),
    m.Bind("", "P0", (), (b"12345",), ()),
    m.Bind("", "P0", (1,), (None,), (1,)),
    m.Bind("c", "s1", (1, 0), (None, b""), (1,)),
    m.Bind("c", "s1", (0, 1, 0), (b"a", None, b"\x00\x01"), (0,) * 30),
    m.Describe("S", ""),
    m.Describe("P", ""),
    m.Describe("S", "s1"),
    m.Execute("", 0),
    m.Execute("", 7),
    m.Execute("c", 2_147_483_647),
    m.Close("S", ""),
    m.Close("P", ""),
    m.Close("P", "c"),
    m.Sync(),
    m.Flush(),
    m.Terminate(),
    m.FunctionCall(1598, (1,), (b"x", None), 1),
    m.CopyData(b"1\t2\n"),
    m.CopyData(b""),
    m.CopyDone(),
    m.CopyFail("no more"),
]

BACKEND: list[tuple[bytes, m.BackendMessage]] = [
    (encode.AUTHENTICATION_OK, m.AuthenticationOk()),
    (encode.AUTHENTICATION_KERBEROS_V5, m.AuthenticationKerberosV5()),
    (encode.AUTHENTICATION_CLEARTEXT_PASSWORD, m.AuthenticationCleartextPassword()),
    (encode.AUTHENTICATION_GSS, m.AuthenticationGSS()),
    (encode.AUTHENTICATION_SSPI, m.AuthenticationSSPI()),
    (encode.authentication_md5_password(b"salt"), m.AuthenticationMD5Password(b"salt")),
    (encode.authentication_gss_continue(b"t"), m.AuthenticationGSSContinue(b"t")),
    (encode.authentication_sasl(["SCRAM-SHA-256-PLUS", "X"]), m.AuthenticationSASL(("SCRAM-SHA-256-PLUS", "X"))),
    (encode.authentication_sasl_continue(b"r=x"), m.AuthenticationSASLContinue(b"r=x")),
    (encode.authentication_sasl_final(b"v=x"), m.AuthenticationSASLFinal(b"v=x")),
    (encode.backend_key_data(77, b"abcd"), m.BackendKeyData(77, b"abcd")),
    (
        encode.negotiate_protocol_version(m.PROTOCOL_3_2, ["_pq_.x"]),
        m.NegotiateProtocolVersion(m.PROTOCOL_3_2, ("_pq_.x",)),
    ),
    (encode.parameter_status("TimeZone", "UTC"), m.ParameterStatus("TimeZone", "UTC")),
    (encode.READY["I"], m.ReadyForQuery("I")),
    (encode.READY["T"], m.ReadyForQuery("T")),
    (encode.READY["E"], m.ReadyForQuery("E")),
    (
        encode.row_description([ResultColumn("id", 23, -1, 16400, 1), ResultColumn("n", 1700, 655366)], (1,)),
        m.RowDescription(
            (
                m.FieldDescription("id", 16400, 1, 23, 4, -1, 1),
                m.FieldDescription("n", 0, 0, 1700, -1, 655366, 1),
            )
        ),
    ),
    (
        encode.row_description([ResultColumn("a", 25), ResultColumn("b", 25)], (0, 1)),
        m.RowDescription(
            (m.FieldDescription("a", 0, 0, 25, -1, -1, 0), m.FieldDescription("b", 0, 0, 25, -1, -1, 1))
        ),
    ),
    (encode.row_description([]), m.RowDescription(())),
    (encode.data_row([b"1", None, b""]), m.DataRow((b"1", None, b""))),
    (encode.command_complete("INSERT 0 1"), m.CommandComplete("INSERT 0 1")),
    (encode.EMPTY_QUERY_RESPONSE, m.EmptyQueryResponse()),
    (encode.error_response({"S": "ERROR", "C": "42601"}), m.ErrorResponse({"S": "ERROR", "C": "42601"})),
    (encode.notice_response({"M": "hé"}), m.NoticeResponse({"M": "hé"})),
    (encode.notification_response(5, "jobs", "1"), m.NotificationResponse(5, "jobs", "1")),
    (encode.PARSE_COMPLETE, m.ParseComplete()),
    (encode.BIND_COMPLETE, m.BindComplete()),
    (encode.CLOSE_COMPLETE, m.CloseComplete()),
    (encode.NO_DATA, m.NoData()),
    (encode.PORTAL_SUSPENDED, m.PortalSuspended()),
    (encode.parameter_description([23, 0xFFFFFFFF]), m.ParameterDescription((23, 0xFFFFFFFF))),
    (encode.function_call_response(b"x"), m.FunctionCallResponse(b"x")),
    (encode.function_call_response(None), m.FunctionCallResponse(None)),
    (encode.copy_in_response(1, [1, 1]), m.CopyInResponse(1, (1, 1))),
    (encode.copy_out_response(0, [0]), m.CopyOutResponse(0, (0,))),
    (encode.copy_both_response(0, []), m.CopyBothResponse(0, ())),
    (encode.copy_data(b"xyz"), m.CopyData(b"xyz")),
    (encode.COPY_DONE, m.CopyDone()),
]


def session_decoder(message_bytes_max: int = 1 << 20) -> FrontendDecoder:
    decoder = FrontendDecoder(message_bytes_max=message_bytes_max)
    decoder.begin_session()
    return decoder


def one_at_a_time(decoder: FrontendDecoder) -> list[m.FrontendMessage]:
    found: list[m.FrontendMessage] = []
    while (message := decoder.next_message()) is not None:
        found.append(message)
    return found


@pytest.mark.parametrize("message", STARTUP, ids=lambda message: type(message).__name__)
def test_startup_packets(message: m.StartupPacket) -> None:
    data = encode_frontend(message)
    whole = FrontendDecoder()
    whole.feed(data)
    assert one_at_a_time(whole) == [message]
    pieces = FrontendDecoder()
    for place in range(len(data)):
        assert pieces.next_message() is None
        pieces.feed(data[place : place + 1])
    assert pieces.next_message() == message
    assert pieces.buffered_bytes == 0


@pytest.mark.parametrize("message", AUTHENTICATION, ids=lambda message: type(message).__name__)
def test_authentication_responses(message: m.AuthenticationResponse) -> None:
    data = encode_frontend(message)
    for pieces in ([data], [data[place : place + 1] for place in range(len(data))]):
        decoder = FrontendDecoder()
        decoder.expect(type(message))
        for piece in pieces:
            assert decoder.next_message() is None
            decoder.feed(piece)
        assert decoder.next_message() == message
    assert b"secret" not in repr(message).encode()


@pytest.mark.parametrize("message", SESSION, ids=repr)
@pytest.mark.parametrize("take", [FrontendDecoder.messages, one_at_a_time], ids=["all", "one at a time"])
def test_session_messages(
    message: m.SessionMessage, take: Callable[[FrontendDecoder], list[m.FrontendMessage]]
) -> None:
    data = encode_frontend(message)
    whole = session_decoder()
    whole.feed(data)
    assert take(whole) == [message]
    assert whole.buffered_bytes == 0
    pieces = session_decoder()
    for place in range(len(data)):
        assert take(pieces) == []
        pieces.feed(data[place : place + 1])
    assert take(pieces) == [message]
    behind = session_decoder()
    behind.feed(data + b"S\x00")
    assert take(behind) == [message]
    assert behind.buffered_bytes == 2
    behind.feed(b"\x00\x00\x04")
    assert take(behind) == [m.Sync()]


@pytest.mark.parametrize(("data", "message"), BACKEND, ids=lambda value: type(value).__name__)
def test_backend_messages(data: bytes, message: m.BackendMessage) -> None:
    whole = BackendDecoder()
    whole.feed(data + b"Z\x00")
    assert whole.messages() == [message]
    pieces = BackendDecoder()
    found: list[m.BackendMessage] = []
    for place in range(len(data)):
        assert found == []
        pieces.feed(data[place : place + 1])
        found = pieces.messages()
    assert found == [message]


def test_messages_of_different_kinds_are_not_equal() -> None:
    for one in SESSION:
        for other in SESSION:
            assert (one == other) is (one is other)


@given(st.data())
def test_any_split_of_a_pipeline_gives_the_same_messages(data: st.DataObject) -> None:
    sent = data.draw(st.lists(st.sampled_from([message for message in SESSION if message != m.CopyData(b"")])))
    stream = b"".join(map(encode_frontend, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    decoder = session_decoder()
    found: list[m.SessionMessage] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        decoder.feed(stream[start:end])
        found.extend(decoder.messages())
    assert merged(found) == merged(sent)


def merged(messages: list[m.SessionMessage]) -> list[m.SessionMessage]:
    """Adjacent CopyData joined, as the decoder may do."""
    result: list[m.SessionMessage] = []
    for message in messages:
        if isinstance(message, m.CopyData) and result and isinstance(result[-1], m.CopyData):
            result[-1] = m.CopyData(result[-1].data + message.data)
        else:
            result.append(message)
    return result


def test_copy_data_of_one_feed_comes_as_one() -> None:
    decoder = session_decoder()
    decoder.feed(b"".join(encode_frontend(m.CopyData(b"%d\n" % line)) for line in range(3)) + b"c\x00\x00\x00\x04")
    assert decoder.messages() == [m.CopyData(b"0\n1\n2\n"), m.CopyDone()]


@given(st.binary(max_size=200), st.sampled_from(list(Phase)))
def test_noise_gives_messages_or_one_lasting_error(noise: bytes, phase: Phase) -> None:
    decoder = FrontendDecoder(message_bytes_max=1 << 16)
    if phase is Phase.AUTHENTICATION:
        decoder.expect(m.SASLInitialResponse)
    elif phase is Phase.SESSION:
        decoder.begin_session()
    decoder.feed(noise)
    try:
        while decoder.next_message() is not None:
            pass
    except LfsqlError as error:
        with pytest.raises(type(error)):
            decoder.next_message()
    assert decoder.buffered_bytes <= len(noise)


@given(
    st.sampled_from([message for message in SESSION if not isinstance(message, m.CopyData)]), st.binary(max_size=40)
)
def test_a_sound_frame_with_noise_inside_is_malformed_not_fatal(message: m.SessionMessage, noise: bytes) -> None:
    kind = encode_frontend(message)[:1]
    decoder = session_decoder()
    decoder.feed(kind + (len(noise) + 4).to_bytes(4, "big") + noise + encode_frontend(m.Sync()))
    found = decoder.messages()
    assert len(found) == 2
    assert found[1] == m.Sync()


def frame(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (frame(b"Q", b"SELECT 1"), "invalid string in message"),
        (frame(b"Q", b"SELECT 1\x00 "), "invalid message format"),
        (frame(b"S", b"x"), "invalid message format"),
        (frame(b"D", b"X\x00"), "invalid DESCRIBE message subtype 88"),
        (frame(b"C", b"X\x00"), "invalid CLOSE message subtype 88"),
        (frame(b"D", b""), "invalid string in message"),
        (frame(b"B", b"\x00\x00\x00\x00\x00\x01\x00\x00\x00\x09ab\x00\x00"), "insufficient data left in message"),
        (frame(b"B", b"\x00\x00\x00\x00\x00\x01\xff\xff\xff\xfe\x00\x00"), "insufficient data left in message"),
        (frame(b"B", b"\x00\x00\x00\x00\xff\xff"), "insufficient data left in message"),
        (frame(b"B", b"\x00\x00\xff\xff"), "invalid message format"),
        (frame(b"P", b"\x00\x00\xff\xff"), "invalid message format"),
        (frame(b"p", b"secret\x00"), "password message outside of authentication"),
    ],
)
def test_malformed_content(data: bytes, message: str) -> None:
    decoder = session_decoder()
    decoder.feed(data)
    (found,) = decoder.messages()
    assert isinstance(found, m.Malformed)
    assert found.kind == data[:1].decode()
    assert isinstance(found.error, ProtocolViolation)
    assert found.error.message == message


def test_bad_utf8_is_named_and_does_not_end_the_session() -> None:
    decoder = session_decoder()
    decoder.feed(frame(b"Q", b"SELECT '\xc3\x28'\x00") + encode_frontend(m.Query("SELECT 1")))
    bad, good = decoder.messages()
    assert isinstance(bad, m.Malformed)
    assert isinstance(bad.error, InvalidEncoding)
    assert bad.error.message == 'invalid byte sequence for encoding "UTF8": 0xc3 0x28'
    assert good == m.Query("SELECT 1")


@pytest.mark.parametrize(
    "header",
    [
        b"D" + (SMALL_MESSAGE_BYTES_MAX + 1).to_bytes(4, "big"),
        b"Q" + ((1 << 20) + 1).to_bytes(4, "big"),
        b"d" + b"\xff\xff\xff\xff",
        b"Q\x00\x00\x00\x03",
        b"S\x00\x00\x00\x00",
        b"!\x00\x00\x00\x04",
        b"\x16\x03\x01\x02\x00",
    ],
)
def test_a_wrong_frame_is_refused_at_its_header_and_after_what_came_before(header: bytes) -> None:
    decoder = session_decoder()
    decoder.feed(encode_frontend(m.Query("SELECT 1")) + header)
    assert decoder.messages() == [m.Query("SELECT 1")]
    for _ in range(2):
        with pytest.raises(ProtocolViolation):
            decoder.messages()
    alone = session_decoder()
    alone.feed(header)
    with pytest.raises(ProtocolViolation):
        alone.messages()


def test_a_message_of_exactly_the_limit_is_taken() -> None:
    decoder = session_decoder(message_bytes_max=100)
    fits = m.Query("x" * 95)
    decoder.feed(encode_frontend(fits))
    assert decoder.messages() == [fits]
    decoder.feed(encode_frontend(m.Query("x" * 96)))
    with pytest.raises(ProtocolViolation):
        decoder.messages()


@pytest.mark.parametrize("length", [0, 7, 10_001, 0x16030100])
def test_startup_length_is_checked_before_anything_is_kept(length: int) -> None:
    decoder = FrontendDecoder()
    decoder.feed(length.to_bytes(4, "big"))
    with pytest.raises(ProtocolViolation, match="invalid length of startup packet"):
        decoder.next_message()


def startup(body: bytes) -> bytes:
    return (len(body) + 4).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"\x00\x03\x00\x00user\x00ann\x00", ProtocolViolation),
        (b"\x00\x03\x00\x00user\x00ann\x00\x00x", ProtocolViolation),
        (b"\x00\x03\x00\x00user\x00ann\x00\x00\x00", ProtocolViolation),
        (b"\x00\x03\x00\x00user\x00", ProtocolViolation),
        (b"\x00\x03\x00\x00user\x00\xff\x00\x00", InvalidEncoding),
        (b"\x00\x02\x00\x00user\x00ann\x00\x00", FeatureNotSupported),
        (b"\x04\xd2\x16\x2e\x00\x00\x00\x01", ProtocolViolation),  # a cancel without a key
        (b"\x04\xd2\x16\x2fx", ProtocolViolation),  # an SSLRequest with content
    ],
)
def test_bad_startup_packets(body: bytes, error: type[LfsqlError]) -> None:
    decoder = FrontendDecoder()
    decoder.feed(startup(body))
    with pytest.raises(error):
        decoder.next_message()


@pytest.mark.parametrize("request_", [m.SSLRequest(), m.GSSENCRequest()])
def test_bytes_slipped_in_behind_an_encryption_request_are_refused(request_: m.StartupPacket) -> None:
    decoder = FrontendDecoder()
    decoder.feed(encode_frontend(request_) + b"\x00")
    with pytest.raises(ProtocolViolation, match="received unencrypted data"):
        decoder.next_message()


def test_each_encryption_may_be_asked_for_once() -> None:
    decoder = FrontendDecoder()
    for request_ in (m.GSSENCRequest(), m.SSLRequest()):
        decoder.feed(encode_frontend(request_))
        assert decoder.next_message() == request_
    decoder.feed(encode_frontend(m.SSLRequest()))
    with pytest.raises(FeatureNotSupported):
        decoder.next_message()


def test_only_a_password_may_come_during_authentication() -> None:
    decoder = FrontendDecoder()
    decoder.expect(m.PasswordMessage)
    decoder.feed(encode_frontend(m.Query("SELECT 1")))
    with pytest.raises(ProtocolViolation, match="expected password response, got message type 81"):
        decoder.next_message()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (m.PasswordMessage, b"secret"),
        (m.PasswordMessage, b"sec\x00ret\x00"),
        (m.SASLInitialResponse, b"SCRAM\x00\x00"),
        (m.SASLInitialResponse, b"SCRAM\x00\x00\x00\x00\x05ab"),
    ],
)
def test_bad_authentication_responses(kind: type[m.AuthenticationResponse], body: bytes) -> None:
    decoder = FrontendDecoder()
    decoder.expect(kind)
    decoder.feed(frame(b"p", body))
    with pytest.raises(ProtocolViolation):
        decoder.next_message()


def test_a_session_may_begin_in_the_same_packet() -> None:
    decoder = FrontendDecoder()
    opening = m.StartupMessage(m.PROTOCOL_3_0, {"user": "ann"})
    decoder.feed(encode_frontend(opening) + encode_frontend(m.Query("SELECT 1")))
    assert decoder.next_message() == opening
    decoder.begin_session()
    assert decoder.phase is Phase.SESSION
    assert decoder.messages() == [m.Query("SELECT 1")]


@pytest.mark.parametrize(
    "data",
    [
        b"!\x00\x00\x00\x04",
        b"Z\x00\x00\x00\x03",
        b"Z\x00\x00\x00\x05?",
        b"Z\x00\x00\x00\x06II",
        b"R\x00\x00\x00\x08\x00\x00\x00\x63",
        b"C\x00\x00\x00\x06ab",
        b"D\x00\x00\x00\x08\x00\x01\x00\x00",
    ],
)
def test_a_client_refuses_a_broken_server(data: bytes) -> None:
    decoder = BackendDecoder()
    decoder.feed(data)
    with pytest.raises(ProtocolViolation):
        decoder.messages()


def test_a_zero_byte_in_a_text_cannot_forge_fields() -> None:
    decoder = BackendDecoder()
    decoder.feed(encode.error_response({"M": "a\x00Cforged"}))
    assert decoder.messages() == [m.ErrorResponse({"M": "aCforged"})]


def test_malformed_has_no_bytes() -> None:
    with pytest.raises(TypeError):
        encode_frontend(m.Malformed("Q", ProtocolViolation("x")))
