"""What a client's startup packet asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lfsql.errors import FeatureNotSupported, InvalidAuthorization, ProtocolViolation
from proxy.settings import SessionSettings, canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lfsql.config import Purpose
    from proxy.pg.messages import StartupMessage

_MAJOR: Final = 3
_MINOR: Final = 0
PROTOCOL: Final = _MAJOR << 16 | _MINOR


@dataclass(slots=True)
class Startup:
    user: str
    database: str
    settings: SessionSettings
    newer: bool
    """The client speaks a later minor version of the protocol."""
    unknown: list[str]
    """Protocol options that are not known here."""


def read_startup(
    packet: StartupMessage, defaults: Callable[[str], Mapping[str, str]], purpose: Purpose = "auto"
) -> Startup:
    """`defaults`: a user's, by the name.

    Raises FeatureNotSupported, InvalidAuthorization, ProtocolViolation, and what a wrong setting raises.
    """
    major, minor = packet.version >> 16, packet.version & 0xFFFF
    if major != _MAJOR:
        raise FeatureNotSupported(f"unsupported frontend protocol {major}.{minor}: server supports {_MAJOR}.{_MINOR}")
    parameters = dict(packet.parameters)
    unknown = [name for name in parameters if name.startswith("_pq_.")]
    user = parameters.pop("user", "")
    if not user:
        raise InvalidAuthorization("no PostgreSQL user name specified in startup packet")
    database = parameters.pop("database", "") or user
    if parameters.pop("replication", "false").lower() not in ("false", "off", "no", "0"):
        raise FeatureNotSupported("replication connections are not supported")
    settings = SessionSettings(defaults(user))
    settings.fix("session_authorization", user)
    if purpose == "read-only":
        settings.fix("in_hot_standby", "on")
    elif purpose == "read-write":
        settings.set_default("lfsql.route", "primary")
    for name, value in [*_options(parameters.pop("options", "")), *parameters.items()]:
        if not name.startswith("_pq_."):
            settings.set_default(canonical(name), value)
    return Startup(user, database, settings, minor > _MINOR, unknown)


def _options(text: str) -> list[tuple[str, str]]:
    """The startup packet's `options`: -c name=value and --name=value, with backslash-escaped spaces."""
    words: list[str] = []
    word = ""
    escaped = False
    for character in text + " ":
        if escaped:
            word += character
            escaped = False
        elif character == "\\":
            escaped = True
        elif character.isspace():
            if word:
                words.append(word)
            word = ""
        else:
            word += character
    found: list[tuple[str, str]] = []
    place = 0
    while place < len(words):
        option = words[place]
        if option == "-c" and place + 1 < len(words):
            place += 1
            option = words[place]
        elif option.startswith(("-c", "--")):
            option = option[2:]
        else:
            raise ProtocolViolation(f"invalid command-line argument for server process: {option}")
        name, equals, value = option.partition("=")
        if not equals:
            raise ProtocolViolation(f"-c {option} requires a value")
        found.append((name.replace("-", "_"), value))
        place += 1
    return found
