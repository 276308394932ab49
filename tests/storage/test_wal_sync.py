"""What is committed survives a power loss once sync_commits has returned: the write-ahead log as it was fsynced then,
beside the file, gives it all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import apsw
import pytest

from lfsql.core.requests import Run
from lfsql.errors import DiskFailed
from lfsql.storage.engine import Engine
from lfsql.storage.wal_sync import sync_commits
from tests.storage.pair import Pair


def test_what_was_committed_before_the_call_is_in_what_was_fsynced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = Pair(tmp_path)
    path = tmp_path / "primary.db"
    fsynced: dict[str, bytes] = {}

    def fsync(descriptor: int) -> None:
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        fsynced[Path(name).name] = Path(name).read_bytes()

    monkeypatch.setattr(os, "fsync", fsync)
    pair.execute("CREATE TABLE t (a INTEGER PRIMARY KEY)")
    pair.execute("INSERT INTO t VALUES (1)")
    reader = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM t").fetchall()  # whom a checkpoint would have to wait for
    pair.execute("INSERT INTO t VALUES (2)")
    held = pair.primary.position
    sync_commits(path)
    pair.execute("INSERT INTO t VALUES (3)")
    assert set(fsynced) == {"primary.db-wal"}, "closing data.db itself would drop SQLite's locks"

    after = tmp_path / "after the power loss"
    after.mkdir()
    shutil.copy(path, after / "data.db")
    (after / "data.db-wal").write_bytes(fsynced["primary.db-wal"])
    reader.close()
    pair.close()
    engine = Engine(after / "data.db")
    try:
        assert engine.position == held
        engine.begin()
        engine.open_unit("c", 1, 0, 0)
        assert engine.run(Run("SELECT a FROM t")).rows == ((1,), (2,))
    finally:
        engine.close()


def test_a_file_that_was_closed_needs_nothing_and_a_failing_disk_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data.db"
    engine = Engine(path)
    engine.close()
    assert not path.with_name("data.db-wal").exists()
    sync_commits(path)

    def fsync(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    path.with_name("data.db-wal").touch()
    with pytest.raises(DiskFailed, match="Input/output error"):
        sync_commits(path)
