"""Copies of data.db: made while others write, put in place while others read, whole after a crash at any step."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path

import msgspec
import pytest
import trio

from lfsql.core.ids import Position
from lfsql.core.requests import Run
from lfsql.errors import DataCorrupted, LfsqlError, ShuttingDown
from lfsql.node.rebuilding import adopt
from lfsql.storage import installation
from lfsql.storage.engine import Engine
from lfsql.storage.installation import Installation
from lfsql.storage.reader import Reader
from lfsql.storage.snapshot import Copy, check_copy, install_copy, make_copy
from lfsql.storage.statement_log import StatementLog
from tests.storage.pair import Pair, dump
from tests.storage.test_statement_log import chain, small_files

__all__ = ["small_files"]

ROOT = Path(__file__).resolve().parents[2]


def goes_on() -> bool:
    return False


def fill(pair: Pair, rows: int = 400) -> None:
    pair.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
    pair.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)"
        " INSERT INTO t SELECT i, printf('%.9000d', i) FROM n ORDER BY i"
        if rows == 400
        else "INSERT INTO t VALUES (1, 'small')"
    )


def test_a_copy_is_of_one_moment_though_writes_go_on(pair: Pair, tmp_path: Path) -> None:
    fill(pair)
    before, position = dump(pair.primary), pair.primary.position
    written = 0

    def write() -> bool:
        nonlocal written
        written += 1
        assert written < 50, "it begins again with every write, and never ends"
        pair.execute(f"UPDATE t SET b = printf('%.9000d', {written}) WHERE a = {written}")
        return False

    copy = make_copy(tmp_path / "primary.db", tmp_path / "copy.db", write)
    assert written > 3
    content = (tmp_path / "copy.db").read_bytes()
    assert copy == Copy(position, len(content), blake2b(content, digest_size=16).digest())
    check_copy(tmp_path / "copy.db", copy, goes_on)
    assert [path.name for path in tmp_path.glob("copy*")] == ["copy.db"]
    engine = Engine(tmp_path / "copy.db")
    assert dump(engine) == before
    engine.close()


def test_a_copy_that_is_not_wanted_any_more_is_stopped(pair: Pair, tmp_path: Path) -> None:
    fill(pair)
    with pytest.raises(ShuttingDown):
        make_copy(tmp_path / "primary.db", tmp_path / "copy.db", lambda: True)


def test_a_damaged_copy_is_found(pair: Pair, tmp_path: Path) -> None:
    fill(pair)
    copy = make_copy(tmp_path / "primary.db", tmp_path / "copy.db", goes_on)
    with pytest.raises(DataCorrupted, match="stands at index"):
        check_copy(tmp_path / "copy.db", Copy(Position(9, 9), copy.bytes_total, copy.digest), goes_on)
    content = bytearray((tmp_path / "copy.db").read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 16] = b"\xa5" * 16
    (tmp_path / "copy.db").write_bytes(content)
    with pytest.raises(DataCorrupted):
        check_copy(tmp_path / "copy.db", copy, goes_on)


@pytest.mark.parametrize("target_is_larger", [False, True])
def test_readers_see_the_old_content_or_the_new(pair: Pair, tmp_path: Path, target_is_larger: bool) -> None:
    (tmp_path / "target").mkdir()
    target = Pair(tmp_path / "target")
    fill(pair, 1 if target_is_larger else 400)
    fill(target, 400 if target_is_larger else 1)
    target.execute("CREATE TABLE only_here (a INTEGER PRIMARY KEY)")
    pair.execute("CREATE INDEX only_there ON t (b)")
    copy = make_copy(tmp_path / "primary.db", tmp_path / "copy.db", goes_on)
    path = tmp_path / "target" / "replica.db"
    reader = Reader(path)
    reader.begin()
    count = "SELECT count(*), sum(length(b)) FROM t"
    before = reader.try_rows(count, (), 1 << 40, 10, 1 << 20)
    install_copy(tmp_path / "copy.db", path)
    assert reader.try_rows(count, (), 1 << 40, 10, 1 << 20) == before
    assert reader.try_rows("SELECT * FROM only_here", (), 1 << 40, 10, 1 << 20) == []
    reader.end()
    reader.begin()
    assert reader.index == copy.position.index
    assert reader.try_rows(count, (), 1 << 40, 10, 1 << 20) != before
    with pytest.raises(LfsqlError, match="only_here"):
        reader.try_rows("SELECT * FROM only_here", (), 1 << 40, 10, 1 << 20)
    reader.close()
    target.close()
    engine = Engine(path)
    assert dump(engine) == dump(pair.primary)
    assert engine.position == pair.primary.position
    engine.begin()
    engine.open_unit("c", 1, 0, 0)
    engine.run(Run("INSERT INTO t VALUES (1000, 'goes on')"))
    engine.close()


READ_ON = """
import sys
from lfsql.storage.reader import Reader
reader, seen = Reader(sys.argv[1]), set()
print("ready", flush=True)
while True:
    reader.begin()
    index = reader.index
    rows = reader.try_rows("SELECT min(b), max(b), count(*) FROM t", (), 1 << 40, 10, 1 << 20)
    others = reader.try_rows("SELECT min(b), max(b), count(*) FROM u", (), 1 << 40, 10, 1 << 20)
    reader.end()
    assert rows[0][0] == rows[0][1] == others[0][0] == others[0][1] and others[0][2] == 5 * rows[0][2], (rows, others)
    if (index, rows[0]) not in seen:
        seen.add((index, rows[0]))
        print(index, rows[0][0], flush=True)
    if len(seen) == 4:
        break
