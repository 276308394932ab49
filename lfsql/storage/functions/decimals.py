"""numeric: exact decimal arithmetic on canonical decimal text, with PostgreSQL's result scales.

The scale of a sum or product is exact; a quotient's, a root's, a logarithm's is chosen so that at least 16
significant digits show, counted in PostgreSQL's base-10000 digits (numeric.c, select_div_scale).  Integer arithmetic
carries divisions, so no rounding happens twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

from lfsql.errors import DivisionByZero, LogarithmError, NumericOutOfRange, PowerError
from lfsql.values.numeric import parse_numeric

EXACT: Final = Context(prec=20000, Emax=999999, Emin=-999999, traps=[InvalidOperation])
DIGITS_MIN: Final = 16
SCALE_MAX: Final = 1000
WHOLE_DIGITS_MAX: Final = 131072

ZERO: Final = Decimal(0)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Decimal:
    return Decimal(text)


def number(value: Any) -> Decimal:
    """A stored numeric; integers are taken too, since SQLite may hand them over."""
    if isinstance(value, str):
        return _parsed(value) if len(value) < 40 else Decimal(value)
    return Decimal(value)


def text(value: Decimal) -> str:
    """Canonical text.  Raises NumericOutOfRange when PostgreSQL's numeric could not hold it."""
    if value.is_finite():
        if value.adjusted() >= WHOLE_DIGITS_MAX:
            raise NumericOutOfRange("value overflows numeric format")
        if not value:
            value = abs(value)
    return format(value, "f")


