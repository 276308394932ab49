"""PostgreSQL's functions: argument types, result type, and the SQLite text of a call.

A line reads `name(types) result = text`; without text the function has the same name on SQLite's side
(`lfsql.storage.functions`).  In the text `{0}` is the first argument, `{*}` all of them, `{tz}` the session's time
zone.  A type followed by `...` repeats.  `any` takes every type as it is; `anyelement`, `anyarray` and
`anynonarray` bind a type that the result may name.  `?` after the result marks a function that may give other
results for the same arguments.

PostgreSQL's pg_proc could be read instead, but names no translation, and 3,000 rows hide the 400 that matter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from lfsql.errors import InvariantBroken
from proxy.sql.infer import type_named

ANY: Final = -1
ANYELEMENT: Final = -2
ANYARRAY: Final = -3

SCALARS: Final = """
upper(text) text = lfsql_upper({0})
lower(text) text = lfsql_lower({0})
initcap(text) text
length(text) int4 = length({0})
length(bytea) int4 = length({0})
char_length(text) int4 = length({0})
character_length(text) int4 = length({0})
octet_length(text) int4 = octet_length({0})
octet_length(bytea) int4 = octet_length({0})
bit_length(text) int4 = (octet_length({0}) * 8)
bit_length(bytea) int4 = (octet_length({0}) * 8)
substr(text, int4) text = lfsql_substring({0}, {1})
substr(text, int4, int4) text = lfsql_substring({0}, {1}, {2})
substr(bytea, int4) bytea = lfsql_substring({0}, {1})
substr(bytea, int4, int4) bytea = lfsql_substring({0}, {1}, {2})
substring(text, int4) text = lfsql_substring({0}, {1})
substring(text, int4, int4) text = lfsql_substring({0}, {1}, {2})
substring(bytea, int4) bytea = lfsql_substring({0}, {1})
substring(bytea, int4, int4) bytea = lfsql_substring({0}, {1}, {2})
substring(text, text) text = regexp_substr({0}, {1})
strpos(text, text) int4 = instr({0}, {1})
position(text, text) int4 = instr({1}, {0})
overlay(text, text, int4) text = lfsql_overlay({*})
overlay(text, text, int4, int4) text = lfsql_overlay({*})
left(text, int4) text = lfsql_left({*})
right(text, int4) text = lfsql_right({*})
repeat(text, int4) text
lpad(text, int4) text
lpad(text, int4, text) text
rpad(text, int4) text
rpad(text, int4, text) text
reverse(text) text = lfsql_reverse({0})
split_part(text, text, int4) text
translate(text, text, text) text
replace(text, text, text) text = replace({*})
ascii(text) int4
chr(int4) text
btrim(text) text = trim({0})
btrim(text, text) text = trim({*})
ltrim(text) text = ltrim({*})
ltrim(text, text) text = ltrim({*})
rtrim(text) text = rtrim({*})
rtrim(text, text) text = rtrim({*})
md5(text) text
md5(bytea) text
sha224(bytea) bytea
sha256(bytea) bytea
sha384(bytea) bytea
sha512(bytea) bytea
encode(bytea, text) text
decode(text, text) bytea
to_hex(int4) text
to_hex(int8) text
quote_ident(text) text
starts_with(text, text) bool
regexp_replace(text, text, text) text
regexp_replace(text, text, text, text) text
regexp_match(text, text) _text
regexp_match(text, text, text) _text
regexp_split_to_array(text, text) _text
regexp_split_to_array(text, text, text) _text
regexp_count(text, text) int4
regexp_like(text, text) bool
regexp_like(text, text, text) bool
regexp_substr(text, text) text
regexp_instr(text, text) int4
string_to_array(text, text) _text
string_to_array(text, text, text) _text
parse_ident(text) _text
unaccent(text) text
abs(int2) int2 = abs({0})
abs(int4) int4 = abs({0})
abs(int8) int8 = abs({0})
abs(numeric) numeric = lfsql_numeric_abs({0})
abs(float4) float4 = abs({0})
abs(float8) float8 = lfsql_float_abs({0})
ceil(numeric) numeric = lfsql_numeric_ceil({0})
ceil(float8) float8 = ceil({0})
ceiling(numeric) numeric = lfsql_numeric_ceil({0})
ceiling(float8) float8 = ceil({0})
floor(numeric) numeric = lfsql_numeric_floor({0})
floor(float8) float8 = floor({0})
round(numeric) numeric = lfsql_numeric_round({0}, 0)
round(numeric, int4) numeric = lfsql_numeric_round({*})
round(float8) float8 = lfsql_float_round({0})
trunc(numeric) numeric = lfsql_numeric_trunc({0}, 0)
trunc(numeric, int4) numeric = lfsql_numeric_trunc({*})
trunc(float8) float8 = trunc({0})
sign(numeric) numeric = lfsql_numeric_sign({0})
sign(float8) float8 = CAST(sign({0}) AS REAL)
sqrt(numeric) numeric = lfsql_numeric_sqrt({0})
sqrt(float8) float8 = lfsql_float_sqrt({0})
cbrt(float8) float8 = lfsql_float_cbrt({0})
exp(numeric) numeric = lfsql_numeric_exp({0})
exp(float8) float8 = lfsql_float_exp({0})
ln(numeric) numeric = lfsql_numeric_ln({0})
ln(float8) float8 = lfsql_float_ln({0})
log(numeric) numeric = lfsql_numeric_log({0})
log(numeric, numeric) numeric = lfsql_numeric_log({*})
log(float8) float8 = lfsql_float_log10({0})
log10(numeric) numeric = lfsql_numeric_log({0})
log10(float8) float8 = lfsql_float_log10({0})
power(numeric, numeric) numeric = lfsql_numeric_power({*})
power(float8, float8) float8 = lfsql_float_power({*})
pow(numeric, numeric) numeric = lfsql_numeric_power({*})
pow(float8, float8) float8 = lfsql_float_power({*})
mod(int2, int2) int2 = lfsql_remainder({*})
mod(int4, int4) int4 = lfsql_remainder({*})
mod(int8, int8) int8 = lfsql_remainder({*})
mod(numeric, numeric) numeric = lfsql_numeric_modulo({*})
div(numeric, numeric) numeric = lfsql_numeric_trunc(lfsql_numeric_divide({*}), 0)
gcd(int4, int4) int4
gcd(int8, int8) int8
lcm(int4, int4) int4
lcm(int8, int8) int8
factorial(int8) numeric
scale(numeric) int4 = lfsql_numeric_scale({0})
trim_scale(numeric) numeric = lfsql_numeric_trim({0})
pi() float8 = pi()
degrees(float8) float8 = degrees({0})
radians(float8) float8 = radians({0})
sin(float8) float8 = sin({0})
cos(float8) float8 = cos({0})
tan(float8) float8 = tan({0})
cot(float8) float8 = (1.0 / tan({0}))
asin(float8) float8 = asin({0})
acos(float8) float8 = acos({0})
atan(float8) float8 = atan({0})
atan2(float8, float8) float8 = atan2({*})
sinh(float8) float8 = sinh({0})
cosh(float8) float8 = cosh({0})
tanh(float8) float8 = tanh({0})
width_bucket(float8, float8, float8, int4) int4
random() float8? = ((random() & 9007199254740991) / 9007199254740992.0)
gen_random_uuid() uuid? = lfsql_random_uuid(randomblob(16))
uuid_generate_v4() uuid? = lfsql_random_uuid(randomblob(16))
now() timestamptz? = lfsql_now()
transaction_timestamp() timestamptz? = lfsql_now()
statement_timestamp() timestamptz? = lfsql_timestamp_add(lfsql_now(), {elapsed}, 1, 'UTC')
clock_timestamp() timestamptz? = lfsql_timestamp_add(lfsql_now(), {elapsed}, 1, 'UTC')
date_trunc(text, timestamp) timestamp = date_trunc({0}, {1})
date_trunc(text, timestamptz) timestamptz = lfsql_to_utc(date_trunc({0}, lfsql_to_local({1}, {tz})), {tz})
date_trunc(text, timestamptz, text) timestamptz = lfsql_to_utc(date_trunc({0}, lfsql_to_local({1}, {2})), {2})
date_trunc(text, interval) interval = lfsql_interval_trunc({0}, {1})
date_part(text, timestamp) float8 = lfsql_date_part({0}, {1})
date_part(text, timestamptz) float8 = lfsql_date_part_tz({0}, {1}, {tz})
date_part(text, date) float8 = lfsql_date_part({0}, {1} || ' 00:00:00')
date_part(text, time) float8 = lfsql_time_part({0}, {1})
date_part(text, interval) float8 = lfsql_interval_part({0}, {1})
extract(text, timestamp) numeric = lfsql_extract({0}, {1})
extract(text, timestamptz) numeric = lfsql_extract_tz({0}, {1}, {tz})
extract(text, date) numeric = lfsql_extract_date({0}, {1})
extract(text, time) numeric = lfsql_extract_time({0}, {1})
extract(text, interval) numeric = lfsql_extract_interval({0}, {1})
age(timestamp, timestamp) interval = lfsql_age({*})
age(timestamptz, timestamptz) interval = lfsql_age(lfsql_to_local({0}, {tz}), lfsql_to_local({1}, {tz}))
age(timestamp) interval? = lfsql_age(date_trunc('day', lfsql_to_local(lfsql_now(), {tz})), {0})
age(timestamptz) interval? = lfsql_age(date_trunc('day', lfsql_to_local(lfsql_now(), {tz})),\
 lfsql_to_local({0}, {tz}))
