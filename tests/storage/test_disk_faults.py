"""data.db on a disk that fails, fills up, or loses its power at any moment: what it holds is always what a beginning
of the log makes, and the rest of the log makes the rest."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import apsw
import pytest

from lfsql.core.entry import Record
from lfsql.core.ids import Index
from lfsql.core.requests import Row, Run
from lfsql.errors import DataCorrupted, DiskFailed, DiskFull
from lfsql.storage.engine import Engine
from lfsql.storage.faults import unusable
from tests.storage.faulty_disk import FaultyDisk, faulty_disk
from tests.storage.pair import CLOCK_US, Pair, dump

Dump = dict[str, list[Row]]
CHECKPOINT_PAGES = 8
"""Often, so that the file itself is written in the middle of everything."""


class Story:
    """Records, and what a database holds after each."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.after: dict[Index, Dump] = {}
        pair = Pair(directory)
        self.after[0] = dump(pair.replica)
        statements = ["CREATE TABLE t (a INTEGER PRIMARY KEY, b text NOT NULL, c blob)"]
        statements += ["INSERT INTO t (b, c) VALUES (hex(randomblob(20)), randomblob(1500))"] * 4
        statements += [
            "CREATE INDEX i ON t (b)",
            "UPDATE t SET b = b || 'x' WHERE a = 2",
            "DELETE FROM t WHERE a = 3",
        ]
        statements += ["INSERT INTO t (b, c) VALUES ('late', randomblob(6000))"] * 2
        for statement in statements:
            pair.execute(statement)
            self.after[pair.replica.position.index] = dump(pair.replica)
        self.records: list[Record] = pair.records
        pair.close()

    def follow(self, engine: Engine, upto: Index | None = None) -> None:
        """Apply, two records at a time, what the engine lacks."""
        engine.connection.wal_autocheckpoint(CHECKPOINT_PAGES)
        while engine.next_index <= (upto or len(self.records)):
            engine.apply(self.records[engine.next_index - 1 : engine.next_index + 1])

    def check(self, path: Path) -> Index:
        """A file that something happened to must hold a beginning, and take the rest.  Where it stood."""
        engine = Engine(path)
        try:
            stood = engine.position.index
            assert dump(engine) == self.after[stood]
            self.follow(engine)
            assert dump(engine) == self.after[len(self.records)]
        finally:
            engine.close()
        return stood


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(tmp_path_factory.mktemp("story") / "pair")


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    with faulty_disk() as made:
        yield made


def test_a_power_loss_at_any_moment_leaves_a_beginning(story: Story, disk: FaultyDisk, tmp_path: Path) -> None:
    """The engine goes on, while copies are taken of what a power loss before each write would leave."""
    copies: list[Path] = []
    random = Random(7)

    def take(_operation: str) -> None:
        copies.append(tmp_path / f"lost-{len(copies)}")
        copies[-1].mkdir()
        disk.after_power_loss(copies[-1], random)

    engine = Engine(tmp_path / "data.db")
    disk.before = take
    story.follow(engine)
    engine.close()
    disk.before = lambda _operation: None
    stood = [story.check(copy / "data.db") for copy in copies]
    assert len(copies) > 30
    assert len(set(stood)) > 3, "losses came at many places"


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize(
    ("operations", "error"),
    [
        (("write", "truncate"), apsw.IOError("planted")),
        (("write", "truncate"), apsw.FullError("planted")),
        (("sync",), apsw.IOError("planted")),
    ],
    ids=["write", "full", "sync"],
)
def test_a_failing_disk_ends_the_engine_and_a_restart_goes_on(
    story: Story, disk: FaultyDisk, tmp_path: Path, operations: tuple[str, ...], error: apsw.Error, lasting: bool
) -> None:
    """The first such operation fails, then in another run the second, and so on, until none is left to fail."""
    begun = tmp_path / "begun.db"
    engine = Engine(begun)
    story.follow(engine, 4)
    engine.close()
    fails_at, failed = 0, True
    while failed:
        fails_at += 1
        path = tmp_path / f"{fails_at}.db"
        shutil.copy(begun, path)
        failed = _fails(story, disk, path, operations, error, fails_at, lasting=lasting)
        story.check(path)
    assert fails_at > 3


OPENING = """
import resource, signal, sys
from lfsql.errors import LfsqlError
from lfsql.storage.engine import Engine
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for limit in range(512, 80_000, 2_500):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        Engine(f"{sys.argv[1]}/{limit}.db").close()
        print("opened")
    except LfsqlError as error:
        print(type(error).__name__)
"""


def test_a_disk_that_fails_while_the_file_is_made_is_one_clear_error(tmp_path: Path) -> None:
    """Files that may grow to a size only, each time a larger one; in a process that has no other files to write."""
    command = [sys.executable, "-c", OPENING, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    told = done.stdout.split()
    assert set(told) == {"DiskFailed", "opened"}
    assert told.count("DiskFailed") > 2
    assert isinstance(unusable(apsw.FullError("planted"), "data.db"), DiskFull)


def test_a_disk_that_fails_while_the_file_is_closed_is_one_clear_error_and_loses_nothing(
    story: Story, disk: FaultyDisk, tmp_path: Path
) -> None:
    engine = Engine(tmp_path / "data.db")
    story.follow(engine, 3)
    planted = True

    def fail(operation: str) -> None:
        nonlocal planted
        if operation == "write" and planted:
            planted = False
            raise apsw.FullError("planted")

    disk.before = fail
    with pytest.raises(DiskFull):
        engine.close()
    disk.before = lambda _operation: None
    assert story.check(tmp_path / "data.db") >= 3


def _fails(
    story: Story,
    disk: FaultyDisk,
    path: Path,
    operations: tuple[str, ...],
    error: apsw.Error,
    fails_at: int,
    *,
    lasting: bool,
) -> bool:
    met = 0

    def fail(operation: str) -> None:
        nonlocal met
        met += operation in operations
        if operation in operations and (met >= fails_at if lasting else met == fails_at):
            raise error

    engine = Engine(path)
    disk.before = fail
    try:
        story.follow(engine)
    except (DiskFull, DiskFailed) as caught:
        if isinstance(caught, DiskFull) != isinstance(error, apsw.FullError):
            raise
    finally:
        disk.before = lambda _operation: None
        engine.close()
    return met >= fails_at


def test_a_flipped_bit_in_the_structure_is_met_as_damage_and_says_what_to_do(story: Story, tmp_path: Path) -> None:
    """In values it changes what is stored, which only a comparison of nodes finds."""
    whole = tmp_path / "whole.db"
    engine = Engine(whole)
    story.follow(engine)
    engine.close()
    content = whole.read_bytes()
    random = Random(11)
    hints: list[str] = []
    for number in range(60):
        path = tmp_path / f"{number}.db"
        flipped = bytearray(content)
        page = random.randrange(len(content) // 4096) * 4096
        flipped[page + (100 if page == 0 else 0) + random.randrange(12)] ^= 1 << random.randrange(8)
        path.write_bytes(flipped)
        try:
            _read_all(path)
        except DataCorrupted as error:
            hints.append(error.hint)
    assert len(hints) > 10
    assert {hint for hint in hints if "made again" not in hint} == set()


def _read_all(path: Path) -> None:
    engine = Engine(path)
    try:
        engine.begin()
        engine.open_unit("reader", 1, CLOCK_US, 1)
        engine.run(Run("SELECT * FROM t"))
        engine.run(Run("SELECT b FROM t ORDER BY b"))
    finally:
        engine.rollback()
        engine.close()
