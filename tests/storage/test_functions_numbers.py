"""numeric, integers, floats, intervals and the aggregates over them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfsql.errors import (
    DivisionByZero,
    IntervalOutOfRange,
    InvalidDatetime,
    InvalidParameterValue,
    InvalidText,
    LfsqlError,
    LogarithmError,
    NumericOutOfRange,
    PowerError,
)
from lfsql.storage.functions import decimals, intervals, numbers
from lfsql.values.intervals import Interval, read_interval
from tests.storage.functions_fixture import open_functions, value

NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("lfsql_numeric_add('0.10', '2.2')", "2.30"),
        ("lfsql_numeric_add('NaN', '1')", "NaN"),
        ("lfsql_numeric_subtract('Infinity', 'Infinity')", "NaN"),
        ("lfsql_numeric_multiply('1.5', '2.25')", "3.375"),
        ("lfsql_numeric_multiply('-0', '5')", "0"),
        ("lfsql_numeric_divide('10', '4')", "2.5000000000000000"),
        ("lfsql_numeric_divide('1', 'Infinity')", "0"),
        ("lfsql_numeric_divide('-Infinity', '2')", "-Infinity"),
        ("lfsql_numeric_divide('Infinity', '-Infinity')", "NaN"),
        ("lfsql_numeric_divide('NaN', '0')", "NaN"),
        ("lfsql_numeric_modulo('-7.5', '2')", "-1.5"),
        ("lfsql_numeric_modulo('7', 'Infinity')", "7"),
        ("lfsql_numeric_modulo('Infinity', '7')", "NaN"),
        ("lfsql_numeric_modulo('NaN', '7')", "NaN"),
        ("lfsql_numeric_power('2', '0.5')", "1.4142135623730950"),
        ("lfsql_numeric_power('0', '0')", "1.0000000000000000"),
        ("lfsql_numeric_power('NaN', '0')", "1"),
        ("lfsql_numeric_power('Infinity', '2')", "Infinity"),
        ("lfsql_numeric_round('-2.5', 0)", "-3"),
        ("lfsql_numeric_round('1234.5', -2)", "1200"),
        ("lfsql_numeric_round('NaN', 2)", "NaN"),
        ("lfsql_numeric_sign('NaN')", "NaN"),
        ("lfsql_numeric_sqrt('Infinity')", "Infinity"),
        ("lfsql_numeric_exp('-Infinity')", "0"),
        ("lfsql_numeric_ln('Infinity')", "Infinity"),
        ("lfsql_numeric_log('NaN', '2')", "NaN"),
        ("lfsql_numeric_fit('NaN', 3, 1)", "NaN"),
        ("lfsql_text_to_numeric(' 1e3 ')", "1000"),
        ("lfsql_text_to_numeric('-inf')", "-Infinity"),
        ("lfsql_numeric_greatest('1', NULL, '10', '9')", "10"),
        ("lfsql_numeric_least(NULL, NULL)", None),
        ("lfsql_numeric_add(NULL, '1')", None),
        ("lfsql_float_to_numeric(0.1, 15)", "0.1"),
        ("lfsql_float_to_numeric(9e999, 15)", "Infinity"),
        ("lfsql_float8_text(-0.0)", "-0"),
        ("lfsql_float8_text(1e-7)", "1e-07"),
        ("lfsql_float8_text(-9e999)", "-Infinity"),
        ("lfsql_float4_text(3.4e38)", "3.4e+38"),
        ("lfsql_float4_text(0.1)", "0.1"),
        ("lfsql_quotient(-7, 2)", -3),
        ("lfsql_quotient(-9223372036854775808, -1)", 2.0**63),
        ("lfsql_remainder(-7, 2)", -1),
        ("lfsql_shift(1, 31, 32)", -(2**31)),
        ("lfsql_shift(-8, 1, -64)", -4),
        ("lfsql_greatest(1, NULL, 3)", 3),
        ("lfsql_num_nulls(1, NULL)", 1),
        ("lfsql_text_to_bool('off')", 0),
        ("lfsql_text_to_float8('infinity')", float("inf")),
        ("to_hex(-1)", "ffffffff"),
        ("width_bucket(5.0, 10.0, 0.0, 5)", 3),
    ],
)
def test_scalar(sql: str, expected: Any) -> None:
    assert value(f"SELECT {sql}") == expected


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("lfsql_numeric_divide('1', '0')", DivisionByZero),
        ("lfsql_numeric_modulo('1', '0.0')", DivisionByZero),
        ("lfsql_numeric_power('0', '-1')", PowerError),
        ("lfsql_numeric_power('-2', '0.5')", PowerError),
        ("lfsql_numeric_power('10', '200000')", NumericOutOfRange),
        ("lfsql_numeric_exp('1000000')", NumericOutOfRange),
        ("lfsql_numeric_sqrt('-1')", PowerError),
        ("lfsql_numeric_sqrt('-Infinity')", PowerError),
        ("lfsql_numeric_ln('0')", LogarithmError),
        ("lfsql_numeric_ln('-1')", LogarithmError),
        ("lfsql_numeric_log('1', '2')", DivisionByZero),
        ("lfsql_numeric_fit('1000', 3, 0)", NumericOutOfRange),
        ("lfsql_numeric_fit('Infinity', 3, 0)", NumericOutOfRange),
        ("lfsql_text_to_numeric('1_0')", InvalidText),
        ("lfsql_text_to_numeric('snan')", InvalidText),
        ("lfsql_text_to_numeric('1e200000')", NumericOutOfRange),
        ("lfsql_int4(2147483648)", NumericOutOfRange),
        ("lfsql_int8(9223372036854775807 + 1)", NumericOutOfRange),
        ("lfsql_float_to_int(1e30, 8)", NumericOutOfRange),
        ("lfsql_float_to_int(9e999, 8)", NumericOutOfRange),
        ("lfsql_numeric_to_int('NaN', 4)", NumericOutOfRange),
        ("lfsql_text_to_int('1.5', 4)", InvalidText),
        ("lfsql_text_to_int('99999', 2)", NumericOutOfRange),
        ("lfsql_text_to_float8('1x')", InvalidText),
        ("lfsql_text_to_float8('1e999')", NumericOutOfRange),
        ("lfsql_text_to_float8('1e-400')", NumericOutOfRange),
        ("lfsql_text_to_int(printf('%.*c', 5000, '1'), 8)", NumericOutOfRange),
        ("lfsql_text_to_bool('2')", InvalidText),
        ("lfsql_float4(1e300)", NumericOutOfRange),
        ("lfsql_float4(1e-300)", NumericOutOfRange),
        ("lfsql_float_divide(1.0, 0.0)", DivisionByZero),
        ("lfsql_float_divide(1e300, 1e-300)", NumericOutOfRange),
        ("lfsql_float_power(0.0, -1.0)", PowerError),
        ("lfsql_float_power(-1.0, 0.5)", PowerError),
        ("lfsql_float_power(1e300, 2.0)", NumericOutOfRange),
        ("lfsql_float_sqrt(-1.0)", PowerError),
        ("lfsql_float_exp(1000.0)", NumericOutOfRange),
        ("lfsql_float_ln(0.0)", LogarithmError),
        ("lfsql_float_log10(-1.0)", LogarithmError),
        ("lfsql_division_by_zero()", DivisionByZero),
        ("lfsql_row_count(-1, 0, 'OFFSET')", LfsqlError),
        ("factorial(-1)", NumericOutOfRange),
        ("width_bucket(1.0, 1.0, 1.0, 3)", LfsqlError),
        ("lfsql_interval_divide('1 day', 0)", DivisionByZero),
        ("lfsql_text_to_interval('one day')", InvalidDatetime),
        ("lfsql_text_to_interval('-P1D')", InvalidDatetime),
        ("lfsql_text_to_interval('2024-01-05')", InvalidDatetime),
        ("lfsql_text_to_interval('2024-01-05 02:30')", InvalidDatetime),
        ("lfsql_text_to_interval('12:60')", IntervalOutOfRange),
        ("lfsql_text_to_interval('')", InvalidDatetime),
        ("lfsql_interval_trunc('nope', '1 day')", InvalidParameterValue),
    ],
)
def test_error(sql: str, error: type[LfsqlError]) -> None:
    with pytest.raises(error):
        value(f"SELECT {sql}")


@given(NUMBERS, NUMBERS)
def test_arithmetic_is_exact(a: Decimal, b: Decimal) -> None:
    assert Decimal(decimals.add(str(a), str(b))) == a + b
    assert Decimal(decimals.subtract(str(a), str(b))) == a - b
    assert abs(Decimal(decimals.multiply(str(a), str(b))) - a * b) <= abs(a * b) * Decimal("1e-27")


@given(st.lists(NUMBERS, min_size=2))
def test_the_collation_orders_by_value(found: list[Decimal]) -> None:
    texts = [str(each) for each in found] + ["NaN", "Infinity", "-Infinity"]
    connection = open_functions()
    query = "SELECT value FROM json_each(json_array({})) ORDER BY value COLLATE lfsql_numeric"
    rows = [row[0] for row in connection.execute(query.format(", ".join(f"'{text}'" for text in texts)))]
    assert rows[-1] == "NaN"
    assert rows[-2] == "Infinity"
    assert [Decimal(text) for text in rows[1:-2]] == sorted(found)
    connection.close()


def test_the_collation_takes_any_text() -> None:
    assert decimals.compare("a", "b") == -1
    assert decimals.compare("b", "1") == 1


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_come_back_from_their_text(number: float) -> None:
    assert float(numbers.float8_text(number)) == number


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_float4_comes_back_from_its_text(number: float) -> None:
    assert numbers.as_float4(float(numbers.float4_text(number))) == number


@given(st.integers(-100_000, 100_000), st.integers(-100_000, 100_000), st.integers(-(10**15), 10**15))
def test_intervals_come_back_from_their_text(months: int, days: int, microseconds: int) -> None:
    interval = Interval(months, days, microseconds)
    assert read_interval(intervals.text(interval)) == interval


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1 day -02:03", "1 day -02:03:00"),
        ("-1 mon +3 days", "-1 mons +3 days"),
        ("@ 1 minute ago", "-00:01:00"),
        ("P1Y2M3W4DT5H6M7.5S", "1 year 2 mons 25 days 05:06:07.5"),
        ("1-2", "1 year 2 mons"),
        ("1 2:03", "1 day 02:03:00"),
        ("P0001-02-03T04:05:06", "1 year 2 mons 3 days 04:05:06"),
        ("1.5 months", "1 mon 15 days"),
        ("0.5 years", "6 mons"),
        ("3", "00:00:03"),
        ("2 weeks 1 ms 5 us", "14 days 00:00:00.001005"),
        ("0", "00:00:00"),
    ],
)
def test_reading_intervals(text: str, shown: str) -> None:
    assert intervals.text(read_interval(text)) == shown


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        ("millennium", "1000 years"),
        ("century", "1200 years"),
        ("decade", "1230 years"),
        ("year", "1234 years"),
        ("quarter", "1234 years 3 mons"),
        ("month", "1234 years 5 mons"),
        ("day", "1234 years 5 mons 6 days"),
        ("hour", "1234 years 5 mons 6 days 07:00:00"),
        ("minute", "1234 years 5 mons 6 days 07:08:00"),
        ("second", "1234 years 5 mons 6 days 07:08:09"),
        ("milliseconds", "1234 years 5 mons 6 days 07:08:09.123"),
        ("microseconds", "1234 years 5 mons 6 days 07:08:09.123456"),
    ],
)
def test_truncating_intervals(field: str, shown: str) -> None:
    assert intervals.truncate(field, "1234 years 5 mons 6 days 07:08:09.123456") == shown


HALF_ROOT = "0.70710678118654752440"
QUARTER = "0.25000000000000000000"
WINDOW = "OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)"


@pytest.mark.parametrize(
    ("call", "whole", "moving"),
    [
        ("lfsql_numeric_sum(n)", "6.75", ["1.50", "3.75", "5.25", "3"]),
        (
            "lfsql_numeric_avg(n)",
            "2.2500000000000000",
            ["1.50000000000000000000", "1.8750000000000000", "2.6250000000000000", "3.0000000000000000"],
        ),
        ("lfsql_int8_sum(i)", "6", ["1", "3", "5", "3"]),
        (
            "lfsql_numeric_stddev_samp(i)",
            "1.00000000000000000000",
            [None, HALF_ROOT, HALF_ROOT, None],
        ),
        (
            "lfsql_numeric_var_pop(i)",
            "0.66666666666666666667",
            ["0", QUARTER, QUARTER, "0"],
        ),
        ("lfsql_float_var_samp(i)", 1.0, [None, 0.5, 0.5, None]),
        ("lfsql_float_stddev_pop(i)", 0.816496580927726, [0.0, 0.5, 0.5, 0.0]),
        (
            "lfsql_interval_sum(v)",
            "3 days 03:00:00",
            ["1 day", "1 day 02:00:00", "2 days 03:00:00", "2 days 01:00:00"],
        ),
        ("lfsql_interval_avg(v)", "1 day 01:00:00", ["1 day", "13:00:00", "1 day 01:30:00", "2 days 01:00:00"]),
        ("lfsql_interval_max(v)", "2 days 01:00:00", ["1 day", "1 day", "2 days 01:00:00", "2 days 01:00:00"]),
        ("lfsql_interval_min(v)", "02:00:00", ["1 day", "02:00:00", "02:00:00", "2 days 01:00:00"]),
        ("lfsql_bit_and(i)", 0, [1, 0, 2, 3]),
        ("lfsql_bit_or(i)", 3, [1, 3, 3, 3]),
        ("lfsql_percentile_cont(i, 0.5, 0)", 2.0, [1.0, 1.5, 2.5, 3.0]),
        ("lfsql_percentile_disc(i, 0.5, 1)", 2, [1, 2, 3, 3]),
        ("lfsql_mode(i)", 1, [1, 1, 2, 3]),
        ("lfsql_string_agg_distinct(n, '+', 0)", "1.50+2.25+3", ["1.50", "1.50+2.25", "2.25+3", "3"]),
        ("lfsql_json_agg(n)", "[1.50, 2.25, 3]", ["[1.50]", "[1.50, 2.25]", "[2.25, 3]", "[3]"]),
        ("lfsql_covar_pop(i, id)", 0.6666666666666666, [0.0, 0.25, 0.25, 0.0]),
        ("lfsql_regr_count(i, id)", 3, [1, 2, 2, 1]),
    ],
)
def test_aggregates_whole_and_in_a_moving_window(call: str, whole: Any, moving: list[Any]) -> None:
    connection = open_functions()
    connection.execute("CREATE TABLE x (id, n, i, v)")
    connection.execute(
        "INSERT INTO x VALUES (1, '1.50', 1, '1 day'), (2, '2.25', 2, '02:00:00'), (3, '3', 3, '2 days 01:00:00'),"
        " (4, NULL, NULL, NULL)"
    )
    found = connection.execute(f"SELECT {call} FROM x").get
    assert found == (pytest.approx(whole) if isinstance(whole, float) else whole)
    rows = [row[0] for row in connection.execute(f"SELECT {call} {WINDOW} FROM x ORDER BY id")]
    assert rows == [pytest.approx(each) if isinstance(each, float) else each for each in moving]
    assert connection.execute(f"SELECT {call} FROM x WHERE id > 9").get in (None, 0)
    connection.close()


def test_aggregates_of_special_numerics() -> None:
    assert value('SELECT lfsql_numeric_sum(value) FROM json_each(\'["1", "Infinity"]\')') == "Infinity"
    assert value('SELECT lfsql_numeric_avg(value) FROM json_each(\'["NaN", "Infinity"]\')') == "NaN"
    with pytest.raises(InvalidParameterValue):
        value("SELECT lfsql_numeric_var_pop(value) FROM json_each('[\"NaN\"]')")
    with pytest.raises(InvalidParameterValue):
        value("SELECT lfsql_percentile_cont(value, 2.0, 0) FROM json_each('[1]')")


def test_bytes_are_joined() -> None:
    assert value("SELECT lfsql_bytea_agg(x'01', x'ff') FROM json_each('[1, 2]')") == b"\x01\xff\x01"
