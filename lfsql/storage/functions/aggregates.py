"""Aggregates SQLite has not, or gives other results for.  Each can also run in a moving window."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from lfsql.errors import InvalidParameterValue, LimitExceeded, NumericOutOfRange
from lfsql.storage.functions import decimals, intervals
from lfsql.storage.functions.registry import Accumulator
from lfsql.values.intervals import Interval, read_interval

BYTES_MAX: Final = 256 * 1024 * 1024


class _Aggregate(ABC):
    """`final` is `value`: nothing is kept that needs cleaning up."""

    @abstractmethod
    def value(self) -> Any: ...

    def final(self) -> Any:
        return self.value()


class NumericSum(_Aggregate):
    """sum and avg of numeric.  The sum's scale is the largest among its inputs."""

    def __init__(self) -> None:
        self.total = Decimal(0)
        self.count = 0
        self.scales: Counter[int] = Counter()
        self.unusual: Counter[str] = Counter()

    def step(self, *values: Any) -> None:
        self._move(values[0], 1)

    def inverse(self, *values: Any) -> None:
        self._move(values[0], -1)

    def _move(self, given: Any, sign: int) -> None:
        if given is None:
            return
        value = decimals.number(given)
        self.count += sign
        if not value.is_finite():
            self.unusual[str(value)] += sign
            return
        self.total = (decimals.EXACT.add if sign > 0 else decimals.EXACT.subtract)(self.total, value)
        self.scales[decimals.scale_of(value)] += sign

    def _special(self) -> str | None:
        kinds = {kind for kind, count in self.unusual.items() if count}
        if not kinds:
            return None
        return "NaN" if "NaN" in kinds or len(kinds) > 1 else kinds.pop()

    def scale(self) -> int:
        return max((scale for scale, count in self.scales.items() if count), default=0)

    def value(self) -> str | None:
        if not self.count:
            return None
        return self._special() or decimals.text(decimals.rounded(self.total, self.scale()))


class NumericAverage(NumericSum):
    def value(self) -> str | None:
        if not self.count:
            return None
        special = self._special()
        return special or decimals.divide(decimals.text(decimals.rounded(self.total, self.scale())), self.count)


class IntegerSum(_Aggregate):
    """sum(int8) is numeric: it cannot overflow."""

    def __init__(self) -> None:
        self.total = 0
        self.count = 0

    def step(self, *values: Any) -> None:
        if values[0] is not None:
            self.total += values[0]
            self.count += 1

    def inverse(self, *values: Any) -> None:
        if values[0] is not None:
            self.total -= values[0]
            self.count -= 1

    def value(self) -> str | None:
        return str(self.total) if self.count else None


class NumericSpread(_Aggregate):
    """Variance and standard deviation, exactly: N*sum(x^2) - sum(x)^2 over N*N or N*(N-1)."""

    def __init__(self, sample: bool, deviation: bool) -> None:
        self.sample = sample
        self.deviation = deviation
        self.count = 0
        self.total = Decimal(0)
        self.squares = Decimal(0)

    def step(self, *values: Any) -> None:
        self._move(values[0], 1)

    def inverse(self, *values: Any) -> None:
        self._move(values[0], -1)

    def _move(self, given: Any, sign: int) -> None:
        if given is None:
            return
        value = decimals.number(given)
        if not value.is_finite():
            raise InvalidParameterValue("variance of an infinite or undefined numeric is not supported")
        context = decimals.EXACT
        self.count += sign
        self.total = context.add(self.total, value * sign)
        self.squares = context.add(self.squares, context.multiply(value, value) * sign)

    def value(self) -> str | None:
        if self.count < (2 if self.sample else 1):
            return None
        context = decimals.EXACT
        over = context.subtract(context.multiply(self.count, self.squares), context.multiply(self.total, self.total))
        under = Decimal(self.count) * (self.count - 1 if self.sample else self.count)
        if over <= 0:
            return "0"
        scale = decimals.division_scale(over, under)
        result = decimals.quotient(over, under, scale)
        return decimals.text(decimals.root(result, scale) if self.deviation else result)


