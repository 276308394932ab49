"""What the documentation must name: every setting with its default, every command and option, every SQLSTATE.

And the other way round: nothing that no longer exists.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import click
import msgspec
import pytest

from lfsql import config, errors
from lfsql.cli import main
from proxy.settings import SETTINGS

ROOT = Path(__file__).resolve().parent.parent
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
COMMANDS = (ROOT / "docs" / "commands.md").read_text()
ERRORS = (ROOT / "docs" / "errors.md").read_text()

SECTIONS: list[tuple[type[msgspec.Struct], str, str]] = [
    (config.NodeConfig, "## node.toml", "Each of `[[peers]]`"),
    (config.Member, "Each of `[[peers]]`", "`[limits]`"),
    (config.NodeLimits, "`[limits]`, what a node", "`[faults]`"),
    (config.NodeFaults, "`[faults]`", "### How long the log is"),
    (config.ProxyConfig, "## proxy.toml", "Each of `[[nodes]]`"),
    (config.Upstream, "Each of `[[nodes]]`", "Each of `[[listeners]]`"),
    (config.ListenerConfig, "Each of `[[listeners]]`", "`[balancing]`"),
    (config.Balancing, "`[balancing]`, how", "`[defaults]`"),
    (config.ProxyDefaults, "`[defaults]`", "`[users.NAME]`"),
    (config.UserDefaults, "`[users.NAME]`", "`[limits]`\n"),
    (config.ProxyLimits, "`[limits]`\n", "## Settings of a session"),
]


def rows(text: str, start: str, end: str) -> dict[str, str]:
    """First cell in backquotes → second cell, of the tables between two marks."""
    begin = text.index(start)
    part = text[begin : text.index(end, begin + len(start))]
    return dict(re.findall(r"^\| `([^`]+)` \|([^|]*)\|", part, re.MULTILINE))


@pytest.mark.parametrize(("kind", "start", "end"), SECTIONS, ids=lambda value: getattr(value, "__name__", ""))
def test_every_key_is_documented_with_its_default(kind: type[msgspec.Struct], start: str, end: str) -> None:
    documented = rows(CONFIGURATION, start, end)
    fields = msgspec.structs.fields(kind)
    assert sorted(documented) == sorted(field.name for field in fields)
    for field in fields:
        shown = documented[field.name].strip(" `")
        if field.default is msgspec.NODEFAULT:
            wanted = "" if field.default_factory is not msgspec.NODEFAULT else "required"
            assert shown == wanted, field.name
        elif isinstance(field.default, tuple):
            assert shown == "[" + ", ".join(f'"{item}"' for item in field.default) + "]", field.name
        else:
            assert shown.split(" ")[0] == (str(field.default) or "empty"), field.name


def test_the_example_of_several_machines_is_taken(tmp_path: Path) -> None:
    section = CONFIGURATION[CONFIGURATION.index("## Nodes on several machines") :]
    section = section[: section.index("\n## ")]
    node, proxy = (textwrap.dedent(block) for block in re.findall(r"(?:^    .+\n)+", section, re.MULTILINE))
    key = tmp_path / "cluster.key"
    key.write_text("k" * 32)
    key.chmod(0o600)
    (tmp_path / "node.toml").write_text(node)
    (tmp_path / "proxy.toml").write_text(proxy)
    members = config.load_node(tmp_path / "node.toml").peers
    served = config.load_proxy(tmp_path / "proxy.toml").nodes
    assert [(member.name, member.address) for member in members] == [(each.name, each.address) for each in served]


def test_every_setting_of_a_session_is_documented() -> None:
    documented = rows(CONFIGURATION, "## Settings of a session", "PostgreSQL's own settings")
    assert sorted(documented) == sorted(name for name in SETTINGS if name.startswith("lfsql."))
    defaults = msgspec.to_builtins(config.ProxyDefaults())
    for name, shown in documented.items():
        # What proxy.toml sets is what a session starts with.
        default = str(defaults.get(name.removeprefix("lfsql."), SETTINGS[name].default))
        assert SETTINGS[name].read_only or shown.strip(" `") == default, name
    others = CONFIGURATION[CONFIGURATION.index("PostgreSQL's own settings") :]
    for name in re.findall(r"`(\w+)`", others):
        assert name in SETTINGS, name


def test_every_limit_is_read_by_somebody() -> None:
    """A setting without effect is worse than none."""
    sources = [path for top in ("lfsql", "proxy") for path in (ROOT / top).rglob("*.py") if path.name != "config.py"]
    text = "\n".join(path.read_text() for path in sources if "cli" not in path.parts)
    kinds = (config.NodeLimits, config.ProxyLimits, config.ProxyDefaults, config.NodeConfig, config.ProxyConfig)
    for kind in (*kinds, config.Balancing, config.Upstream):
        for name in kind.__struct_fields__:
            assert re.search(rf"\.{name}\b", text), f"{kind.__name__}.{name}"


def commands() -> list[tuple[str, click.Command]]:
    return [(name, main.commands[name]) for name in sorted(main.commands)]


@pytest.mark.parametrize(("name", "command"), commands(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_command_and_option_is_documented(name: str, command: click.Command) -> None:
    start = COMMANDS.index(f"## lfsql {name}\n")
    end = COMMANDS.find("\n## ", start + 1)
    section = COMMANDS[start : end if end > 0 else None]
    documented = set(re.findall(r"^\| `(--[\w-]+|[A-Z]+)`", section, re.MULTILINE))
    options = {name for each in command.params if isinstance(each, click.Option) for name in each.opts}
    arguments = {each.human_readable_name for each in command.params if isinstance(each, click.Argument)}
    assert documented == options | arguments


def test_no_command_is_documented_that_is_not_there() -> None:
    assert sorted(re.findall(r"^## lfsql ([\w-]+)$", COMMANDS, re.MULTILINE)) == sorted(main.commands)


def test_every_sqlstate_and_class_is_documented() -> None:
    documented = {
        (code, name)
        for code, names in re.findall(r"^\| (\w{5}) \| ([^|]*) \|", ERRORS, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }
    assert documented == {(error.sqlstate, error.__name__) for error in errors.all_errors()}


def test_what_may_be_sent_again_is_marked() -> None:
    marked = {
        name
        for names, again in re.findall(r"^\| \w{5} \|([^|]*)\|([^|]*)\|", ERRORS, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
        if again.strip()
    }
    assert marked == {error.__name__ for error in errors.all_errors() if error.retryable}


def test_links_between_documents_lead_somewhere() -> None:
    for path in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_code_that_keeps_a_rule_is_there() -> None:
    named = re.findall(r"`(lfsql/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "guarantees.md").read_text())
    assert len(named) > 20
    for path, name in named:
        assert re.search(rf"^\s*(async def|def|class) {name}\b", (ROOT / path).read_text(), re.MULTILINE), (
            path,
            name,
        )


def test_every_test_that_a_guarantee_rests_on_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "docs" / "guarantees.md").read_text())
    assert len(named) > 20
    for path, name in named:
        text = (ROOT / path).read_text()
        assert not name or f"def {name}(" in text, f"{path}::{name}"
