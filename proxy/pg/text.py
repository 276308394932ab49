"""Bytes of the wire to Python text, with PostgreSQL's refusals: invalid UTF-8, and the character zero."""

from __future__ import annotations

from lfsql.errors import InvalidEncoding


def _width(lead: int) -> int:
    """Length of a UTF-8 sequence by its first byte, as PostgreSQL reads it."""
    if lead < 0xC0:
        return 1
    if lead < 0xE0:
        return 2
    if lead < 0xF0:
        return 3
    return 4 if lead < 0xF8 else 1


def decode_utf8(data: bytes) -> str:
    """Raises InvalidEncoding (22021) naming the first bad bytes, or a zero byte, which PostgreSQL cannot store."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        bad = data[error.start : error.start + _width(data[error.start])]
        shown = " ".join(f"0x{byte:02x}" for byte in bad)
        raise InvalidEncoding(f'invalid byte sequence for encoding "UTF8": {shown}') from None
    if "\x00" in text:
        raise InvalidEncoding('invalid byte sequence for encoding "UTF8": 0x00')
    return text