"""


def test_a_reader_in_another_process_never_sees_a_mixture(tmp_path: Path) -> None:
    copies = []
    for number in (1, 2, 3, 4):
        engine = Engine(tmp_path / f"{number}.db")
        engine.begin()
        engine.open_unit("c", number, 0, 0)
        rows = 100 * number
        numbers = f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows} * %d)"
        for table, times in (("t", 1), ("u", 5)):
            engine.run(Run(f"CREATE TABLE {table} (a INTEGER PRIMARY KEY, b INTEGER, c TEXT)"))
            engine.run(
                Run(
                    f"{numbers % times} INSERT INTO {table} SELECT i, {number}, printf('%.700d', i) FROM n ORDER BY i"
                )
            )
        engine.close_unit()
        engine.commit(Position(number, 1, b"h" * 16), [number])
        engine.close()
        copies.append(tmp_path / f"{number}.copy")
        make_copy(tmp_path / f"{number}.db", copies[-1], goes_on)
    path = tmp_path / "data.db"
    install_copy(copies[0], path)
    child = subprocess.Popen(
        [sys.executable, "-c", READ_ON, str(path)], stdout=subprocess.PIPE, text=True, env=os.environ, cwd=ROOT
    )
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == "ready\n"
        for number, copy in enumerate(copies, 1):
            install_copy(copy, path)
            assert child.stdout.readline() == f"{number} {number}\n"
        assert child.wait(20) == 0
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


INSTALL = """
import os, sys, signal
from pathlib import Path
import trio
from lfsql.node.rebuilding import adopt
from lfsql.storage import installation, snapshot
from lfsql.storage.installation import Installation
from lfsql.storage.statement_log import StatementLog
import msgspec
directory, fatal = Path(sys.argv[1]), int(sys.argv[2])
steps = 0

def watched(function):
    def step(*arguments, **options):
        global steps
        steps += 1
        if steps == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return step

snapshot._STEP_PAGES = 300
snapshot._step = watched(snapshot._step)
installation.settle = watched(installation.settle)
snapshot.sync_commits = watched(snapshot.sync_commits)
os.fsync, os.replace = watched(os.fsync), watched(os.replace)
Path.unlink = watched(Path.unlink)
StatementLog._begin_at = watched(StatementLog._begin_at)
StatementLog._moved_to = watched(StatementLog._moved_to)

