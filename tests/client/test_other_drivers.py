"""Drivers of other languages: node-postgres, pgx, and PostgreSQL's for Java.

Each has a program of its own under `drivers/`, which does what applications do and prints the name of every step that
held.  Needs the language's tools, and the registry its driver comes from; a test without them is skipped and says so.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.client.conftest import Server

pytestmark = [pytest.mark.client, pytest.mark.slow]

DRIVERS = Path(__file__).parent / "drivers"
JAR = "https://repo1.maven.org/maven2/org/postgresql/postgresql/42.7.4/postgresql-42.7.4.jar"
JAR_SHA256 = "188976721ead8e8627eb6d8389d500dccc0c9bebd885268a3047180274a6031e"
FETCH_S_MAX = 60
BUILD_S_MAX = 600


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def prepare(command: list[str], where: Path, seconds_max: float) -> None:
    """Fetch or build; a registry that cannot be reached skips the test."""
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=seconds_max, check=False)
    if done.returncode:
        pytest.skip(f"{' '.join(command)}: {done.stderr.strip()[-300:]}")


def run(command: list[str], source: Path, where: Path) -> None:
    """The program must end well and have gone through every step that is in its text."""
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    steps = re.findall(r'^ *\t*(?:await )?step\("([^"]+)"', source.read_text(), re.MULTILINE)
    assert steps
    assert (done.stdout.splitlines(), done.returncode) == (steps, 0), done.stderr


@pytest.fixture(scope="session")
def node_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tool("node")
    directory = tmp_path_factory.mktemp("node")
    shutil.copytree(DRIVERS / "node", directory, dirs_exist_ok=True)
    prepare([tool("npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts"], directory, FETCH_S_MAX)
    return directory


@pytest.fixture(scope="session")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once for the session, before a test's own time begins: the compiler may take a minute."""
    built = tmp_path_factory.mktemp("go") / "driver"
    go = tool("go")
    prepare([go, "mod", "download"], DRIVERS / "go", FETCH_S_MAX)
    subprocess.run([go, "build", "-o", str(built), "."], cwd=DRIVERS / "go", check=True, timeout=BUILD_S_MAX)
    return built


@pytest.fixture(scope="session")
def jar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("java") / "postgresql.jar"
    try:
        with urllib.request.urlopen(JAR, timeout=FETCH_S_MAX) as answer:
            content = answer.read()
    except urllib.error.URLError as error:
        pytest.skip(f"{JAR}: {error}")
    assert hashlib.sha256(content).hexdigest() == JAR_SHA256
    path.write_bytes(content)
    return path


def test_node_postgres(lfsql_server: Server, node_directory: Path) -> None:
    run([tool("node"), "driver.mjs", lfsql_server.dsn], node_directory / "driver.mjs", node_directory)


def test_pgx(lfsql_server: Server, go_program: Path, tmp_path: Path) -> None:
    run([str(go_program), lfsql_server.dsn], DRIVERS / "go" / "main.go", tmp_path)


def test_jdbc(lfsql_server: Server, jar: Path, tmp_path: Path) -> None:
    address = f"{lfsql_server.host}:{lfsql_server.port}"
    source = DRIVERS / "java" / "Driver.java"
    run([tool("java"), "-cp", str(jar), str(source), address], source, tmp_path)
