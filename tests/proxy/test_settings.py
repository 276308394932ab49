"""Session settings: what is accepted, shown, reported, and undone with a transaction."""

from __future__ import annotations

import pytest

from lfsql.errors import CannotChangeNow, InvalidParameterValue, LimitExceeded, UndefinedObject
from proxy.settings import (
    PLACEHOLDERS_MAX,
    REPORTED,
    SETTINGS,
    UNDO_CHARACTERS_MAX,
    VALUE_CHARACTERS_MAX,
    SessionSettings,
    canonical,
    duration_ms,
)


def fresh() -> SessionSettings:
    return SessionSettings({})


def test_every_default_is_accepted_by_its_own_check() -> None:
    for name, setting in SETTINGS.items():
        if setting.default:
            assert setting.check(name, setting.default) == setting.default, name
        assert setting.description, name


def test_names_are_found_in_any_case_and_shown_in_their_own() -> None:
    assert canonical("timezone") == "TimeZone"
    assert canonical("LFSQL.Max_Lag_Ms") == "lfsql.max_lag_ms"
    assert canonical("My.Own") == "my.own"


@pytest.mark.parametrize("name", ["no_such_setting", "lfsql.no_such_setting", "", "a b", "x."])
def test_unknown_names_are_errors(name: str) -> None:
    with pytest.raises(UndefinedObject):
        canonical(name)


@pytest.mark.parametrize(
    ("name", "given", "shown"),
    [
        ("client_encoding", "'utf-8'", "UTF8"),
        ("client_encoding", "unicode", "UTF8"),
        ("DateStyle", "ISO", "ISO, MDY"),
        ("DateStyle", "iso, dmy", "ISO, DMY"),
        ("TimeZone", "utc", "UTC"),
        ("TimeZone", "Europe/Berlin", "Europe/Berlin"),
        ("TimeZone", "+02", "<+02>-02"),
        ("TimeZone", "-5.5", "<-05:30>+05:30"),
        ("TimeZone", "0", "<+00>-00"),
        ("TimeZone", "-08:00", "-08:00"),
        ("TimeZone", "utc-3:30", "UTC-3:30"),
        ("statement_timeout", "5000", "5s"),
        ("statement_timeout", "1500", "1500ms"),
        ("statement_timeout", "2 min", "2min"),
        ("statement_timeout", "0x10", "16ms"),
        ("statement_timeout", "010", "8ms"),
        ("statement_timeout", "1.5e0s", "1500ms"),
        ("extra_float_digits", "1.4", "1"),
        ("statement_timeout", "0", "0"),
        ("jit", "TRUE", "on"),
        ("lfsql.max_lag_ms", " 250 ", "250"),
        ("default_transaction_isolation", "SERIALIZABLE", "serializable"),
    ],
)
def test_values_are_kept_as_postgresql_shows_them(name: str, given: str, shown: str) -> None:
    settings = fresh()
    settings.set(name, given)
    assert settings.show(name) == shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("client_encoding", "LATIN1"),
        ("DateStyle", "German"),
        ("TimeZone", "Nowhere/Atall"),
        ("TimeZone", "../../etc/passwd"),
        ("TimeZone", "PST"),
        ("TimeZone", "+0530"),
        ("TimeZone", "5:30:15"),
        ("statement_timeout", "soon"),
        ("statement_timeout", "-1"),
        ("jit", "perhaps"),
        ("lfsql.read_consistency", "eventual"),
        ("lfsql.max_lag_ms", "1.5ms"),
        ("lfsql.max_lag_ms", "9" * 5_000),
        ("statement_timeout", "089"),
        ("statement_timeout", "1e400"),
        ("application_name", "x" * 10_001),
    ],
)
def test_bad_values_are_refused_and_change_nothing(name: str, value: str) -> None:
    settings = fresh()
    before = dict(settings.values)
    with pytest.raises(InvalidParameterValue):
        settings.set(name, value)
    assert settings.values == before


def test_what_the_server_determines_cannot_be_set() -> None:
    with pytest.raises(CannotChangeNow):
        fresh().set("server_version", "99")


def test_only_reported_settings_that_changed_are_told() -> None:
    settings = fresh()
    assert settings.set("TimeZone", "Europe/Paris") == ["TimeZone"]
    assert settings.set("TimeZone", "Europe/Paris") == []
    assert settings.set("jit", "on") == []
    assert "TimeZone" in REPORTED
    assert "jit" not in REPORTED


