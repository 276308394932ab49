"""The write path's rarer turns, on real nodes."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from lfsql.core.effects import TRANSFERRING, ProposalRefused
from lfsql.core.requests import (
    ABORTED,
    COMMIT,
    COMMITTED,
    HOLD,
    OPEN,
    ROLLBACK,
    Cancel,
    Describe,
    Described,
    Forget,
    LookUp,
    Outcome,
    Run,
    RunMany,
    Submit,
)
from lfsql.errors import LimitExceeded, NotPrimary, OutcomeUnknown, StalePlan
from lfsql.node.batch import Report
from lfsql.node.clients import REBASE_SECONDS_MAX
from tests.node.clusters import MEBIBYTE, Session, cluster_of, read

SERIES = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {})"

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
SLOW = f"INSERT INTO t SELECT NULL FROM ({ENDLESS})"


def sqlstate(outcome: Outcome) -> str:
    assert outcome.fault is not None
    return outcome.fault.sqlstate


async def test_a_statement_over_its_time_is_stopped_and_others_of_its_batch_are_not(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3) as cluster, cluster.link(await cluster.primary()) as link:
        await Session(link, "ddl").submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        outcomes: dict[str, Outcome] = {}

        async def run(client: str, sql: str, run_ms_max: int) -> None:
            outcomes[client] = await Session(link, client).submit(sql, run_ms_max=run_ms_max)

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(run, f"a{number}", "INSERT INTO t DEFAULT VALUES", 0)
            nursery.start_soon(run, "slow", SLOW, 50)
            for number in range(10):
                nursery.start_soon(run, f"b{number}", "INSERT INTO t DEFAULT VALUES", 5000)
        slow = outcomes.pop("slow")
        assert (slow.state, sqlstate(slow)) == (ABORTED, "57014")
        assert {outcome.state for outcome in outcomes.values()} == {COMMITTED}
        last = max(outcome.index for outcome in outcomes.values())
        assert (await read(link, "SELECT count(*) FROM t", min_index=last, wait_ms_max=5000)).rows == ((20,),)


@pytest.mark.parametrize("end", [COMMIT, HOLD])
async def test_a_statement_that_only_calls_functions_is_stopped_too(tmp_path: Path, end: int) -> None:
    """SQLite itself would not look at its interrupt before the last of them."""
    calls = "SELECT " + ", ".join(f"length(md5(repeat('{number}', 30000000)))" for number in range(40))
    async with cluster_of(tmp_path, 1) as cluster, cluster.link(await cluster.primary()) as link:
        session = Session(link, "a")
        await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        began = trio.current_time()
        outcome = await session.submit("INSERT INTO t DEFAULT VALUES", calls, end=end, run_ms_max=200)
        assert sqlstate(outcome) == "57014"
        assert trio.current_time() - began < 3


async def test_who_has_read_what_is_no_longer_so_does_not_get_the_writer(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3) as cluster, cluster.link(await cluster.primary()) as link:
        made = await Session(link, "ddl").submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        reader, writer = Session(link, "reader"), Session(link, "writer")
        outcome = await reader.submit("INSERT INTO t VALUES (1)", end=HOLD, base_index=made.index)
        assert outcome.state == OPEN
        waiting = trio.Event()
        overtaken: list[Outcome] = []

        async def wait_behind() -> None:
            waiting.set()
            overtaken.append(await writer.submit("INSERT INTO t VALUES (2)", end=HOLD, base_index=made.index))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_behind)
            await waiting.wait()
            done = await reader.submit(same=True)
        assert done.state == COMMITTED
        assert (overtaken[0].state, sqlstate(overtaken[0]), overtaken[0].results) == (ABORTED, "40001", ())
        # A transaction that wrote nothing has changed nothing that others could have read.
        await reader.submit("SELECT 1")
        outcome = await writer.submit("INSERT INTO t VALUES (2)", end=HOLD, base_index=done.index)
        assert outcome.state == OPEN
        assert (await writer.submit(same=True)).state == COMMITTED


async def test_who_waits_for_the_writer_for_too_long_goes_without(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster, cluster.link(await cluster.primary()) as link:
        await Session(link, "ddl").submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        holder, hasty, patient = (Session(link, name) for name in ("holder", "hasty", "patient"))
        assert (await holder.submit("INSERT INTO t VALUES (1)", end=HOLD)).state == OPEN
        let_in: list[Outcome] = []

        async def wait_longer() -> None:
            let_in.append(await patient.submit("INSERT INTO t VALUES (3)", lock_ms_max=60_000))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_longer)
            for end in (COMMIT, HOLD):
                began = trio.current_time()
                outcome = await hasty.submit("INSERT INTO t VALUES (2)", end=end, lock_ms_max=50)
                assert (outcome.state, sqlstate(outcome), outcome.results) == (ABORTED, "55P03", ())
                assert trio.current_time() - began > 0.05
                outcome = await hasty.submit("INSERT INTO t VALUES (2)", end=end, nowait=True)
                assert (outcome.state, sqlstate(outcome), outcome.results) == (ABORTED, "55P03", ())
            assert let_in == []
            assert (await holder.submit("INSERT INTO t VALUES (4)", same=True, lock_ms_max=1)).state == COMMITTED
        assert let_in[0].state == COMMITTED
        free = f"{SERIES.format(9)} INSERT INTO t SELECT n + 9 FROM s"
        assert (await hasty.submit(free, nowait=True)).state == COMMITTED, "no transaction has the writer"


async def test_who_will_not_wait_does_not_queue_behind_one_that_will_hold_the_writer(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster, cluster.link(await cluster.primary()) as link:
        await Session(link, "ddl").submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        outcomes: list[Outcome] = []
        busy, holder, hasty = (Session(link, name) for name in ("busy", "holder", "hasty"))
        long = f"{SERIES.format(300_000)} INSERT INTO t SELECT n FROM s"

        async def run(session: Session, *statements: str, **options: Any) -> None:
            outcomes.append(await session.submit(*statements, **options))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(run, busy, long))
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(partial(run, holder, "SELECT 1", end=HOLD))
            await trio.testing.wait_all_tasks_blocked()
            assert sqlstate(await hasty.submit("SELECT 1", end=HOLD, nowait=True)) == "55P03"
        assert {outcome.state for outcome in outcomes} == {COMMITTED, OPEN}


async def test_losing_the_batch_does_not_lose_the_layers_below(tmp_path: Path) -> None:
    """The transaction is lost while what is below it is in the log and not in SQLite."""
    async with cluster_of(tmp_path, 3) as cluster:
        async with cluster.link(await cluster.primary()) as link:
            await Session(link, "ddl").submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
            outcomes: dict[int, Outcome] = {}

            async def mixed(number: int) -> None:
                session = Session(link, f"c{number}")
                if number % 3 == 0:
                    opened = await session.submit(f"INSERT INTO t VALUES ({number})", end=HOLD)
                    assert opened.state == OPEN
                    # The duplicate key rolls the whole transaction back, with whatever it was stacked on.
                    outcomes[number] = await session.submit(
                        f"INSERT OR ROLLBACK INTO t VALUES ({number})", end=HOLD, same=True
                    )
                    again = await session.submit("INSERT INTO t VALUES (1000)", end=COMMIT, same=True)
                    assert again.state == ABORTED
                else:
                    outcomes[number] = await session.submit(f"INSERT INTO t VALUES ({number})")

            async with trio.open_nursery() as nursery:
                for number in range(30):
                    nursery.start_soon(mixed, number)
        states = {number: outcome.state for number, outcome in outcomes.items()}
        assert states == {number: ABORTED if number % 3 == 0 else COMMITTED for number in range(30)}
        await cluster.level()
        for name in cluster.configs:
            assert cluster.content(name, "SELECT id FROM t ORDER BY id") == [(n,) for n in range(30) if n % 3]


async def test_a_plan_for_another_schema_is_refused_before_it_runs(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster, cluster.link(await cluster.primary()) as link:
        session = Session(link, "a")
        created = await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        assert created.schema_index == created.index
        # Valid at once, though SQLite may not have committed the change yet.
        assert (await session.submit("INSERT INTO t VALUES (1)", schema_index=created.index)).state == COMMITTED
        altered = await session.submit("ALTER TABLE t ADD COLUMN v int", schema_index=created.index)
        assert altered.state == COMMITTED
        stale = await session.submit("INSERT INTO t VALUES (2, 2)", schema_index=created.index)
        assert (stale.state, sqlstate(stale)) == (ABORTED, StalePlan.sqlstate)
        assert stale.schema_index == altered.index
        assert (await session.submit("INSERT INTO t VALUES (2, 2)", schema_index=altered.index)).state == COMMITTED


async def test_cancel_reaches_what_runs_and_what_waits(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster, cluster.link(await cluster.primary()) as link:
        await Session(link, "ddl").submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        numbers = [link.next_request() for _ in range(2)]
        outcomes: list[Outcome] = []

        async def run(number: int, client: str, sql: str) -> None:
            answer = await link.request(Submit(number, client, 1, (Run(sql),), HOLD))
            assert isinstance(answer, Outcome)
            outcomes.append(answer)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, numbers[0], "runs", SLOW)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(run, numbers[1], "waits", "INSERT INTO t VALUES (1)")
            await trio.testing.wait_all_tasks_blocked()
            link.send_nowait(Cancel(numbers[1]))
            link.send_nowait(Cancel(numbers[0]))
        assert [sqlstate(outcome) for outcome in outcomes] == ["57014", "57014"]
        link.send_nowait(Forget("runs"))
        assert (await Session(link, "next").submit("INSERT INTO t VALUES (1)")).state == COMMITTED


async def test_forget_rolls_back(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster, cluster.link(await cluster.primary()) as link:
        session = Session(link, "a")
        await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        await session.submit("INSERT INTO t VALUES (1)", end=HOLD)
        link.send_nowait(Forget("a"))
        assert (await Session(link, "b").submit("INSERT INTO t VALUES (1)")).state == COMMITTED


async def test_a_unit_larger_than_a_record_is_cut_and_applied_whole(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3) as cluster:
        async with cluster.link(await cluster.primary()) as link:
            session = Session(link, "a")
            await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY, v blob)")
            sets = tuple((number, b"x" * 100_000) for number in range(100))
            answer = await link.request(
                Submit(link.next_request(), "a", 2, (RunMany("INSERT INTO t VALUES (?1, ?2)", sets),), COMMIT)
            )
            assert isinstance(answer, Outcome)
            assert answer.state == COMMITTED
        await cluster.level()
        for name in cluster.configs:
            assert cluster.content(name, "SELECT count(*), sum(length(v)) FROM t") == [(100, 10_000_000)]


async def test_describe_sees_the_clients_own_uncommitted_table(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster, cluster.link(await cluster.primary()) as link:
        session = Session(link, "a")
        await session.submit("CREATE TABLE fresh (id INTEGER PRIMARY KEY)", end=HOLD)
        own = await link.request(Describe(link.next_request(), "SELECT id FROM fresh", "a"))
        other = await link.request(Describe(link.next_request(), "SELECT id FROM fresh", "b"))
        assert isinstance(own, Described)
        assert isinstance(other, Described)
        assert [column.name for column in own.columns] == ["id"]
        assert other.fault is not None
        assert other.fault.sqlstate == "42P01"


async def test_a_replica_refuses_writes_and_names_the_primary(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3) as cluster:
        primary = await cluster.primary()
        replica = next(name for name in cluster.configs if name != primary)
        node = cluster.running[replica].node
        while node.driver.consensus.primary != primary:
            await node.wait_changed()
        async with cluster.link(replica) as link:
            refused = await Session(link, "a").submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
            assert (refused.state, sqlstate(refused)) == (ABORTED, NotPrimary.sqlstate)
            assert refused.fault is not None
            assert primary in refused.fault.hint


async def test_what_was_never_run_is_looked_up_as_aborted(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster, cluster.link(await cluster.primary()) as link:
        answer = await link.request(LookUp(link.next_request(), "nobody", 1))
        assert isinstance(answer, Outcome)
        assert (answer.state, answer.fault) == (ABORTED, None)


async def test_without_a_quorum_nothing_is_acknowledged_but_local_durability_is(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3) as cluster:
        primary = await cluster.primary()
        async with cluster.link(primary) as link:
            await Session(link, "ddl").submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
            await cluster.level()
            others = [name for name in cluster.configs if name != primary]
            waiting: list[Outcome] = []

            async def write() -> None:
                waiting.append(await Session(link, "quorum").submit("INSERT INTO t VALUES (2)"))

            async with trio.open_nursery() as nursery:
                for name in others:
                    nursery.start_soon(cluster.stop, name)
            local = await Session(link, "local").submit("INSERT INTO t VALUES (1)", local=True)
            assert local.state == COMMITTED
            # The primary notices that it has lost its quorum and steps down: the fate is unknown, not failure.
            await write()
            assert waiting[0].state == ABORTED
            assert sqlstate(waiting[0]) in {OutcomeUnknown.sqlstate, NotPrimary.sqlstate}


async def test_an_idle_transaction_does_not_hide_what_was_acknowledged_below_it(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3) as cluster:
        async with cluster.link(await cluster.primary()) as link:
            await Session(link, "ddl").submit("CREATE TABLE t (id INTEGER PRIMARY KEY, v int)")
            outcomes: dict[str, Outcome] = {}
            idle, below = Session(link, "idle"), Session(link, "below")

            async def run(session: Session, *statements: str, end: int) -> None:
                outcomes[session.client] = await session.submit(*statements, end=end)

            async with trio.open_nursery() as nursery:
                # Both leave in one packet, so the transaction is stacked on a unit that waits for its quorum.
                nursery.start_soon(partial(run, below, "INSERT INTO t VALUES (1, 0)", end=COMMIT))
                await trio.testing.wait_all_tasks_blocked(0)
                insert = "INSERT INTO t (v) SELECT abs(random() % 1000) + count(*) FROM t RETURNING id, v"
                nursery.start_soon(partial(run, idle, insert, end=HOLD))
            assert (outcomes["below"].state, outcomes["idle"].state) == (COMMITTED, OPEN)
            seen = await read(link, "SELECT count(*) FROM t", min_index=outcomes["below"].index, wait_ms_max=5000)
            assert (seen.fault, seen.rows) == (None, ((1,),))
            done = await idle.submit("SELECT id, v FROM t WHERE id > 1", end=COMMIT, same=True)
            assert done.state == COMMITTED
            assert done.results[0].rows == outcomes["idle"].results[0].rows
        await cluster.level()
        for name in cluster.configs:
            assert cluster.content(name, "SELECT id, v FROM t WHERE id > 1") == list(done.results[0].rows)


async def test_an_idle_transaction_ends_in_time_though_it_took_long_to_run_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with cluster_of(tmp_path, 3) as cluster, cluster.link(await cluster.primary()) as link:
        await Session(link, "ddl").submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        writer = cluster.running[await cluster.primary()].node._writer
        go_on, rang = threading.Event(), trio.Event()
        rebase, check = writer._runner.rebase, writer._idle_alarm._check

        def rebase_slowly(*given: Any) -> Report:
            assert go_on.wait(10)
            return rebase(*given)

        def ring() -> float:
            if writer._busy:
                rang.set()
            return check()

        monkeypatch.setattr(writer._runner, "rebase", rebase_slowly)
        monkeypatch.setattr(writer._idle_alarm, "_check", ring)
        idle, below = Session(link, "idle"), Session(link, "below")

        async def run(session: Session, end: int) -> None:
            await session.submit("INSERT INTO t DEFAULT VALUES", end=end, idle_ms_max=1000)

        stacked = False
        while not stacked:
            # Both leave in one packet, so that the transaction is stacked on a unit that waits for its quorum.
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run, below, COMMIT)
                await trio.testing.wait_all_tasks_blocked(0)
                nursery.start_soon(run, idle, HOLD)
            stacked = writer._stack.layers > 0
            if not stacked:
                await idle.submit(end=ROLLBACK, same=True)
        await rang.wait()
        go_on.set()
        with trio.fail_after(5):
            assert (await Session(link, "next").submit("INSERT INTO t DEFAULT VALUES")).state == COMMITTED


async def test_a_transaction_that_ran_long_is_not_run_again(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3) as cluster, cluster.link(await cluster.primary()) as link:
        await Session(link, "ddl").submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        node = cluster.running[await cluster.primary()].node
        session = Session(link, "a")
        opened = await session.submit(f"INSERT INTO t SELECT i FROM ({ENDLESS} LIMIT 400000)", end=HOLD)
        assert opened.state == OPEN
        owner = node._writer._ownership.present
        assert (owner.seconds > REBASE_SECONDS_MAX) == (owner.done is None)
        while owner.seconds <= REBASE_SECONDS_MAX:
            await session.submit(f"SELECT count(*) FROM ({ENDLESS} LIMIT 400000)", end=HOLD, same=True)
        assert owner.done is None
        assert (await session.submit(end=COMMIT, same=True)).state == COMMITTED


async def test_a_value_too_large_for_a_record_ends_no_reign(tmp_path: Path) -> None:
    limits = {"frame_bytes_max": 5 * MEBIBYTE, "unit_bytes_max": 4_700_000, "append_bytes_max": MEBIBYTE}
    async with cluster_of(tmp_path, 1, **limits) as cluster, cluster.link(await cluster.primary()) as link:
        await Session(link, "ddl").submit("CREATE TABLE t (v)")
        node = cluster.running["n1"].node
        term, reigning = node.driver.consensus.term, node._writer._finished
        text = "x" * (4 * MEBIBYTE + 100_000)
        answer = await link.request(
            Submit(link.next_request(), "large", 1, (Run("INSERT INTO t VALUES (?1)", (text,)),))
        )
        assert isinstance(answer, Outcome)
        assert (answer.state, sqlstate(answer)) == (ABORTED, LimitExceeded.sqlstate)
        assert (await Session(link, "next").submit("INSERT INTO t VALUES (1)")).state == COMMITTED
        assert node.driver.consensus.term == term
        assert node._writer._finished is reigning


async def test_a_primary_that_is_cut_off_commits_nothing_that_only_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another may have been elected, and have written since: it must not vouch for what it read."""
    async with cluster_of(tmp_path, 3) as cluster:
        primary = await cluster.primary()
        async with cluster.link(primary) as link:
            await Session(link, "ddl").submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
            held = Session(link, "held")
            # With its quorum it does.
            assert (await held.submit("SELECT count(*) FROM t", end=HOLD)).state == OPEN
            assert (await held.submit(end=COMMIT, same=True)).state == COMMITTED
            monkeypatch.setattr(cluster.running[primary].node.driver, "_send", lambda _to, _message: None)
            outcomes: dict[str, Outcome] = {}

            async def run(name: str, sql: str) -> None:
                outcomes[name] = await Session(link, name).submit(sql)

            assert (await held.submit("SELECT count(*) FROM t", end=HOLD)).state == OPEN
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run, "single", "SELECT count(*) FROM t")
                nursery.start_soon(run, "error", "INSERT INTO t (missing) VALUES (1)")
                outcomes["held"] = await held.submit(end=COMMIT, same=True)
            for outcome in outcomes.values():
                assert outcome.state == ABORTED
                assert sqlstate(outcome) in {OutcomeUnknown.sqlstate, NotPrimary.sqlstate}


