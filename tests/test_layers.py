"""The floors of the project, held by its imports; and the purity of the pure parts.

No import runs upward: command line, then node and proxy, then storage and net, then core and config, then errors.
The pure parts (`lfsql/core`, `lfsql/values`, `proxy/pg`, `proxy/sql`) get time and random draws as arguments, so that
a simulator can run them; they import nothing that reads a clock, draws, waits or touches a file, and use no builtin
that does.

The rules are a table, read by one function over {module name: source}.  The second half of this file plants
violations in that table's way and shows that each is found: a checker that cannot fail proves nothing.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

_PURE_STANDARD = """
__future__ abc array base64 binascii bisect codecs collections contextlib copy dataclasses datetime decimal enum
fractions functools hashlib heapq hmac ipaddress itertools json keyword math numbers operator re reprlib string
statistics struct stringprep textwrap types typing unicodedata uuid zlib
"""
PURE_STANDARD = frozenset(_PURE_STANDARD.split())
"""Modules of the standard library whose functions are functions of their arguments (exceptions below)."""

IMPURE_CALLS = frozenset(
    ["open", "print", "input", "exec", "eval", "breakpoint", "__import__", "id", "hash", "globals"]
)
"""Builtins that do I/O, or whose answer differs between runs."""

IMPURE_ATTRIBUTES = frozenset(["now", "utcnow", "today", "uuid1", "uuid4", "getnode"])
"""Attributes of datetime, date and uuid that read the clock or the machine."""


@dataclass(frozen=True)
class Layer:
    """What the modules below `prefix` may import.  A module belongs to the longest prefix that fits."""

    prefix: str
    project: tuple[str, ...]
    third_party: tuple[str, ...] = ()
    pure: bool = False
    draws: bool = False
    """May import `random`, which production must not."""


_LFSQL = ("lfsql.core", "lfsql.errors", "lfsql.config", "lfsql.storage", "lfsql.net", "lfsql.node")

LAYERS = (
    Layer("lfsql.errors", ("lfsql.errors",), pure=True),
    Layer("lfsql.values", ("lfsql.values", "lfsql.errors"), pure=True),
    Layer("lfsql.core", ("lfsql.core", "lfsql.errors"), ("msgspec",), pure=True),
    Layer("lfsql.toml_text", ()),
    Layer("lfsql.config", ("lfsql.errors", "lfsql.toml_text"), ("msgspec",)),
    Layer(
        "lfsql.storage",
        ("lfsql.storage", "lfsql.core", "lfsql.values", "lfsql.errors"),
        ("apsw", "aiosqlite", "msgspec", "regex"),
    ),
    Layer(
        "lfsql.storage.aiosqlite_trio",
        ("lfsql.storage", "lfsql.core", "lfsql.errors"),
        ("aiosqlite", "msgspec", "outcome", "trio"),
    ),
    Layer(
        "lfsql.storage.reads",
        ("lfsql.storage", "lfsql.core", "lfsql.errors"),
        ("apsw", "msgspec", "trio"),
    ),
    Layer("lfsql.net", ("lfsql.net", "lfsql.core", "lfsql.errors"), ("msgspec", "trio")),
    # `outcome` comes with trio: what a job in a thread gave, a value or an error.
    Layer("lfsql.node", _LFSQL, ("msgspec", "outcome", "trio")),
    # The order of effects; the simulator runs it.
    Layer("lfsql.node.carrying", ("lfsql.core", "lfsql.errors"), ("msgspec",), pure=True),
    Layer("lfsql.testing", (*_LFSQL, "lfsql.testing"), ("msgspec", "trio")),
    # What is simulated is drawn from a seed.
    Layer("lfsql.testing.simulator", (*_LFSQL, "lfsql.testing"), ("msgspec", "outcome"), draws=True),
    Layer("lfsql", ("lfsql.core", "lfsql.errors", "lfsql.config"), ("msgspec",)),
    Layer("lfsql.cli", (*_LFSQL, "lfsql.cli", "proxy"), ("click", "rich", "msgspec", "trio")),
    Layer("lfsql.__main__", ("lfsql.cli",)),
    Layer("proxy.pg", ("proxy.pg", "lfsql.values", "lfsql.errors"), pure=True),
    Layer(
        "proxy.sql",
        ("proxy.sql", "proxy.pg.oids", "proxy.pg.types", "lfsql.errors"),
        ("sqlglot",),
        pure=True,
    ),
    # Which copy is read: policies over values, tried on simulated copies.
    Layer("proxy.balancing", ("proxy.balancing",), pure=True),
    # Of storage only what reads need: the readers, SQL functions, what an SQLite error means, and what rows take.
    Layer(
        "proxy",
        (
            "proxy",
            "lfsql.core",
            "lfsql.errors",
            "lfsql.config",
            "lfsql.net",
            "lfsql.storage.reads",
            "lfsql.storage.reader",
            "lfsql.storage.functions",
            "lfsql.storage.faults",
            "lfsql.storage.portal",
            "lfsql.storage.heap",
        ),
        ("msgspec", "trio", "apsw"),
    ),
)

BANNED_EVERYWHERE = frozenset({"asyncio", "sqlite3", "random", "pickle", "multiprocessing"})
"""One event loop (trio), one SQLite for the data (apsw), randomness only as values or from `secrets`."""


def within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(f"{prefix}.")


def layer_of(module: str) -> Layer | None:
    fitting = [layer for layer in LAYERS if within(module, layer.prefix)]
    return max(fitting, key=lambda layer: len(layer.prefix)) if fitting else None


def is_package(module: str, modules: Mapping[str, str]) -> bool:
    return any(name.startswith(f"{module}.") for name in modules)


def imports_of(module: str, modules: Mapping[str, str], *, at_import_only: bool = False) -> Iterator[tuple[int, str]]:
    """(line, imported module) of each import; names that are modules themselves are resolved to those.

    `at_import_only` leaves out what is imported inside functions and under TYPE_CHECKING.
    """
    tree = ast.parse(modules[module])
    nodes = list(_statements_at_import(tree)) if at_import_only else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".")
                if not is_package(module, modules):
                    package = package[:-1]
                kept = package[: len(package) - node.level + 1]
                base = ".".join([*kept, base] if base else kept)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield node.lineno, inner if inner in modules else base


def _statements_at_import(tree: ast.Module) -> Iterator[ast.stmt]:
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        statement = waiting.pop()
        yield statement
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            waiting.extend(statement.orelse)
            continue
        waiting.extend(child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.stmt))


def import_faults(modules: Mapping[str, str]) -> Iterator[str]:
    for module in modules:
        layer = layer_of(module)
        if layer is None:
            yield f"{module}: belongs to no layer"
            continue
        for line, imported in imports_of(module, modules):
            top = imported.partition(".")[0]
            if top in ("lfsql", "proxy"):
                # `from lfsql.storage import reads` is an import of reads; the bare package is empty.
                if not any(within(imported, allowed) for allowed in layer.project):
                    yield f"{module}:{line}: imports {imported}, above {layer.prefix}"
            elif top in sys.stdlib_module_names:
                if top in BANNED_EVERYWHERE and not (layer.draws and top == "random"):
                    yield f"{module}:{line}: imports {imported}, banned everywhere"
                elif layer.pure and top not in PURE_STANDARD:
                    yield f"{module}:{line}: imports {imported}, which is not pure"
            elif top not in layer.third_party:
                yield f"{module}:{line}: imports {imported}, not for {layer.prefix}"


def purity_faults(modules: Mapping[str, str]) -> Iterator[str]:
    for module, source in modules.items():
        layer = layer_of(module)
        if layer is None or not layer.pure:
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
                yield f"{module}:{node.lineno}: calls {node.func.id}()"
            if (
                isinstance(node, ast.Attribute)
                and node.attr in IMPURE_ATTRIBUTES
                and ast.unparse(node.value).rpartition(".")[2] in ("datetime", "date", "uuid")
            ):
                yield f"{module}:{node.lineno}: uses {ast.unparse(node)}"
            if isinstance(node, (ast.AsyncFunctionDef, ast.Await)):
                yield f"{module}:{node.lineno}: is asynchronous"


def cycles(modules: Mapping[str, str]) -> Iterator[str]:
    """Import cycles of what runs at import time."""
    graph = {
        module: sorted({name for _, name in imports_of(module, modules, at_import_only=True) if name in modules})
        for module in modules
    }
    finished: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> Iterator[str]:
        if module in path:
            yield " -> ".join((*path[path.index(module) :], module))
            return
        if module in finished:
            return
        for inner in graph[module]:
            if inner != module:
                yield from visit(inner, (*path, module))
        finished.add(module)

    for module in modules:
        yield from visit(module, ())


def faults(modules: Mapping[str, str]) -> list[str]:
    return [*import_faults(modules), *purity_faults(modules), *cycles(modules)]


def project() -> dict[str, str]:
    found: dict[str, str] = {}
    for top in ("lfsql", "proxy"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = path.read_text()
    return found


def test_the_project_keeps_its_floors() -> None:
    assert faults(project()) == []


def test_every_layer_exists_or_is_a_file_to_come() -> None:
    modules = project()
    for prefix in ("lfsql.core", "lfsql.values", "lfsql.storage", "lfsql.net", "lfsql.node", "proxy.pg", "proxy.sql"):
        assert any(within(module, prefix) for module in modules), prefix


def test_migrations_hold_sql_only() -> None:
    names = [path.name for path in sorted((ROOT / "migrations").rglob("*")) if path.is_file()]
    assert all(re.fullmatch(r"\d{4}_\w+\.sql|README\.md", name) for name in names), names


CLEAN = {
    "lfsql": "",
    "lfsql.errors": '"""Errors."""\nfrom typing import ClassVar\n',
    "lfsql.core": "",
    "lfsql.core.ids": "import msgspec\n",
    "lfsql.core.entry": "from lfsql.core.ids import Index\nfrom lfsql.errors import LfsqlError\nimport hashlib\n",
    "lfsql.storage": "",
    "lfsql.storage.reads": "import apsw, trio\nfrom lfsql.core import ids\n",
    "lfsql.net": "",
    "lfsql.net.link": "import trio\nfrom ..core import entry\n",
    "lfsql.node": "",
    "lfsql.node.service": "import trio\nfrom lfsql.net import link\nfrom lfsql.storage import reads\n",
    "lfsql.testing": "",
    "lfsql.testing.faults": "from lfsql.core import entry\n",
    "lfsql.cli": "from proxy import session\nimport click\nfrom lfsql.node import service\n",
    "proxy": "",
    "proxy.pg": "",
    "proxy.pg.types": "import datetime\n",
    "proxy.sql": "",
    "proxy.sql.infer": "import sqlglot\nfrom proxy.pg.types import decode\n",
    "proxy.session": "import trio\nfrom proxy.sql import infer\nfrom lfsql.storage import reads\n",
}


def test_a_clean_tree_has_no_faults() -> None:
    assert faults(CLEAN) == []


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("lfsql.core.ids", "import time", "imports time, which is not pure"),
        ("lfsql.core.ids", "import random", "imports random, banned everywhere"),
        ("lfsql.core.ids", "import os.path", "imports os.path, which is not pure"),
        ("lfsql.core.ids", "import trio", "imports trio, not for lfsql.core"),
        ("lfsql.core.ids", "import threading", "imports threading, which is not pure"),
        ("lfsql.core.ids", "from lfsql import storage", "imports lfsql.storage, above lfsql.core"),
        ("lfsql.core.ids", "from ..storage import reads", "imports lfsql.storage.reads, above lfsql.core"),
        ("lfsql.core.ids", "def f():\n    import socket", "imports socket, which is not pure"),
        ("lfsql.core.ids", "open('x')", "calls open()"),
        ("lfsql.core.ids", "def f(x): return hash(x)", "calls hash()"),
        ("lfsql.core.ids", "async def f(): ...", "is asynchronous"),
        ("lfsql.core.ids", "from lfsql.core import entry", "lfsql.core.ids -> lfsql.core.entry -> lfsql.core.ids"),
        ("proxy.pg.types", "import datetime\ndatetime.datetime.now()", "uses datetime.datetime.now"),
        ("proxy.pg.types", "from datetime import date\ndate.today", "uses date.today"),
        ("proxy.pg.types", "import uuid\nuuid.uuid4()", "uses uuid.uuid4"),
        ("proxy.pg.types", "from proxy.sql import infer", "imports proxy.sql.infer, above proxy.pg"),
        ("proxy.sql.infer", "from proxy.pg import codec", "imports proxy.pg, above proxy.sql"),
        ("proxy.sql.infer", "import secrets", "imports secrets, which is not pure"),
        ("lfsql.net.link", "import apsw", "imports apsw, not for lfsql.net"),
        ("lfsql.net.link", "import sqlite3", "imports sqlite3, banned everywhere"),
        ("lfsql.storage.engine", "import trio", "imports trio, not for lfsql.storage"),
        ("lfsql.node.service", "import proxy.session", "imports proxy.session, above lfsql.node"),
        ("lfsql.node.service", "import asyncio", "imports asyncio, banned everywhere"),
        ("lfsql.node.service", "from lfsql.testing import faults", "imports lfsql.testing.faults, above lfsql.node"),
        ("lfsql.cli", "from lfsql.testing import faults", None),
        ("proxy.session", "from lfsql.node import service", "imports lfsql.node.service, above proxy"),
        ("proxy.session", "from lfsql.storage import engine", "imports lfsql.storage, above proxy"),
        ("lfsql.errors", "import lfsql.core.ids", "imports lfsql.core.ids, above lfsql.errors"),
        ("elsewhere", "", "belongs to no layer"),
    ],
)
def test_a_planted_violation_is_found(module: str, source: str, fault: str | None) -> None:
    found = faults({**CLEAN, module: source})
    if fault is None:
        fault = "lfsql.testing.faults"
    assert any(fault in line for line in found), found


def test_what_only_types_need_is_no_cycle_but_keeps_the_direction() -> None:
    guarded = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lfsql.core.entry import Record\n"
    assert faults({**CLEAN, "lfsql.core.ids": guarded}) == []
    upward = guarded.replace("lfsql.core.entry", "lfsql.net.link")
    assert faults({**CLEAN, "lfsql.core.ids": upward}) == [
        "lfsql.core.ids:3: imports lfsql.net.link, above lfsql.core"
    ]