def scale_of(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def rounded(value: Decimal, scale: int, rounding: str = ROUND_HALF_UP) -> Decimal:
    """To `scale` digits after the point, which may be negative; the result shows max(scale, 0) of them."""
    if not value.is_finite():
        return value
    result = value.quantize(Decimal(1).scaleb(-scale), rounding=rounding, context=EXACT)
    return result.quantize(Decimal(1), context=EXACT) if scale < 0 else result


def add(a: Any, b: Any) -> str:
    return text(_special(number(a), number(b), EXACT.add))


def subtract(a: Any, b: Any) -> str:
    return text(_special(number(a), number(b), EXACT.subtract))


def multiply(a: Any, b: Any) -> str:
    return text(_special(number(a), number(b), EXACT.multiply))


def _special(a: Decimal, b: Decimal, operation: Callable[[Decimal, Decimal], Decimal]) -> Decimal:
    if a.is_finite() and b.is_finite():
        return operation(a, b)
    try:
        return operation(a, b)
    except InvalidOperation:
        return Decimal("NaN")


def _leading(value: Decimal) -> tuple[int, int]:
    """(weight, first digit) in base 10000."""
    if not value:
        return 0, 0
    weight = value.adjusted() // 4
    return weight, int(abs(value).scaleb(-4 * weight, context=EXACT))


def division_scale(a: Decimal, b: Decimal) -> int:
    weight_a, first_a = _leading(a)
    weight_b, first_b = _leading(b)
    weight = weight_a - weight_b - (1 if first_a <= first_b else 0)
    scale = max(DIGITS_MIN - weight * 4, scale_of(a), scale_of(b), 0)
    return min(scale, SCALE_MAX)


def quotient(a: Decimal, b: Decimal, scale: int) -> Decimal:
    """a / b rounded half away from zero."""
    sign_a, digits_a, exponent_a = a.as_tuple()
    sign_b, digits_b, exponent_b = b.as_tuple()
    assert isinstance(exponent_a, int)
    assert isinstance(exponent_b, int)
    over = int("".join(map(str, digits_a)) or "0")
    under = int("".join(map(str, digits_b)) or "0")
    shift = exponent_a - exponent_b + scale
    if shift >= 0:
        over *= 10**shift
    else:
        under *= 10**-shift
    whole, rest = divmod(over, under)
    if 2 * rest >= under:
        whole += 1
    return Decimal((sign_a ^ sign_b if whole else 0, tuple(map(int, str(whole))), -scale))


def divide(a: Any, b: Any) -> str:
    one, other = number(a), number(b)
    if one.is_nan() or other.is_nan():
        return "NaN"
    if not other:
        raise DivisionByZero("division by zero")
    if not (one.is_finite() and other.is_finite()):
        if not one.is_finite() and not other.is_finite():
            return "NaN"
        return "0" if one.is_finite() else text(one.copy_sign(one * other.copy_sign(other)) if other > 0 else -one)
    return text(quotient(one, other, division_scale(one, other)))


def modulo(a: Any, b: Any) -> str:
    one, other = number(a), number(b)
    if one.is_nan() or other.is_nan():
        return "NaN"
    if not other:
        raise DivisionByZero("division by zero")
    if not one.is_finite():
        return "NaN"
    if not other.is_finite():
        return text(one)
    scale = max(scale_of(one), scale_of(other))
    return text(rounded(EXACT.remainder(one, other), scale))


def absolute(a: Any) -> str:
    return text(abs(number(a)))


def ceiling(a: Any) -> str:
    return text(rounded(number(a), 0, ROUND_CEILING))


def floor(a: Any) -> str:
    return text(rounded(number(a), 0, ROUND_FLOOR))


def round_to(a: Any, scale: int) -> str:
    return text(rounded(number(a), max(-WHOLE_DIGITS_MAX, min(scale, SCALE_MAX * 2))))


def truncate(a: Any, scale: int = 0) -> str:
    return text(rounded(number(a), max(-WHOLE_DIGITS_MAX, min(scale, SCALE_MAX * 2)), ROUND_DOWN))


def sign(a: Any) -> str:
    value = number(a)
    return "NaN" if value.is_nan() else "0" if not value else "-1" if value < 0 else "1"


def root(value: Decimal, scale: int) -> Decimal:
    context = Context(prec=max(scale + abs(value.adjusted()) + 10, 30), Emax=999999, Emin=-999999)
    return rounded(context.sqrt(value), scale)


def square_root(a: Any) -> str:
    value = number(a)
    if not value.is_finite():
        return (
            text(value)
            if not value.is_signed() or value.is_nan()
            else _raise("cannot take square root of a negative number")
        )
    if value < 0:
        raise PowerError("cannot take square root of a negative number")
    weight, _ = _leading(value)
    significant = (weight + 1) * 4 // 2 - 1
    return text(root(value, min(max(DIGITS_MIN - significant, scale_of(value), 0), SCALE_MAX)))


def _raise(message: str) -> str:
    raise PowerError(message)


def _work(scale: int, magnitude: int) -> Context:
    return Context(prec=scale + abs(magnitude) + 20, Emax=999999, Emin=-999999)


def exponential(a: Any) -> str:
    value = number(a)
    if not value.is_finite():
        return text(value) if value.is_nan() or value > 0 else "0"
    weight = int(float(value) * 0.434294481903252)
    if weight > WHOLE_DIGITS_MAX:
        raise NumericOutOfRange("value overflows numeric format")
    scale = min(max(DIGITS_MIN - weight, scale_of(value), 0), SCALE_MAX)
    return text(rounded(_work(scale, weight).exp(value), scale))


def _logarithm_scale(value: Decimal) -> int:
    """Decimal digits before the point of ln(value), roughly (estimate_ln_dweight)."""
    if Decimal("0.9") < value < Decimal("1.1"):
        difference = value - 1
        return difference.adjusted() if difference else 0
    estimate = abs(float(value.adjusted()) * math.log(10) + math.log(float(value.scaleb(-value.adjusted()))))
    return int(math.log10(estimate)) if estimate else 0


def _positive(value: Decimal) -> None:
    if value.is_finite():
        if not value:
            raise LogarithmError("cannot take logarithm of zero")
        if value < 0:
            raise LogarithmError("cannot take logarithm of a negative number")


def natural_logarithm(a: Any) -> str:
    value = number(a)
    _positive(value)
    if not value.is_finite():
        return text(value)
    scale = min(max(DIGITS_MIN - _logarithm_scale(value), scale_of(value), 0), SCALE_MAX)
    return text(rounded(_work(scale, 6).ln(value), scale))


def logarithm(a: Any, b: Any = None) -> str:
    """log(x) to base 10, log(base, x)."""
    base, value = (Decimal(10), number(a)) if b is None else (number(a), number(b))
    _positive(base)
    _positive(value)
    if not (base.is_finite() and value.is_finite()):
        return "NaN" if base.is_nan() or value.is_nan() else "Infinity" if base.is_finite() else "0"
    context = _work(60, 6)
    below = context.ln(base)
    if not below:
        raise DivisionByZero("division by zero")
    above = _logarithm_scale(value) - _logarithm_scale(base)
    scale = min(max(DIGITS_MIN - above, scale_of(base), scale_of(value), 0), SCALE_MAX)
    context = _work(scale, 12)
    return text(rounded(context.divide(context.ln(value), context.ln(base)), scale))


def power(a: Any, b: Any) -> str:
    base, exponent = number(a), number(b)
    if base.is_nan() or exponent.is_nan():
        return "1" if base == 1 or (exponent.is_finite() and not exponent) else "NaN"
    if not (base.is_finite() and exponent.is_finite()):
        return text(Context(prec=30).power(base, exponent))
    if not base and exponent < 0:
        raise PowerError("zero raised to a negative power is undefined")
    whole = exponent == exponent.to_integral_value()
    if base < 0 and not whole:
        raise PowerError("a negative number raised to a non-integer power yields a complex result")
    scales = max(scale_of(base), scale_of(exponent))
    if not base or not exponent:
        return text(rounded(Decimal(1) if not exponent else ZERO, max(DIGITS_MIN, scales)))
    magnitude = float(exponent) * (base.adjusted() + math.log10(abs(float(base.scaleb(-base.adjusted())))))
    if magnitude > WHOLE_DIGITS_MAX:
        raise NumericOutOfRange("value overflows numeric format")
    scale = max(DIGITS_MIN, scale_of(base)) if whole else max(DIGITS_MIN - int(magnitude), scales, 0)
    scale = min(scale, SCALE_MAX)
    if magnitude < -SCALE_MAX - 20:
        return text(rounded(ZERO, scale))
    return text(rounded(_work(scale, int(magnitude)).power(base, exponent), scale))


def fit(a: Any, precision: int, scale: int) -> str:
    """A value in numeric(precision, scale).  Raises NumericOutOfRange."""
    value = number(a)
    if value.is_nan():
        return "NaN"
    if value.is_finite():
        value = rounded(value, scale)
        if not value or value.adjusted() < precision - scale:
            return text(value)
        limit = f"10^{precision - scale}" if precision - scale else "1"
        detail = (
            f"A field with precision {precision}, scale {scale} must round to an absolute value less than {limit}."
        )
    else:
        detail = f"A field with precision {precision}, scale {scale} cannot hold an infinite value."
    raise NumericOutOfRange("numeric field overflow", detail=detail)


def compare(a: str, b: str) -> int:
    """The collation: numbers by value, NaN above everything, equal to itself; texts that are no numbers as text."""
    if a == b:
        return 0
    try:
        one, other = number(a), number(b)
    except (InvalidOperation, ValueError):
        return -1 if a < b else 1
    if one.is_nan() or other.is_nan():
        return int(one.is_nan()) - int(other.is_nan())
    return (one > other) - (one < other)


def factorial(n: int) -> str:
    if n < 0:
        raise NumericOutOfRange("factorial of a negative number is undefined")
    if n > 32177:
        raise NumericOutOfRange("value overflows numeric format")
    # Through Decimal: Python refuses to write so many digits of an int.
    return str(Decimal(math.factorial(n)))


def greatest(*values: Any) -> Any:
    known = [value for value in values if value is not None]
    return max(known, key=_order) if known else None


def least(*values: Any) -> Any:
    known = [value for value in values if value is not None]
    return min(known, key=_order) if known else None


def _order(value: Any) -> tuple[bool, Decimal]:
    parsed = number(value)
    return (True, ZERO) if parsed.is_nan() else (False, parsed)


SCALARS: Final = {
    "lfsql_numeric_add": add,
    "lfsql_numeric_subtract": subtract,
    "lfsql_numeric_multiply": multiply,
    "lfsql_numeric_divide": divide,
    "lfsql_numeric_modulo": modulo,
    "lfsql_numeric_power": power,
    "lfsql_numeric_abs": absolute,
    "lfsql_numeric_ceil": ceiling,
    "lfsql_numeric_floor": floor,
    "lfsql_numeric_round": round_to,
    "lfsql_numeric_trunc": truncate,
    "lfsql_numeric_sign": sign,
    "lfsql_numeric_sqrt": square_root,
    "lfsql_numeric_exp": exponential,
    "lfsql_numeric_ln": natural_logarithm,
    "lfsql_numeric_log": logarithm,
    "lfsql_numeric_fit": fit,
    "lfsql_numeric_scale": lambda a: scale_of(number(a)),
    "lfsql_numeric_trim": lambda a: text(number(a).normalize(EXACT)),
    "lfsql_text_to_numeric": parse_numeric,
    "factorial": factorial,
}
SCALARS_WITH_NULLS: Final = {"lfsql_numeric_greatest": greatest, "lfsql_numeric_least": least}
