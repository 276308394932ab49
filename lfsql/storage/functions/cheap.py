"""Functions that may run where nothing must block: each takes about as long as reading its arguments does.

What is not named here runs in a thread: a new function is slow until somebody has thought about it.  To be named, a
function's time and result must grow no faster than the size of its arguments, which callers bound.  So no regular
expressions (their time is a product), nothing that repeats or pads (its
result's size is a number's value), no JSON or array that is taken apart and written anew, no roots and powers.
LIKE is named although its time is a product: it stops when the statement's patience ends.

The operators and comparisons of SQLite are no functions, and need no names here.
"""

from __future__ import annotations

from typing import Final

_SQLITE: Final = """
abs ceil ceiling char changes coalesce current_date current_time current_timestamp date datetime floor ifnull iif
instr julianday last_insert_rowid length likelihood likely lower ltrim max min nullif octet_length random round rtrim
sign strftime substr substring time timediff total_changes trim trunc typeof unicode unixepoch unlikely upper
"""

_OURS: Final = """
ascii chr lfsql_like lfsql_ilike
lfsql_left lfsql_lower lfsql_overlay lfsql_right lfsql_substring lfsql_upper lfsql_fit lfsql_bytea_concat
concat concat_ws md5 sha224 sha256 sha384 sha512 starts_with lfsql_hashtext lfsql_random_uuid lfsql_text_to_uuid
lfsql_int2 lfsql_int4 lfsql_int8 lfsql_oid lfsql_float_to_int lfsql_numeric_to_int lfsql_numeric_to_float
lfsql_float_to_numeric lfsql_float4 lfsql_float8_text lfsql_float4_text lfsql_text_to_int lfsql_text_to_float8
lfsql_text_to_bool lfsql_quotient lfsql_remainder lfsql_float_divide lfsql_float_add lfsql_float_subtract
lfsql_float_multiply lfsql_float_negative lfsql_float_abs lfsql_float_total lfsql_float_round lfsql_shift
lfsql_greatest
lfsql_least lfsql_row_count lfsql_num_nulls lfsql_num_nonnulls lfsql_division_by_zero lfsql_null_key
lfsql_numeric_add lfsql_numeric_subtract lfsql_numeric_multiply lfsql_numeric_abs lfsql_numeric_ceil
lfsql_numeric_floor lfsql_numeric_round lfsql_numeric_trunc lfsql_numeric_sign lfsql_numeric_fit lfsql_numeric_scale
lfsql_numeric_trim lfsql_numeric_greatest lfsql_numeric_least lfsql_text_to_numeric
lfsql_interval_key lfsql_interval_add lfsql_interval_subtract lfsql_interval_multiply lfsql_interval_divide
lfsql_interval_greatest lfsql_interval_least lfsql_text_to_interval justify_hours justify_days justify_interval
make_interval
lfsql_now lfsql_to_local lfsql_to_utc lfsql_timestamptz_text lfsql_timestamptz_json lfsql_timestamp_add
lfsql_timestamp_subtract lfsql_days_between lfsql_date_add lfsql_time_add lfsql_time_to_interval
lfsql_interval_to_time lfsql_timetz lfsql_timetz_key lfsql_timetz_to_time lfsql_round_seconds lfsql_age
lfsql_epoch_to_timestamp lfsql_text_to_date lfsql_text_to_timestamp lfsql_text_to_timestamptz lfsql_text_to_time
lfsql_overlaps make_date make_time make_timestamp
lfsql_extract lfsql_extract_tz lfsql_extract_date lfsql_extract_time lfsql_extract_interval lfsql_date_part
lfsql_date_part_tz lfsql_time_part lfsql_interval_part date_trunc date_bin
lfsql_json_get lfsql_json_get_text lfsql_json_typeof lfsql_text_to_json lfsql_array_length lfsql_cardinality
lfsql_array_get
nextval setval currval lastval lfsql_notify
"""

CHEAP: Final = frozenset(_SQLITE.split()) | frozenset(_OURS.split())
