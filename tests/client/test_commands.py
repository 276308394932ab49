"""The commands as a user meets them: real processes, signals, files, mistakes.

Nothing here may leave a process: each test asks for that at its end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from lfsql.testing.cluster import STOP_S_MAX, Tier, free_port, is_running, running_tier, start_tier, wait_until

pytestmark = pytest.mark.client


def lfsql(*arguments: str | Path, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lfsql", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)


def assert_one_clear_line(done: subprocess.CompletedProcess[str], *words: str, status: int = 1) -> None:
    assert done.returncode == status, done.stderr
    lines = done.stderr.strip().splitlines()
    assert "Traceback" not in done.stderr, done.stderr
    assert len(lines) == 1 or status == 2, done.stderr
    for word in words:
        assert word in lines[-1], done.stderr


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which a tier ran, was given a table with one row, and was stopped."""
    directory = tmp_path_factory.mktemp("stopped") / "data"
    with running_tier(directory) as tier:
        with psycopg.connect(tier.dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (id int PRIMARY KEY)")
            connection.execute("INSERT INTO kept VALUES (1)")
        assert tier.stop() == 0
    return directory


def test_up_makes_its_files_and_says_ready_once(tmp_path: Path) -> None:
    started = time.monotonic()
    with running_tier(tmp_path / "data") as tier:
        assert time.monotonic() - started < 15
        output = tier.output.read_text()
        assert output.count("ready: ") == 1
        assert f"ready: {tier.dsn}\n" in output
        key = tmp_path / "data" / "cluster.key"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert all((tmp_path / "data" / name / "node.toml").exists() for name in ("n1", "n2", "n3"))
        assert (tmp_path / "data" / "proxy.toml").exists()
        status = tier.status()
        assert [node["name"] for node in status["nodes"]] == ["n1", "n2", "n3"]
        assert sorted(node["role"] for node in status["nodes"]) == ["primary", "replica", "replica"]
        assert all(node["healthy"] and is_running(node["pid"]) for node in status["nodes"])
        assert [proxy["address"] for proxy in status["proxies"]] == [f"127.0.0.1:{tier.port}"]
        secret = key.read_text().strip()
        for log in (tmp_path / "data").glob("*.log"):
            assert secret not in log.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_in_order(tmp_path: Path, number: signal.Signals) -> None:
    with running_tier(tmp_path / "data") as tier:
        with psycopg.connect(tier.dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (id int PRIMARY KEY)")
            assert tier.stop(number) == 0
        assert not any(is_running(pid) for pid in tier.pids)
        texts = [path.read_text() for path in (tmp_path / "data").glob("*.log")] + [tier.output.read_text()]
        assert not any("Traceback" in text for text in texts), texts


def test_a_terminals_ctrl_c_stops_all_without_a_traceback(tmp_path: Path) -> None:
    """A terminal signals the whole foreground group, not `lfsql up` alone."""
    with running_tier(tmp_path / "data") as tier:
        os.killpg(tier.process.pid, signal.SIGINT)
        assert tier.process.wait(STOP_S_MAX) == 0
        assert not any(is_running(pid) for pid in tier.pids)
        assert "Traceback" not in tier.output.read_text()


def test_no_orphans_when_up_itself_is_killed(tmp_path: Path) -> None:
    with running_tier(tmp_path / "data") as tier:
        tier.process.kill()
        tier.process.wait()
        wait_until(lambda: not any(map(is_running, tier.pids)), STOP_S_MAX, "the children to end")


def test_the_second_start_reuses_data_and_settings(stopped: Path) -> None:
    with running_tier(stopped, port=0) as tier, psycopg.connect(tier.dsn, autocommit=True) as connection:
        assert connection.execute("SELECT id FROM kept").fetchall() == [(1,)]
        connection.execute("INSERT INTO kept VALUES (2)")
        connection.execute("DELETE FROM kept WHERE id = 2")


def test_a_directory_can_be_moved(stopped: Path) -> None:
    moved = stopped.with_name("moved")
    stopped.rename(moved)
    try:
        with running_tier(moved) as tier, psycopg.connect(tier.dsn, autocommit=True) as connection:
            assert connection.execute("SELECT id FROM kept").fetchall() == [(1,)]
    finally:
        moved.rename(stopped)


def test_a_killed_child_stays_dead_and_is_told(tmp_path: Path) -> None:
    with running_tier(tmp_path / "data") as tier:
        pid = tier.kill("n2")
        wait_until(lambda: "n2" in tier.output.read_text(), 5, "up to tell of the dead node")
        assert f"n2 (pid {pid}) was killed by SIGKILL" in tier.output.read_text()
        assert "lfsql node --config" in tier.output.read_text()
        line = tier.node("n2")
        assert (line["role"], line["healthy"], line["pid"]) == ("unreachable", False, None)
        again = subprocess.Popen(
            [sys.executable, "-m", "lfsql", "node", "--config", str(tmp_path / "data" / "n2" / "node.toml")],
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: tier.node("n2")["healthy"], 10, "the node to be back")
            assert tier.node("n2")["pid"] == again.pid
        finally:
            again.terminate()
            assert again.wait(STOP_S_MAX) == 0


@pytest.mark.parametrize("nodes", [1, 2, 5])
def test_other_numbers_of_nodes(tmp_path: Path, nodes: int) -> None:
    with running_tier(tmp_path / "data", nodes=nodes) as tier:
        assert len(tier.status()["nodes"]) == nodes
        with psycopg.connect(tier.dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (id int PRIMARY KEY)")


def test_several_workers_share_the_port(tmp_path: Path) -> None:
    with running_tier(tmp_path / "data", "--workers", "2", nodes=1) as tier:
        assert len(tier.status()["proxies"]) == 2
        connections = [psycopg.connect(tier.dsn, autocommit=True) for _ in range(20)]
        try:
            assert len({connection.info.backend_pid for connection in connections}) == 20
            for connection in connections:
                assert connection.execute("SELECT 1").fetchone() == (1,)
        finally:
            for connection in connections:
                connection.close()
        assert tier.stop() == 0


def test_status_without_a_quorum_or_anybody(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    with running_tier(directory) as tier:
        done = lfsql("status", "--dir", directory)
        assert done.returncode == 0
        assert "primary n" in done.stdout
        address = tier.node("n1")["address"]
        done = lfsql("status", "--dir", directory, "--node", address)
        assert done.returncode == 0
        for name in ("n2", "n3"):
            tier.kill(name)
        wait_until(lambda: tier.status()["primary"] is None, 10, "the loss of the primary to show")
        assert lfsql("status", "--dir", directory, "--json").returncode == 1
        tier.stop()
    done = lfsql("status", "--dir", directory, "--json")
    assert done.returncode == 1
    assert done.stdout.count('"unreachable"') == 3
    assert "Traceback" not in done.stderr


# -- Mistakes ------------------------------------------------------------------------------------------------


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = lfsql("up", "--dir", tmp_path / "data", "--port", str(port))
        assert_one_clear_line(done, f"127.0.0.1:{port} is in use", "proxy.toml", "listen")


def test_a_directory_in_use(tmp_path: Path) -> None:
    with running_tier(tmp_path / "data") as tier:
        done = lfsql("up", "--dir", tmp_path / "data", "--port", str(free_port()))
        assert_one_clear_line(done, "is in use by another `lfsql up`")
        done = lfsql("node", "--config", tmp_path / "data" / "n1" / "node.toml")
        assert_one_clear_line(done, "n1", "is in use")
        assert tier.status()["primary"]


def test_another_number_of_nodes_than_before(stopped: Path) -> None:
    assert_one_clear_line(lfsql("up", "--dir", stopped, "--witnesses", "1"), "has 0 witnesses, not 1", "add-node")
    assert_one_clear_line(lfsql("up", "--dir", stopped, "--nodes", "5"), "has 3 nodes, not 5", "add-node")


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        (
            "n1/node.toml",
            "heartbeat_ms = 150",
            'heartbeat_ms = "fast"',
            ["n1/node.toml", "heartbeat_ms", "expected int"],
        ),
        ("n1/node.toml", "heartbeat_ms = 150", "heart_beat = 1", ["n1/node.toml", "heart_beat: is no setting"]),
        ("n1/node.toml", 'cluster_id = "', 'cluster_id = "x', ["cluster_id", "as in proxy.toml"]),
        ("proxy.toml", "workers = 1", "workers = 0", ["proxy.toml", "workers", "expected int >= 1"]),
        ("proxy.toml", "[[nodes]]", "[[nodes", ["proxy.toml", "not TOML"]),
        ("proxy.toml", 'listen = "127.0.0.1:', 'listen = "0.0.0.0:', ["proxy.toml", "listen", "without a password"]),
    ],
)
def test_a_mistake_in_a_file(stopped: Path, file: str, old: str, new: str, words: list[str]) -> None:
    path = stopped / file
    kept = path.read_text()
    assert old in kept
    path.write_text(kept.replace(old, new))
    try:
        assert_one_clear_line(lfsql("up", "--dir", stopped), *words)
    finally:
        path.write_text(kept)


def test_a_directory_of_another_cluster(stopped: Path) -> None:
    changed = [stopped / "proxy.toml", *stopped.glob("n*/node.toml")]
    kept = {path: path.read_text() for path in changed}
    try:
        for path, text in kept.items():
            path.write_text(text.replace('cluster_id = "', 'cluster_id = "x'))
        assert_one_clear_line(lfsql("up", "--dir", stopped), "belongs to cluster", "data_dir")
    finally:
        for path, text in kept.items():
            path.write_text(text)


def test_members_do_not_change_by_a_file(stopped: Path) -> None:
    file = stopped / "n1" / "node.toml"
    kept = file.read_text()
    try:
        file.write_text(kept + '\n[[peers]]\nname = "n4"\naddress = "127.0.0.1:1"\n')
        assert_one_clear_line(
            lfsql("node", "--config", file), "members have changed", "'n4' (voter) came", "`lfsql add-node`"
        )
    finally:
        file.write_text(kept)


def test_a_key_that_others_may_read_or_that_is_gone(stopped: Path) -> None:
    key = stopped / "cluster.key"
    key.chmod(0o644)
    try:
        assert_one_clear_line(lfsql("up", "--dir", stopped), "cluster_key_file", "may be read by others", "chmod 600")
    finally:
        key.chmod(0o600)
    hidden = key.rename(stopped / "hidden")
    try:
        assert_one_clear_line(lfsql("up", "--dir", stopped), "cluster_key_file", "No such file")
    finally:
        hidden.rename(key)


@pytest.mark.parametrize("database", ["log.db", "data.db"])
def test_a_damaged_data_directory(tmp_path: Path, database: str) -> None:
    with running_tier(tmp_path / "data", nodes=1) as tier:
        with psycopg.connect(tier.dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (id int PRIMARY KEY, text text)")
            connection.execute("INSERT INTO kept SELECT n, repeat('x', 500) FROM generate_series(1, 200) AS g(n)")
        tier.stop()
    path = tmp_path / "data" / "n1" / database
    content = bytearray(path.read_bytes())
    content[: len(content) // 2] = b"damage!!" * (len(content) // 16)
    path.write_bytes(content)
    assert_one_clear_line(lfsql("up", "--dir", tmp_path / "data"), database)


def test_a_file_that_is_absent(tmp_path: Path) -> None:
    assert_one_clear_line(lfsql("node", "--config", tmp_path / "no.toml"), "no.toml", "No such file")
    assert_one_clear_line(lfsql("proxy", "--config", tmp_path / "no.toml"), "no.toml", "No such file")
    assert_one_clear_line(lfsql("status", "--dir", tmp_path), "is no directory of lfsql")


@pytest.mark.parametrize(
    "arguments",
    [["up", "--nodes", "0"], ["up", "--port", "x"], ["up", "--unknown"], ["node"], ["nothing"], ["status", "extra"]],
)
def test_wrong_arguments(arguments: list[str]) -> None:
    assert_one_clear_line(lfsql(*arguments), status=2)


def test_local_time_is_not_the_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be another on each machine."""
    monkeypatch.setenv("TZ", "XYZ-5")
    with running_tier(tmp_path / "data", nodes=1) as tier, psycopg.connect(tier.dsn, autocommit=True) as connection:
        connection.execute("SET lfsql.dialect = 'sqlite'")
        connection.execute("CREATE TABLE t (a text)")
        written = connection.execute("INSERT INTO t VALUES (datetime(0, 'unixepoch', 'localtime')) RETURNING a")
        assert written.fetchone() == ("1970-01-01 00:00:00",)
        read = connection.execute("SELECT datetime(0, 'unixepoch', 'localtime') FROM t")
        assert read.fetchone() == ("1970-01-01 00:00:00",)


def test_a_stranger_on_the_link_learns_nothing_and_disturbs_nobody(tmp_path: Path) -> None:
    with running_tier(tmp_path / "data", nodes=1) as tier:
        host, port = tier.node("n1")["address"].split(":")
        for data in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 100_000, bytes(100_000)):
            with socket.create_connection((host, int(port)), timeout=10) as stranger:
                try:
                    stranger.sendall(data)
                    with contextlib.suppress(OSError):  # not connected: the node has closed it already
                        stranger.shutdown(socket.SHUT_WR)
                    answer = b"".join(iter(lambda stranger=stranger: stranger.recv(65536), b""))  # type: ignore[misc]  # bound now
                except ConnectionError:
                    answer = b""
                assert len(answer) < 1000
        with psycopg.connect(tier.dsn, autocommit=True) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_start_fails_as_a_whole_when_a_node_cannot_start(stopped: Path) -> None:
    """Nothing stays behind, and the next start works."""
    (stopped / "n2" / "identity.json").rename(stopped / "n2" / "away")
    try:
        assert_one_clear_line(lfsql("up", "--dir", stopped), "n2", "does not say whose they are")
    finally:
        (stopped / "n2" / "away").rename(stopped / "n2" / "identity.json")
    tier: Tier = start_tier(stopped)
    tier.end()