def test_reset_goes_back_to_the_sessions_default_not_the_servers() -> None:
    settings = SessionSettings({"lfsql.max_lag_ms": "77"})
    settings.set_default("application_name", "mine")
    settings.set("application_name", "other")
    settings.set("lfsql.max_lag_ms", "1")
    settings.reset_all()
    assert settings.show("application_name") == "mine"
    assert settings.show("lfsql.max_lag_ms") == "77"


def test_rollback_undoes_every_set_in_order() -> None:
    settings = fresh()
    settings.begin()
    settings.set("application_name", "a", local=True)
    settings.set("application_name", "b")
    settings.set("TimeZone", "Europe/Paris")
    assert set(settings.end(committed=False)) == {"application_name", "TimeZone"}
    assert settings.show("application_name") == ""
    assert settings.show("TimeZone") == "UTC"


@pytest.mark.parametrize(
    ("sets", "after"),
    [
        ([("a", True)], ""),
        ([("a", False)], "a"),
        ([("a", False), ("b", True)], "a"),
        ([("a", True), ("b", False)], "b"),
        ([("a", True), ("b", True)], ""),
        ([("a", True), ("b", False), ("c", True)], "b"),
    ],
)
def test_commit_keeps_set_and_undoes_set_local(sets: list[tuple[str, bool]], after: str) -> None:
    settings = fresh()
    settings.begin()
    for value, local in sets:
        settings.set("application_name", value, local=local)
    settings.end(committed=True)
    assert settings.show("application_name") == after


def test_rolling_back_to_a_savepoint_undoes_what_was_set_since() -> None:
    settings = fresh()
    settings.begin()
    settings.set("application_name", "before")
    mark = settings.mark()
    settings.set("application_name", "after")
    settings.set("jit", "on", local=True)
    assert settings.back_to(mark) == ["application_name"]
    assert settings.show("application_name") == "before"
    assert settings.show("jit") == "off"
    settings.end(committed=True)
    assert settings.show("application_name") == "before"


@pytest.mark.parametrize(
    ("local", "committed", "after"),
    [(False, True, "x"), (False, False, ""), (True, True, ""), (True, False, "")],
)
def test_an_implicit_transaction_begins_by_itself(local: bool, committed: bool, after: str) -> None:
    settings = fresh()
    assert settings.set("application_name", "x", local=local) == ["application_name"]
    assert settings.show("application_name") == "x"
    settings.end(committed=committed)
    assert settings.show("application_name") == after
    assert settings.end(committed=False) == []
    assert settings.show("application_name") == after


def test_what_a_transaction_remembers_is_bounded() -> None:
    settings = fresh()

    def until_full() -> int:
        for number in range(UNDO_CHARACTERS_MAX):
            try:
                settings.set("application_name", f"{number}".rjust(VALUE_CHARACTERS_MAX))
            except LimitExceeded:
                return number
        raise AssertionError("there is no limit")

    at_first = until_full()
    assert UNDO_CHARACTERS_MAX * 0.9 < at_first * VALUE_CHARACTERS_MAX <= UNDO_CHARACTERS_MAX + VALUE_CHARACTERS_MAX
    settings.back_to(at_first // 2)  # what is undone makes room
    assert abs(until_full() - at_first / 2) < 3
    settings.end(committed=False)
    assert settings.show("application_name") == ""
    settings.set("application_name", "x")
    assert settings.show("application_name") == "x"


def test_a_block_takes_over_what_was_set_before_it() -> None:
    settings = fresh()
    settings.set("application_name", "x")
    settings.begin()
    settings.end(committed=False)
    assert settings.show("application_name") == ""


def test_free_form_settings_are_kept_and_bounded() -> None:
    settings = fresh()
    with pytest.raises(UndefinedObject):
        settings.show("my.setting")
    for number in range(PLACEHOLDERS_MAX):
        settings.set(f"my.setting{number}", "x")
    assert settings.show("MY.setting7") == "x"
    with pytest.raises(InvalidParameterValue):
        settings.set("my.one_more", "x")


def test_durations_are_read_back_as_milliseconds() -> None:
    for text, milliseconds in (("10s", 10_000), ("1500ms", 1500), ("0", 0), ("2min", 120_000), ("1d", 86_400_000)):
        assert duration_ms(text) == milliseconds


def test_every_change_moves_the_version() -> None:
    settings = fresh()
    version = settings.version
    settings.set("jit", "on")
    assert settings.version > version