class FloatSpread(_Aggregate):
    """Welford's way, as PostgreSQL's (Youngs and Cramer) is: stable for numbers far from zero."""

    def __init__(self, sample: bool, deviation: bool) -> None:
        self.sample = sample
        self.deviation = deviation
        self.count = 0
        self.total = 0.0
        self.spread = 0.0
        self.unusual = 0
        """NaNs and infinities, beside `count`: the spread of any of them is NaN."""

    def step(self, *values: Any) -> None:
        value = self._moved(values[0], 1)
        if value is None:
            return
        self.count += 1
        self.total += value
        if self.count > 1:
            part = value * self.count - self.total
            self.spread += part * part / (self.count * (self.count - 1))

    def inverse(self, *values: Any) -> None:
        value = self._moved(values[0], -1)
        if value is None:
            return
        if self.count > 1:
            part = value * self.count - self.total
            self.spread -= part * part / (self.count * (self.count - 1))
        self.total -= value
        self.count -= 1

    def _moved(self, given: Any, sign: int) -> float | None:
        """The number, None when there is none to reckon with."""
        value = None if given is None else float(given)
        if value is None or math.isfinite(value):
            return value
        self.unusual += sign
        return None

    def value(self) -> float | str | None:
        count = self.count + self.unusual
        if count < (2 if self.sample else 1):
            return None
        if self.unusual:
            return "NaN"
        result = max(self.spread, 0.0) / (count - 1 if self.sample else count)
        if not math.isfinite(result):
            raise NumericOutOfRange("value out of range: overflow")
        return math.sqrt(result) if self.deviation else result


class Regression(_Aggregate):
    """corr, covar and regr_*: of pairs (y, x)."""

    def __init__(self, compute: Callable[[Regression], float | int | None]) -> None:
        self.compute = compute
        self.count = 0
        self.x = self.y = self.xx = self.yy = self.xy = 0.0

    def step(self, *values: Any) -> None:
        self._move(values, 1)

    def inverse(self, *values: Any) -> None:
        self._move(values, -1)

    def _move(self, values: tuple[Any, ...], sign: int) -> None:
        if None in values:
            return
        y, x = float(values[0]), float(values[1])
        self.count += sign
        self.x += sign * x
        self.y += sign * y
        self.xx += sign * x * x
        self.yy += sign * y * y
        self.xy += sign * x * y

    @property
    def sxx(self) -> float:
        return self.xx - self.x * self.x / self.count

    @property
    def syy(self) -> float:
        return self.yy - self.y * self.y / self.count

    @property
    def sxy(self) -> float:
        return self.xy - self.x * self.y / self.count

    def value(self) -> float | int | None:
        return self.compute(self)


def _correlation(of: Regression) -> float | None:
    if not of.count or of.sxx <= 0 or of.syy <= 0:
        return None
    return max(-1.0, min(1.0, of.sxy / math.sqrt(of.sxx * of.syy)))


class IntervalSum(_Aggregate):
    def __init__(self, average: bool = False) -> None:
        self.average = average
        self.count = 0
        self.months = self.days = self.microseconds = 0

    def step(self, *values: Any) -> None:
        self._move(values[0], 1)

    def inverse(self, *values: Any) -> None:
        self._move(values[0], -1)

    def _move(self, given: Any, sign: int) -> None:
        if given is None:
            return
        value = read_interval(given)
        self.count += sign
        self.months += sign * value.months
        self.days += sign * value.days
        self.microseconds += sign * value.microseconds

    def value(self) -> str | None:
        if not self.count:
            return None
        total = Interval(self.months, self.days, self.microseconds)
        return intervals.text(intervals.scaled(total, 1 / self.count) if self.average else total)


class Sorted(_Aggregate):
    """The values in order; what is made of them is up to `compute`."""

    def __init__(self, key: Callable[[Any], Any], compute: Callable[[list[Any], tuple[Any, ...]], Any]) -> None:
        self.key = key
        self.compute = compute
        self.items: list[tuple[Any, Any]] = []
        self.rest: tuple[Any, ...] = ()

    def step(self, *values: Any) -> None:
        if values[0] is not None:
            self.rest = values[1:]
            insort(self.items, (self.key(values[0]), values[0]))

    def inverse(self, *values: Any) -> None:
        if values[0] is not None:
            del self.items[bisect_left(self.items, (self.key(values[0]), values[0]))]

    def value(self) -> Any:
        return self.compute([value for _, value in self.items], self.rest) if self.items else None


def _continuous(values: list[Any], rest: tuple[Any, ...]) -> float | None:
    fraction, down = rest[0], rest[1]
    if fraction is None:
        return None
    _check_fraction(fraction)
    if down:
        values = values[::-1]
    place = fraction * (len(values) - 1)
    low, high = math.floor(place), math.ceil(place)
    if low == high:
        return float(values[low])
    return float(values[low] + (values[high] - values[low]) * (place - low))


def _discrete(values: list[Any], rest: tuple[Any, ...]) -> Any:
    fraction, down = rest[0], rest[1]
    if fraction is None:
        return None
    _check_fraction(fraction)
    if down:
        values = values[::-1]
    return values[max(math.ceil(fraction * len(values)), 1) - 1]


def _check_fraction(fraction: float) -> None:
    if not 0 <= fraction <= 1:
        raise InvalidParameterValue(f"percentile value {fraction:g} is not between 0 and 1")


def _most_frequent(values: list[Any], rest: tuple[Any, ...]) -> Any:
    return Counter(values).most_common(1)[0][0]


def _natural(value: Any) -> Any:
    return value