make_date(int4, int4, int4) date
make_time(int4, int4, float8) time
make_timestamp(int4, int4, int4, int4, int4, float8) timestamp
make_timestamptz(int4, int4, int4, int4, int4, float8) timestamptz = lfsql_to_utc(make_timestamp({*}), {tz})
make_interval(int4, int4, int4, int4, int4, int4, float8) interval
justify_days(interval) interval
justify_hours(interval) interval
justify_interval(interval) interval
isfinite(date) bool = ({0} NOT IN ('infinity', '-infinity'))
isfinite(timestamp) bool = ({0} NOT IN ('infinity', '-infinity'))
isfinite(timestamptz) bool = ({0} NOT IN ('infinity', '-infinity'))
isfinite(interval) bool = ({0} IS NOT NULL)
date_bin(interval, timestamp, timestamp) timestamp
date_bin(interval, timestamptz, timestamptz) timestamptz
timezone(text, timestamp) timestamptz = lfsql_to_utc({1}, {0})
timezone(text, timestamptz) timestamp = lfsql_to_local({1}, {0})
timezone(interval, timestamp) timestamptz = lfsql_timestamp_add({1}, {0}, -1, 'UTC')
timezone(interval, timestamptz) timestamp = lfsql_timestamp_add({1}, {0}, 1, 'UTC')
to_timestamp(float8) timestamptz = lfsql_epoch_to_timestamp({0})
to_timestamp(text, text) timestamptz = lfsql_to_utc(lfsql_read_timestamp({*}), {tz})
to_date(text, text) date = substr(lfsql_read_timestamp({*}), 1, 10)
to_char(timestamp, text) text = lfsql_timestamp_to_char({*})
to_char(timestamptz, text) text = lfsql_timestamp_to_char(lfsql_to_local({0}, {tz}), {1}, {tz})
to_char(interval, text) text = lfsql_interval_to_char({*})
to_char(int4, text) text = lfsql_number_to_char({*})
to_char(int8, text) text = lfsql_number_to_char({*})
to_char(numeric, text) text = lfsql_number_to_char({*})
to_char(float8, text) text = lfsql_number_to_char({*})
to_number(text, text) numeric
overlaps(timestamp, timestamp, timestamp, timestamp) bool = lfsql_overlaps({*})
array_length(anyarray, int4) int4 = lfsql_array_length({*})
array_ndims(anyarray) int4 = lfsql_array_ndims({*})
array_upper(anyarray, int4) int4 = lfsql_array_length({*})
array_lower(anyarray, int4) int4 = lfsql_array_lower({*})
cardinality(anyarray) int4 = lfsql_cardinality({*})
array_to_string(anyarray, text) text = lfsql_array_to_string({0}, {1}, NULL, {oid0})
array_to_string(anyarray, text, text) text = lfsql_array_to_string({0}, {1}, {2}, {oid0})
array_append(anyarray, anyelement) anyarray = lfsql_array_append({*})
array_prepend(anyelement, anyarray) anyarray = lfsql_array_prepend({*})
array_cat(anyarray, anyarray) anyarray = lfsql_array_cat({*})
array_remove(anyarray, anyelement) anyarray = lfsql_array_remove({*})
array_replace(anyarray, anyelement, anyelement) anyarray = lfsql_array_replace({*})
array_position(anyarray, anyelement) int4 = lfsql_array_position({*})
array_positions(anyarray, anyelement) _int4 = lfsql_array_positions({*})
trim_array(anyarray, int4) anyarray = lfsql_trim_array({*})
json_typeof(json) text = lfsql_json_typeof({0})
jsonb_typeof(jsonb) text = lfsql_json_typeof({0})
json_array_length(json) int4 = lfsql_json_array_length({0})
jsonb_array_length(jsonb) int4 = lfsql_json_array_length({0})
jsonb_set(jsonb, _text, jsonb) jsonb = lfsql_jsonb_set({*}, 1)
jsonb_set(jsonb, _text, jsonb, bool) jsonb = lfsql_jsonb_set({*})
jsonb_insert(jsonb, _text, jsonb) jsonb = lfsql_jsonb_insert({*}, 0)
jsonb_insert(jsonb, _text, jsonb, bool) jsonb = lfsql_jsonb_insert({*})
jsonb_strip_nulls(jsonb) jsonb = lfsql_jsonb_strip_nulls({0})
json_strip_nulls(json) json = lfsql_json_strip_nulls({0})
jsonb_pretty(jsonb) text = lfsql_jsonb_pretty({0})
json_extract_path(json, text...) json = lfsql_json_path({0}, json_array({rest}))
json_extract_path_text(json, text...) text = lfsql_json_path_text({0}, json_array({rest}))
jsonb_extract_path(jsonb, text...) jsonb = lfsql_jsonb_path({0}, json_array({rest}))
jsonb_extract_path_text(jsonb, text...) text = lfsql_json_path_text({0}, json_array({rest}))
jsonb_exists(jsonb, text) bool = lfsql_jsonb_exists({*})
json_object(_text) json = lfsql_json_object({*})
json_object(_text, _text) json = lfsql_json_object({*})
jsonb_object(_text) jsonb = lfsql_text_to_jsonb(lfsql_json_object({*}))
jsonb_object(_text, _text) jsonb = lfsql_text_to_jsonb(lfsql_json_object({*}))
num_nulls(any...) int4 = lfsql_num_nulls({*})
num_nonnulls(any...) int4 = lfsql_num_nonnulls({*})
pg_notify(text, text) void? = lfsql_notify({*}, {pid})
hashtext(text) int4 = lfsql_hashtext({0})
pg_sleep(float8) void? = lfsql_sleep({0})
pg_column_size(any) int4 = octet_length({0})
pg_advisory_lock(int8) void = ''
pg_advisory_lock(int4, int4) void = ''
pg_advisory_lock_shared(int8) void = ''
pg_advisory_lock_shared(int4, int4) void = ''
pg_advisory_xact_lock(int8) void = ''
pg_advisory_xact_lock(int4, int4) void = ''
pg_advisory_xact_lock_shared(int8) void = ''
pg_advisory_xact_lock_shared(int4, int4) void = ''
pg_try_advisory_lock(int8) bool = 1
pg_try_advisory_lock(int4, int4) bool = 1
pg_try_advisory_lock_shared(int8) bool = 1
pg_try_advisory_lock_shared(int4, int4) bool = 1
pg_try_advisory_xact_lock(int8) bool = 1
pg_try_advisory_xact_lock(int4, int4) bool = 1
pg_try_advisory_xact_lock_shared(int8) bool = 1
pg_try_advisory_xact_lock_shared(int4, int4) bool = 1
pg_advisory_unlock(int8) bool = 1
pg_advisory_unlock(int4, int4) bool = 1
pg_advisory_unlock_shared(int8) bool = 1
pg_advisory_unlock_shared(int4, int4) bool = 1
pg_advisory_unlock_all() void = ''
"""


SESSION: Final = """
version() text
current_user() name
session_user() name
current_role() name
current_catalog() name
current_database() name
current_schema() name
current_schemas(bool) _name
current_setting(text) text
current_setting(text, bool) text
set_config(text, text, bool) text
pg_backend_pid() int4
pg_is_in_recovery() bool
pg_postmaster_start_time() timestamptz
pg_conf_load_time() timestamptz
pg_is_wal_replay_paused() bool
pg_current_wal_lsn() text
pg_last_wal_receive_lsn() text
pg_last_wal_replay_lsn() text
pg_last_xact_replay_timestamp() timestamptz
txid_current() int8
inet_server_addr() text
inet_server_port() int4
inet_client_addr() text
inet_client_port() int4
pg_trigger_depth() int4
pg_notification_queue_usage() float8
"""

SETS: Final = """
generate_series(int4, int4) int4 = lfsql_series({*}, 1)
generate_series(int4, int4, int4) int4 = lfsql_series({*})
generate_series(int8, int8) int8 = lfsql_series({*}, 1)
generate_series(int8, int8, int8) int8 = lfsql_series({*})
generate_series(numeric, numeric) numeric = lfsql_numeric_series({*}, '1')
generate_series(numeric, numeric, numeric) numeric = lfsql_numeric_series({*})
generate_series(timestamp, timestamp, interval) timestamp = lfsql_timestamp_series({*}, 'UTC')
generate_series(timestamptz, timestamptz, interval) timestamptz = lfsql_timestamp_series({*}, {tz})
generate_subscripts(anyarray, int4) int4 = lfsql_series(1, COALESCE(lfsql_array_length({*}), 0), 1)
unnest(anyarray) anyelement = json_each({0})
json_array_elements(json) json = lfsql_json_elements({0}, 'json')
json_array_elements_text(json) text = lfsql_json_elements({0}, 'text')
jsonb_array_elements(jsonb) jsonb = lfsql_json_elements({0}, 'jsonb')
jsonb_array_elements_text(jsonb) text = lfsql_json_elements({0}, 'text')
json_object_keys(json) text = lfsql_json_keys({0})
jsonb_object_keys(jsonb) text = lfsql_json_keys({0})
regexp_matches(text, text) _text = lfsql_regex_matches({*}, '')
regexp_matches(text, text, text) _text = lfsql_regex_matches({*})
regexp_split_to_table(text, text) text = json_each(regexp_split_to_array({*}))
regexp_split_to_table(text, text, text) text = json_each(regexp_split_to_array({*}))
string_to_table(text, text) text = json_each(string_to_array({*}))
string_to_table(text, text, text) text = json_each(string_to_array({*}))
pg_listening_channels() text = json_each({channels})
"""
"""Functions that return rows of one column."""

AGGREGATES: Final = """
count(any) int8 = count({0})
sum(int2) int8 = sum({0})
sum(int4) int8 = sum({0})
sum(int8) numeric = lfsql_int8_sum({0})
sum(numeric) numeric = lfsql_numeric_sum({0})
sum(float4) float4 = {a}
sum(float8) float8 = {a}
sum(interval) interval = lfsql_interval_sum({0})
avg(numeric) numeric = lfsql_numeric_avg({0})
avg(float8) float8 = {a}
avg(interval) interval = lfsql_interval_avg({0})
bool_and(bool) bool = min({0})
bool_or(bool) bool = max({0})
every(bool) bool = min({0})
bit_and(int2) int2 = lfsql_bit_and({0})
bit_and(int4) int4 = lfsql_bit_and({0})
bit_and(int8) int8 = lfsql_bit_and({0})
bit_or(int2) int2 = lfsql_bit_or({0})
bit_or(int4) int4 = lfsql_bit_or({0})
bit_or(int8) int8 = lfsql_bit_or({0})
stddev(int2) numeric = lfsql_numeric_stddev_samp({0})
stddev(int4) numeric = lfsql_numeric_stddev_samp({0})
stddev(int8) numeric = lfsql_numeric_stddev_samp({0})
stddev(numeric) numeric = lfsql_numeric_stddev_samp({0})
stddev(float8) float8 = lfsql_float_stddev_samp({0})
stddev_samp(int2) numeric = lfsql_numeric_stddev_samp({0})
stddev_samp(int4) numeric = lfsql_numeric_stddev_samp({0})
stddev_samp(int8) numeric = lfsql_numeric_stddev_samp({0})
stddev_samp(numeric) numeric = lfsql_numeric_stddev_samp({0})
stddev_samp(float8) float8 = lfsql_float_stddev_samp({0})
stddev_pop(int2) numeric = lfsql_numeric_stddev_pop({0})
stddev_pop(int4) numeric = lfsql_numeric_stddev_pop({0})
stddev_pop(int8) numeric = lfsql_numeric_stddev_pop({0})
stddev_pop(numeric) numeric = lfsql_numeric_stddev_pop({0})
stddev_pop(float8) float8 = lfsql_float_stddev_pop({0})
variance(int2) numeric = lfsql_numeric_var_samp({0})
variance(int4) numeric = lfsql_numeric_var_samp({0})
variance(int8) numeric = lfsql_numeric_var_samp({0})
variance(numeric) numeric = lfsql_numeric_var_samp({0})
variance(float8) float8 = lfsql_float_var_samp({0})
var_samp(int2) numeric = lfsql_numeric_var_samp({0})
var_samp(int4) numeric = lfsql_numeric_var_samp({0})
var_samp(int8) numeric = lfsql_numeric_var_samp({0})
var_samp(numeric) numeric = lfsql_numeric_var_samp({0})
var_samp(float8) float8 = lfsql_float_var_samp({0})
var_pop(int2) numeric = lfsql_numeric_var_pop({0})
var_pop(int4) numeric = lfsql_numeric_var_pop({0})
var_pop(int8) numeric = lfsql_numeric_var_pop({0})
var_pop(numeric) numeric = lfsql_numeric_var_pop({0})
var_pop(float8) float8 = lfsql_float_var_pop({0})
corr(float8, float8) float8 = lfsql_corr({*})
covar_pop(float8, float8) float8 = lfsql_covar_pop({*})
covar_samp(float8, float8) float8 = lfsql_covar_samp({*})
regr_slope(float8, float8) float8 = lfsql_regr_slope({*})
regr_intercept(float8, float8) float8 = lfsql_regr_intercept({*})
regr_count(float8, float8) int8 = lfsql_regr_count({*})
string_agg(text, text) text = group_concat({*})
string_agg(bytea, bytea) bytea = lfsql_bytea_agg({*})
"""

WINDOWS: Final = """
row_number() int8 = row_number()
rank() int8 = rank()
dense_rank() int8 = dense_rank()
percent_rank() float8 = percent_rank()
cume_dist() float8 = cume_dist()
ntile(int4) int4 = ntile({0})
lag(anyelement) anyelement = lag({*})
lag(anyelement, int4) anyelement = lag({*})
lag(anyelement, int4, anyelement) anyelement = lag({*})
lead(anyelement) anyelement = lead({*})
lead(anyelement, int4) anyelement = lead({*})
lead(anyelement, int4, anyelement) anyelement = lead({*})
first_value(anyelement) anyelement = first_value({0})
last_value(anyelement) anyelement = last_value({0})
nth_value(anyelement, int4) anyelement = nth_value({*})
"""


@dataclass(frozen=True, slots=True)
class Signature:
    name: str
    arguments: tuple[int, ...]
    """Type OIDs, or ANY, ANYELEMENT, ANYARRAY."""
    result: int
    text: str
    variadic: bool = False
    """The last argument repeats."""
    volatile: bool = False


_LINE = re.compile(r"^(\w+)\(([^)]*)\) (\w+)(\?)?(?: = (.*))?$")
_POLYMORPHIC: Final = {"any": ANY, "anyelement": ANYELEMENT, "anynonarray": ANYELEMENT, "anyarray": ANYARRAY}


def _type(word: str) -> int:
    return _POLYMORPHIC[word] if word in _POLYMORPHIC else type_named(word)


def parse_signatures(text: str) -> dict[str, tuple[Signature, ...]]:
    """A table in the form above, by name."""
    found: dict[str, tuple[Signature, ...]] = {}
    for line in text.strip().splitlines():
        match = _LINE.match(line)
        if match is None:
            raise InvariantBroken(f"not a signature: {line!r}")
        name, arguments, result, volatile, template = match.groups()
        words = [word.strip() for word in arguments.split(",")] if arguments else []
        variadic = bool(words) and words[-1].endswith("...")
        types = tuple(_type(word.removesuffix("...")) for word in words)
        signature = Signature(
            name, types, _type(result), template or f"{name}({{*}})", variadic=variadic, volatile=bool(volatile)
        )
        found[name] = (*found.get(name, ()), signature)
    return found


@cache
def scalars() -> dict[str, tuple[Signature, ...]]:
    return parse_signatures(SCALARS)


@cache
def session_functions() -> dict[str, tuple[Signature, ...]]:
    return parse_signatures(SESSION)


@cache
def set_functions() -> dict[str, tuple[Signature, ...]]:
    return parse_signatures(SETS)


@cache
def aggregates() -> dict[str, tuple[Signature, ...]]:
    return parse_signatures(AGGREGATES)


@cache
def window_functions() -> dict[str, tuple[Signature, ...]]:
    return parse_signatures(WINDOWS)
