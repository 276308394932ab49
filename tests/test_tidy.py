"""House rules that a machine can hold: size, names, docstrings, and no loose ends.

Each rule is a function from (path, text) to faults and is shown to find a planted one.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINES_MAX = 500
VAGUE = frozenset(
    ["utils", "util", "helpers", "helper", "manager", "managers", "common", "misc", "handler", "handlers", "base"]
)

# Written in two parts so that this file passes its own rules.
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
SILENCED = re.compile(
    r"#\s*(type:\s*ig"
    r"nore|no"
    r"qa|pragma:\s*no)(\[[\w, -]+\]|:?\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*|\s+cover)?(?P<reason>.*)"
)
PRIVATE = re.compile(r"/wor" + r"k/(main|shared|\.library)|\bissue #?\d|\bsession [a-z]\b:", re.IGNORECASE)


def size(path: PurePosixPath, text: str) -> Iterator[str]:
    lines = text.count("\n")
    if lines > LINES_MAX:
        yield f"{path}: {lines} lines, more than {LINES_MAX}"


def names(path: PurePosixPath, _text: str) -> Iterator[str]:
    for part in (*path.parts[:-1], path.stem):
        if VAGUE & set(part.split("_")):
            yield f"{path}: '{part}' says nothing"


def loose_ends(path: PurePosixPath, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if UNFINISHED.search(line):
            yield f"{path}:{number}: unfinished: {line.strip()}"
        if PRIVATE.search(line):
            yield f"{path}:{number}: means nothing to a reader elsewhere: {line.strip()}"


def silenced_checks(path: PurePosixPath, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        found = SILENCED.search(line)
        if found is not None and len(re.findall(r"[a-zA-Z]{2,}", found["reason"])) < 2:
            yield f"{path}:{number}: silences a check without a reason: {line.strip()}"


def docstrings(path: PurePosixPath, text: str) -> Iterator[str]:
    tree = ast.parse(text)
    if tree.body and ast.get_docstring(tree) is None:
        yield f"{path}: no docstring says why this module is so"


def swallowed_errors(path: PurePosixPath, text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            used = any(
                isinstance(inner, (ast.Raise, ast.Call)) or (isinstance(inner, ast.Name) and inner.id == node.name)
                for inner in ast.walk(node)
            )
            if broad and not used:
                yield f"{path}:{node.lineno}: swallows every error"
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) in ("suppress", "contextlib.suppress")
            and any(ast.unparse(argument) in ("Exception", "BaseException") for argument in node.args)
        ):
            yield f"{path}:{node.lineno}: swallows every error"


Rule = Callable[[PurePosixPath, str], Iterator[str]]
RULES: tuple[Rule, ...] = (size, names, loose_ends, silenced_checks, docstrings, swallowed_errors)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_project_is_tidy(rule: Rule) -> None:
    found: list[str] = []
    for top in ("lfsql", "proxy", "tests", "bench"):
        for path in sorted((ROOT / top).rglob("*.py")):
            found.extend(rule(PurePosixPath(path.relative_to(ROOT).as_posix()), path.read_text()))
    assert found == []


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (size, "a.py", "x\n" * (LINES_MAX + 1)),
        (names, "lfsql/net/utils.py", ""),
        (names, "proxy/session_helpers.py", ""),
        (names, "lfsql/common/ids.py", ""),
        (loose_ends, "a.py", "# TO" + "DO: later"),
        (loose_ends, "a.py", 'path = "/wor' + 'k/main/x"'),
        (silenced_checks, "a.py", "x = 1  # no" + "qa"),
        (silenced_checks, "a.py", "x = 1  # no" + "qa: S101"),
        (silenced_checks, "a.py", "x = 1  # type: ig" + "nore[arg-type]"),
        (docstrings, "a.py", "import os\n"),
        (swallowed_errors, "a.py", "try:\n    f()\nexcept Exception:\n    pass\n"),
        (swallowed_errors, "a.py", "with suppress(Exception):\n    f()\n"),
    ],
)
def test_a_planted_fault_is_found(rule: Rule, path: str, text: str) -> None:
    assert list(rule(PurePosixPath(path), text))


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (names, "lfsql/net/link.py", ""),
        (loose_ends, "a.py", 'sqlstate = "XX000"'),
        (silenced_checks, "a.py", "x = 1  # no" + "qa: S101  # an assertion is the point here"),
        (silenced_checks, "a.py", "x = 1  # type: ig" + "nore[arg-type]  # the stub is wrong about None"),
        (docstrings, "__init__.py", ""),
        (swallowed_errors, "a.py", "try:\n    f()\nexcept Exception:\n    g()\n    raise\n"),
    ],
)
def test_what_is_allowed_passes(rule: Rule, path: str, text: str) -> None:
    assert list(rule(PurePosixPath(path), text)) == []