@pytest.mark.parametrize("held", [False, True])
async def test_what_saw_a_write_that_consensus_refused_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: bool
) -> None:
    """The write waits a moment for company, a reader sees it meanwhile, and then the lead is being handed over."""
    async with cluster_of(tmp_path, 1) as cluster:
        name = await cluster.primary()
        async with cluster.link(name) as link:
            await Session(link, "ddl").submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
            driver = cluster.running[name].node.driver
            propose, refused = driver.propose, [ProposalRefused(TRANSFERRING, "")]
            monkeypatch.setattr(driver, "propose", lambda *layer: refused.pop() if refused else propose(*layer))
            outcomes: dict[str, Outcome] = {}
            writer, reader = Session(link, "writer"), Session(link, "reader")

            async def read_all() -> None:
                if held:
                    await reader.submit("SELECT id FROM t", end=HOLD)
                outcomes["reader"] = await reader.submit("SELECT id FROM t", same=held)

            async def write() -> None:
                outcomes["writer"] = await writer.submit(end=COMMIT, same=True)

            assert (await writer.submit("INSERT INTO t VALUES (1)", end=HOLD)).state == OPEN
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read_all)
                await trio.testing.wait_all_tasks_blocked(0.01)
                nursery.start_soon(write)
            assert not refused
            assert {name: sqlstate(outcome) for name, outcome in outcomes.items()} == {
                "writer": NotPrimary.sqlstate,
                "reader": NotPrimary.sqlstate,
            }
            assert cluster.content(name, "SELECT id FROM t") == []


