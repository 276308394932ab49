"""The cluster key's file: one secret line that every process of a cluster reads, and nobody else may."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from lfsql.errors import ConfigError

KEY_BYTES_MIN: Final = 32
_KEY_BYTES_MAX: Final = 4096


def load_key(path: str | Path) -> bytes:
    """The key in `path`, without white space around it.

    Raises ConfigError, naming the file, when it cannot be read, is too short to be a secret, or is open to others.
    """
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            key = file.read(_KEY_BYTES_MAX + 1).strip()
    except OSError as error:
        raise ConfigError(f"cluster_key_file: {path} cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise ConfigError(f"cluster_key_file: {path} may be read by others", hint=f"chmod 600 {path}")
    if not KEY_BYTES_MIN <= len(key) <= _KEY_BYTES_MAX:
        raise ConfigError(
            f"cluster_key_file: {path} holds {len(key)} characters, a key has {KEY_BYTES_MIN} to {_KEY_BYTES_MAX}"
        )
    return key


def make_key(path: str | Path) -> bytes:
    """Write a new random key to `path`, readable by its owner only.  Raises ConfigError when it cannot be made."""
    key = secrets.token_hex(32).encode()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ConfigError(f"cluster_key_file: {path} cannot be made: {error.strerror}") from error
    return key