class DistinctTexts(_Aggregate):
    """string_agg(DISTINCT x, sep): PostgreSQL finds duplicates by sorting, so the result is sorted."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.separator = ""
        self.down = False

    def step(self, *values: Any) -> None:
        if values[0] is not None:
            self.separator, self.down = values[1] or "", bool(values[2])
            self.counts[values[0]] += 1

    def inverse(self, *values: Any) -> None:
        if values[0] is not None:
            self.counts[values[0]] -= 1

    def value(self) -> str | None:
        kept = [text for text, count in self.counts.items() if count]
        return self.separator.join(sorted(kept, reverse=self.down)) if kept else None


class Pieces(_Aggregate):
    """Rows joined in the order they come."""

    def __init__(self, finish: Callable[[list[Any]], Any]) -> None:
        self.finish = finish
        self.pieces: list[Any] = []
        self.size = 0

    def step(self, *values: Any) -> None:
        if values[0] is None:
            return
        self.size += len(values[0])
        if self.size > BYTES_MAX:
            raise LimitExceeded(f"the result of an aggregate is larger than {BYTES_MAX} bytes")
        self.pieces.append(values if len(values) > 1 else values[0])

    def inverse(self, *values: Any) -> None:
        if values[0] is not None:
            self.pieces.pop(0)

    def value(self) -> Any:
        return self.finish(self.pieces) if self.pieces else None


def _joined_bytes(pieces: list[Any]) -> bytes:
    result = bytearray(pieces[0][0])
    for value, separator in pieces[1:]:
        result += (separator or b"") + value
    return bytes(result)


def _json_array(pieces: list[Any]) -> str:
    if isinstance(pieces[0], str):
        return f"[{', '.join(pieces)}]"
    return f"[{pieces[0][1].join(text for text, _ in pieces)}]"


class Bits(_Aggregate):
    """bit_and, bit_or.  A moving window is worked out anew from what is left in it."""

    def __init__(self, operation: Callable[[int, int], int]) -> None:
        self.operation = operation
        self.values: list[int] = []

    def step(self, *values: Any) -> None:
        if values[0] is None:
            return
        if self.values:
            self.values.append(values[0])
        else:
            self.values = [values[0]]

    def inverse(self, *values: Any) -> None:
        if values[0] is not None:
            self.values.pop(0)

    def value(self) -> int | None:
        if not self.values:
            return None
        result = self.values[0]
        for each in self.values[1:]:
            result = self.operation(result, each)
        return result


def _interval_key(value: Any) -> int:
    return intervals.span(read_interval(value))


AGGREGATES: Final[dict[str, Callable[[], Accumulator]]] = {
    "lfsql_numeric_sum": NumericSum,
    "lfsql_numeric_avg": NumericAverage,
    "lfsql_int8_sum": IntegerSum,
    "lfsql_interval_sum": IntervalSum,
    "lfsql_interval_avg": lambda: IntervalSum(average=True),
    "lfsql_interval_min": lambda: Sorted(_interval_key, lambda values, rest: values[0]),
    "lfsql_interval_max": lambda: Sorted(_interval_key, lambda values, rest: values[-1]),
    "lfsql_percentile_cont": lambda: Sorted(_natural, _continuous),
    "lfsql_percentile_disc": lambda: Sorted(_natural, _discrete),
    "lfsql_mode": lambda: Sorted(_natural, _most_frequent),
    "lfsql_string_agg_distinct": DistinctTexts,
    "lfsql_json_agg": lambda: Pieces(_json_array),
    "lfsql_bytea_agg": lambda: Pieces(_joined_bytes),
    "lfsql_bit_and": lambda: Bits(int.__and__),
    "lfsql_bit_or": lambda: Bits(int.__or__),
    "lfsql_corr": lambda: Regression(_correlation),
    "lfsql_covar_pop": lambda: Regression(lambda of: of.sxy / of.count if of.count else None),
    "lfsql_covar_samp": lambda: Regression(lambda of: of.sxy / (of.count - 1) if of.count > 1 else None),
    "lfsql_regr_count": lambda: Regression(lambda of: of.count),
    "lfsql_regr_slope": lambda: Regression(lambda of: of.sxy / of.sxx if of.count and of.sxx > 0 else None),
    "lfsql_regr_intercept": lambda: Regression(
        lambda of: (of.y - of.x * of.sxy / of.sxx) / of.count if of.count and of.sxx > 0 else None
    ),
}
for _kind, _class in (("numeric", NumericSpread), ("float", FloatSpread)):
    for _word, _deviation in (("stddev", True), ("var", False)):
        for _suffix, _sample in (("samp", True), ("pop", False)):

            def _factory(
                cls: type[NumericSpread | FloatSpread] = _class, sample: bool = _sample, deviation: bool = _deviation
            ) -> Accumulator:
                return cls(sample, deviation)

            AGGREGATES[f"lfsql_{_kind}_{_word}_{_suffix}"] = _factory