async def test_who_goes_on_with_another_transaction_has_left_the_one_before(tmp_path: Path) -> None:
    """A proxy that took it for over: what it had written is no part of the next."""
    async with cluster_of(tmp_path, 1) as cluster, cluster.link(await cluster.primary()) as link:
        session = Session(link, "a")
        await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        assert (await session.submit("INSERT INTO t VALUES (1)", end=HOLD)).state == OPEN
        assert (await session.submit("INSERT INTO t VALUES (2)", end=HOLD)).state == OPEN
        done = await session.submit("INSERT INTO t VALUES (3)", same=True)
        assert done.state == COMMITTED
        found = await read(link, "SELECT id FROM t", min_index=done.index, wait_ms_max=5000)
        assert found.rows == ((2,), (3,))


async def test_a_look_up_is_not_cancelled(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster, cluster.link(await cluster.primary()) as link:
        await Session(link, "a").submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        holder = Session(link, "holder")
        assert (await holder.submit("INSERT INTO t VALUES (1)", end=HOLD)).state == OPEN
        answers: list[Any] = []

        async def look_up() -> None:
            answers.append(await link.request(LookUp(link.next_request(), "a", 1), stop_at=trio.current_time()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look_up)
            await holder.submit("SELECT 1", end=HOLD, same=True)  # by then the cancel has come
            await holder.submit(same=True)
        assert (answers[0].state, answers[0].fault) == (COMMITTED, None)
