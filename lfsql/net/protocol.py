"""What both ends of a link must have in common to understand each other's messages.

A digest over the shape of every message: names, tags, fields in order, their types and defaults.  It is computed, not
kept by hand: a version number that somebody forgets to raise lets the link open, and then each message fails on its
own, far from the reason.

Rejected: a hash over the source files.  It would differ after a comment was mended.
"""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from typing import Final

import msgspec

from lfsql.core.messages import PeerMessage
from lfsql.core.requests import Answer, Question

_DIGEST_BYTES: Final = 8


@cache
def message_digest() -> str:
    """Of all that is sent after the handshake, between whichever ends."""
    return digest_of(Question, Answer, PeerMessage)


def digest_of(*kinds: object) -> str:
    """Of the shape of messages of these types, and of all that they are made of."""
    shapes: dict[str, str] = {}
    top = [_shape(info, shapes) for info in msgspec.inspect.multi_type_info(kinds)]
    text = "\n".join([*top, *(f"{name} = {shape}" for name, shape in sorted(shapes.items()))])
    return blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()


def _shape(part: object, shapes: dict[str, str]) -> str:
    """`part` as text.  Structs go into `shapes` once, by name: they may contain each other."""
    if isinstance(part, msgspec.inspect.StructType):
        name = part.cls.__name__
        if name not in shapes:
            shapes[name] = ""
            fields = [_shape(field, shapes) for field in part.fields]
            shapes[name] = f"{part.tag} {part.array_like} {' '.join(fields)}"
        return name
    if isinstance(part, msgspec.Struct):
        inner = (_shape(getattr(part, name), shapes) for name in part.__struct_fields__)
        return f"{type(part).__name__}({', '.join(inner)})"
    if isinstance(part, tuple):
        return f"[{', '.join(_shape(item, shapes) for item in part)}]"
    return getattr(part, "__qualname__", None) or repr(part)
