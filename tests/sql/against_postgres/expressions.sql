-- literals and names
1
2147483647
2147483648
9223372036854775808
1.50
.5
1e3
1.5e-3
'abc'
null
true
false
1 as "Weird Name"
-5
- 2147483648
+3
-- integer arithmetic
1 + 2
7 / 2
-7 / 2
7 % 3
-7 % 3
7 / -2
2 * 3 + 1
5 - 8
1 / 0
1 % 0
2147483647 + 1
9223372036854775807 + 1
2147483647::bigint + 1
1::smallint + 1::smallint
32767::smallint + 1::smallint
1::smallint + 1
1::bigint * 3
2 ^ 3
2 ^ 0.5
5 & 3
5 | 3
5 # 3
~5
1 << 4
256 >> 2
1 << 31
-(-5)
abs(-5)
abs(-5.5)
abs((-5)::bigint)
mod(7, 3)
mod(-7, 3)
mod(7.5, 2)
div(7, 2)
gcd(12, 18)
lcm(4, 6)
factorial(10)
sign(-3)
sign(-3.5)
-- numeric
0.1 + 0.2
1.10 + 2.2
1.5 * 2.25
10.0 / 3
10 / 3.0
1.0 / 3
2.0 / 3
100000000000000.0 / 3
1 / 3.0
0.0001 / 3
1e-20 / 3
7.5 % 2
-7.5 % 2
5.0 - 5
2.0 ^ 3
2 ^ -1.5
10.0 ^ 20
round(2.5)
round(-2.5)
round(2.567, 2)
round(1234.5, -2)
round(2.5::float8)
round(3.5::float8)
trunc(2.567, 1)
trunc(-2.5)
ceil(2.1)
ceil(-2.1)
ceiling(2.1::float8)
floor(-2.1)
sqrt(2)
sqrt(2.0)
sqrt(16.0)
sqrt(1000000.0)
exp(1)
exp(1.0)
exp(10.5)
ln(2.0)
ln(100.0)
log(100.0)
log(2.0, 64.0)
log10(1000)
power(2, 10)
power(2.0, 10)
power(9, 0.5)
pi()
degrees(pi())
radians(180)
sin(0)
cos(0)
atan2(1, 1)
width_bucket(5.35, 0.024, 10.06, 5)
1.0::numeric(5,2)
123.456::numeric(5,1)
12345.6::numeric(5,2)
1.23456789012345678901234567890
scale(1.230)
trim_scale(1.2300)
'1.5'::numeric + 1
'abc'::numeric
'NaN'::numeric
1.5 = 1.50
1.5 > 1
2 > 1.5
'10' > 9
1.5::float8 + 1
1.5::float8 + 1.5
1::float8 / 3
1::float4 / 3
1.5::float4 + 1
1.1::float4
1.1::float4::float8
0.1::float8 + 0.2::float8
1e15::float8
1e16::float8
123456789.123::float8
1e-5::float8
0.0001::float8
1::float8 / 0
'Infinity'::float8
100::float8
1e300::float8 * 10
-- casts
'5'::int
'5'::int + 1
' 7 '::int
'x'::int
5::text
5::text || 'x'
true::text
false::int
1::bool
0::bool
'yes'::bool
'off'::boolean
'maybe'::bool
2.5::int
3.5::int
-2.5::int
2.5::float8::int
3.5::float8::int
1e10::int
70000::smallint
5::numeric
5::numeric(4,2)
1.999::numeric(3,1)
1.5::text
1.5::float8::text
1e100::float8::text
'abc'::varchar(2)
'abc'::char(5)
'abc'::char(2)
'ab '::char(5) || 'x'
length('ab '::char(5))
'a'::"char"
'abc'::name
'2024-1-5'::date
'2024-01-05 10:00'::timestamp
'2024-01-05'::timestamp
'2024-01-05 10:20:30.123456789'::timestamp
'2024-01-05 10:20:30+02'::timestamptz
'2024-02-30'::date
'infinity'::date
'10:20'::time
'10:20:30.5'::time
'1 day'::interval
'1 year 2 months 3 days 4 hours 5 minutes 6.5 seconds'::interval
'P1Y2M3DT4H5M6S'::interval
'1.5 days'::interval
'-1 day'::interval
'1 week'::interval
'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid
'\xdeadbeef'::bytea
'abc'::bytea
'{"b":1,  "a":2}'::json
'{"b":1,  "a":2, "b":3}'::jsonb
'{1,2,3}'::int[]
'{a,"b c",NULL}'::text[]
'{1.5,2}'::numeric[]
'{t,f}'::bool[]
'2024-01-05 10:20:30'::timestamp::date
'2024-01-05 10:20:30'::timestamp::time
'2024-01-05'::date::timestamp
'2024-01-05'::date::text
'2024-01-05 10:00:00+00'::timestamptz::text
'2024-01-05 10:00:00+00'::timestamptz::date
'2024-01-05 10:00:00'::timestamp::timestamptz
'2024-01-05 10:20:30.123456'::timestamp(3)
cast('12' as int)
cast(5 as varchar(10))
cast('a' as text)
date '2024-01-05'
timestamp '2024-01-05 01:02:03'
timestamptz '2024-01-05 01:02:03+01'
time '01:02'
interval '1 day'
interval '5' minute
interval '1-2' year to month
interval '3 days 4 hours'
int4 '7'
float8 '1.5'
1::int4::int8::text
'5'::int2
null::int
null::text
null::numeric(5,2)
-- casts at run time
b::int from (values ('12')) v(b)
b::int from (values ('x')) v(b)
b::bigint, b::smallint, b::float8, b::real, b::numeric, b::numeric(5,1) from (values ('12')) v(b)
b::bool from (values ('yes'), ('f')) v(b)
b::date, b::timestamp, b::timestamptz from (values ('2024-01-05')) v(b)
b::date from (values ('nope')) v(b)
b::time from (values ('10:20')) v(b)
b::interval from (values ('1 day 2 hours')) v(b)
b::uuid from (values ('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11')) v(b)
b::bytea from (values ('\xdead')) v(b)
b::json, b::jsonb from (values ('{"b":1,  "a":2}')) v(b)
b::int[], b::text[] from (values ('{1,2}')) v(b)
b::varchar(2), b::char(3), b::"char", b::name from (values ('abcd')) v(b)
b::oid from (values ('12')) v(b)
b::text, b::varchar from (values (1.5::float8)) v(b)
b::smallint, b::int, b::bigint, b::numeric, b::real from (values (1.5::float8)) v(b)
b::smallint, b::int, b::bigint, b::float8, b::real from (values (2.5)) v(b)
b::numeric, b::float8, b::smallint, b::text, b::bool, b::oid from (values (7)) v(b)
b::smallint from (values (70000)) v(b)
b::int, b::text from (values (true), (false), (null)) v(b)
b::timestamp, b::date, b::time, b::text, b::timestamp(0) from (values (timestamptz '2024-01-05 10:20:30.7+00')) v(b)
b::timestamptz, b::date, b::time, b::text, b::timestamp(1) from (values (timestamp '2024-01-05 10:20:30.75')) v(b)
b::timestamp, b::timestamptz, b::text from (values (date '2024-01-05')) v(b)
b::interval, b::text, b::time(0) from (values (time '10:20:30.5')) v(b)
b::time, b::text from (values (interval '1 day 02:03:04')) v(b)
b::jsonb, b::text from (values ('{"a": 1}'::json)) v(b)
b::json, b::text from (values ('{"a":  1}'::jsonb)) v(b)
b::int, b::numeric, b::float8, b::text from (values ('12'::jsonb)) v(b)
b::text, b::text[], b::numeric[], b::int8[] from (values (array[1, 2])) v(b)
b::int[] from (values (array['1', '2'])) v(b)
b::text from (values (timestamptz '2024-01-05 10:20:30+00')) v(b)
b::text from (values (array[timestamptz '2024-01-05 10:20:30+00'])) v(b)
b::text from (values ('\x01'::bytea)) v(b)
b::uuid from (values (1)) v(b)
b::date from (values (1)) v(b)
b::int from (values (date '2024-01-01')) v(b)
'12'::varchar(1)::int
1::oid
'7'::oid
'2024-01-05 10:00'::timestamptz
'2024-01-05 10:00:00.567'::timestamptz(1)
'10:20:30.567'::time(1)
'NaN'::numeric > 1
1.5::numeric(3,1)::numeric(2,0)
float4(1.5), int8(3), text(5), date('2024-01-01'), timestamp '2024-01-01' :: date
bool 'true'
'abc'::text::varchar::char(2)
e'a\tb'
1.5e3::int
12345678901234567890123 + 1
'a'::"char" < 'b'::varchar, 'a'::"char" = 'a'::bpchar, 'b'::"char" > 'a'::name, 'a'::"char" = 'ab'::varchar
'r'::"char" = any (array['r'::varchar, 'v']), 'r'::"char" in ('v'::varchar, 'p'), 'r'::"char" is distinct from 'r'::varchar