async def main():
    plan = msgspec.json.decode(sys.argv[3], type=Installation)
    installation.begin(directory, plan)
    installation.copy_data(directory, directory / "data.db", plan)
    async with StatementLog(directory / "log.db") as log:
        await adopt(log, plan, directory)

trio.run(main)
print(steps)
"""


async def test_a_crash_at_any_step_leaves_the_old_or_the_new(pair: Pair, tmp_path: Path) -> None:
    fill(pair)
    before = tmp_path / "before"
    before.mkdir()
    Engine(before / "data.db").close()
    copy = make_copy(tmp_path / "primary.db", before / "snapshot.in", goes_on)
    async with StatementLog(before / "log.db") as log:
        await log.write(chain(1), hard_state=b"")
    plan = Installation(copy.position, b"members")
    new = dump(pair.primary)
    found = {"old": 0, "new": 0}
    fatal = 0
    while True:
        fatal += 1
        directory = tmp_path / f"at {fatal}"
        directory.mkdir()
        for path in before.iterdir():
            os.link(path, directory / path.name) if path.name == "snapshot.in" else (
                directory / path.name
            ).write_bytes(path.read_bytes())
        arguments = [sys.executable, "-c", INSTALL, str(directory), str(fatal), msgspec.json.encode(plan).decode()]
        done = await trio.run_process(arguments, capture_stdout=True, capture_stderr=True, check=False, cwd=ROOT)
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        resumed = installation.resume(directory)
        engine = Engine(directory / "data.db")
        async with StatementLog(directory / "log.db") as log:
            if resumed is not None:
                await adopt(log, resumed, directory)
            left = {path.name for path in directory.glob("snapshot*")} - {"snapshot.new"}
            assert not left, f"left after a crash at step {fatal}"
            if engine.position == Position():
                assert (log.base, log.last.index) == (Position(), 1)
                found["old"] += 1
            else:
                assert dump(engine) == new
                assert (engine.position, log.base, log.last) == (copy.position, copy.position, copy.position)
                assert log.base_configuration == b"members"
                found["new"] += 1
        engine.close()
        if done.returncode == 0:
            assert int(done.stdout) == fatal - 1
            break
    assert found["old"] >= 2
    assert found["new"] >= 10


async def test_a_log_that_holds_the_snapshots_position_stays_as_it_is(tmp_path: Path) -> None:
    records = chain(10)
    async with StatementLog(tmp_path / "log.db") as log:
        await log.write(records)
        at = records[4]
        await adopt(log, Installation(Position(at.index, at.term, at.hash), b""), tmp_path)
        assert (log.base, log.last.index) == (Position(), 10)
        await adopt(log, Installation(Position(at.index, 2, b"o" * 16), b""), tmp_path)
        assert (log.base, log.last) == (Position(5, 2, b"o" * 16), Position(5, 2, b"o" * 16))
        await adopt(log, Installation(Position(50, 3, b"p" * 16), b""), tmp_path)
        assert log.base == Position(50, 3, b"p" * 16)


def test_without_room_the_old_content_stays(pair: Pair, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    fill(pair)
    make_copy(tmp_path / "primary.db", tmp_path / "copy.db", goes_on)
    path = tmp_path / "data.db"
    Engine(path).close()
    request.getfixturevalue("small_files")
    with pytest.raises(LfsqlError):
        install_copy(tmp_path / "copy.db", path)
    engine = Engine(path)
    assert engine.position == Position()
    engine.close()


def test_the_python_that_reads_the_file_has_no_part_in_it(pair: Pair, tmp_path: Path) -> None:
    """Any SQLite can read a copy: it is a database like the one it was made of."""
    fill(pair)
    make_copy(tmp_path / "primary.db", tmp_path / "copy.db", goes_on)
    connection = sqlite3.connect(tmp_path / "copy.db")
    assert connection.execute("SELECT count(*) FROM t").fetchall() == [(400,)]
    connection.close()
