"""Whatever a client gives a setting: it is refused with an SQLSTATE, or all that is derived from it can be made.

A start-up packet may hold any setting, before anybody has logged in: a value that only its user finds wrong would
end more than one statement.
"""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta
from typing import cast

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfsql.errors import CannotChangeNow, InvalidParameterValue
from lfsql.storage.functions import moments
from proxy import time_zones
from proxy.functions import call
from proxy.pg import encode
from proxy.pg.settings import EncodeSettings
from proxy.settings import SETTINGS, SessionSettings
from proxy.sql.plan import SessionCall
from proxy.state import SessionState
from proxy.worker import Worker


class FakeWorker:
    def encoding_key(self, encoding: EncodeSettings) -> int:
        hash(encoding)
        return 0


WORKER = cast(Worker, FakeWorker())

ODD = (
    *(
        "",
        " ",
        "0",
        "-0",
        "00",
        "1",
        "-1",
        "99",
        "24",
        "+24",
        "-23",
        "23:60",
        "23:59",
        "0099",
        "2460",
        "1e400",
        "1_000",
    ),
    *("<>5", "<x>99", "<+02>-02", "<x", "+", ":", "5:", "٣", "٣ms", "9" * 400, "9" * 5_000, "0." + "9" * 400 + "ms"),
    *("2147483647", "2147483648", "2147483647ms", "24d", "25d", "9223372036854775807", "9223372036854775808", "inf"),
    *("nan", "on", "\0", "a\0b", "\ud800", "é", "😀", "'", "''", '"', "\\", "\n", ",", ", ", "iso,", ",iso"),
    *("Europe", "Europe/", "/", "..", "../..", "Europe/../Europe/Berlin", "tzdata.zi", "zones", "zone.tab", "a..b"),
    *("europe/berlin", "UTC+3", "Etc/GMT+12", "x" * 300, "x" * 10_000, "x" * 10_001, "default", "local", "GMT"),
)

VALUES = (
    st.sampled_from(ODD)
    | st.text(max_size=40)
    | st.text(st.characters(), max_size=10)
    | st.text(string.digits + "+-:<>. msdhin'", max_size=12)
    | st.integers().map(str)
    | st.floats().map(str)
)


def use(settings: SessionSettings) -> None:
    """All that a session makes of its settings."""
    state = SessionState(WORKER, "client", settings, 1)
    state.refresh()
    state.policy.limits(0)
    now = datetime(2026, 1, 1, tzinfo=UTC).astimezone(state.encoding.timezone)
    assert now.utcoffset() is not None
    zone = call(state, SessionCall("time_zone"), ())
    assert isinstance(zone, str)
    assert datetime(2026, 1, 1, tzinfo=UTC).astimezone(moments.zone(zone)).utcoffset() == now.utcoffset()
    for name, value in settings.values.items():
        encode.parameter_status(name, value)


@pytest.mark.parametrize("name", SETTINGS)
@hypothesis.settings(max_examples=10, deadline=None)
@given(values=st.lists(VALUES, max_size=20))
def test_what_is_accepted_can_be_used(name: str, values: list[str]) -> None:
    for value in (*ODD, *values):
        settings = SessionSettings({})
        try:
            settings.set_default(name, value)
        except (InvalidParameterValue, CannotChangeNow) as error:
            with pytest.raises(type(error)):
                settings.set(name, value)
            continue
        use(settings)
        # Of a transaction nothing can be said before it begins.
        begins = f"default_{name}" if name.startswith("transaction_") else name
        assert settings.values[name] == settings.defaults[begins]
        again = SessionSettings({})
        again.set(name, settings.values[name])  # what is shown can be given back
        assert again.values[name] == settings.values[name]


@given(name=st.sampled_from(["my.own", "a.b.c"]), value=VALUES)
def test_a_setting_of_the_clients_own_is_text_that_can_be_sent(name: str, value: str) -> None:
    settings = SessionSettings({})
    try:
        settings.set(name, value)
    except InvalidParameterValue:
        return
    use(settings)


@pytest.mark.parametrize(
    ("value", "hours"),
    [
        ("2", 2.0),
        ("+2", 2.0),
        ("-3", -3.0),
        ("5.5", 5.5),
        ("-08:00", 8.0),
        ("02:30", -2.5),
        ("UTC+3", -3.0),
        ("GMT-03:30", 3.5),
        ("abc3", -3.0),
        ("<+02>-02", 2.0),
        ("<x>5:30", -5.5),
        ("23:59", -24 + 1 / 60),
    ],
)
def test_offsets_are_read_as_postgresql_reads_them(value: str, hours: float) -> None:
    kept = time_zones.spelled("TimeZone", value)
    assert time_zones.zone(kept).utcoffset(None) == timedelta(hours=hours)
