-- strings
'a' || 'b'
'a' || 1
1 || 'a'
'a' || 1.5
'a' || null
'a' || true
'a' || date '2024-01-01'
initcap('hello wORLD foo-bar 1st')
length('héllo')
char_length('héllo')
octet_length('héllo')
bit_length('abc')
length('\x0102'::bytea)
substring('hello' from 2 for 3)
substring('hello' from 2)
substring('hello' for 2)
substring('hello', 2, 3)
substring('hello' from -1 for 4)
substr('hello', 2)
substr('hello', 0, 3)
substr('hello', 2, -1)
substring('foobar' from 'o(.)b')
substring('foobar' from 'o.b')
position('l' in 'hello')
position('z' in 'hello')
position('' in 'hello')
strpos('hello', 'l')
overlay('Txxxxas' placing 'hom' from 2 for 4)
overlay('abcdef' placing 'XY' from 3)
trim('  a b  ')
trim(both 'x' from 'xxaxx')
trim(leading 'x' from 'xxaxx')
trim(trailing from 'a  ')
btrim('xyaxy', 'xy')
ltrim('  a')
ltrim('zzyx', 'xyz')
rtrim('a  ')
rtrim('testxx', 'x')
left('hello', 2)
left('hello', -2)
right('hello', 2)
right('hello', -2)
repeat('ab', 3)
repeat('ab', -1)
lpad('hi', 5)
lpad('hi', 5, 'xy')
lpad('hello', 3)
rpad('hi', 5, 'xy')
reverse('abc')
split_part('a,b,c', ',', 2)
split_part('a,b,c', ',', -1)
split_part('a,b,c', ',', 9)
replace('abcabc', 'b', 'X')
translate('12345', '143', 'ax')
concat('a', 1, null, true, 1.5)
concat_ws(',', 'a', null, 'b')
concat_ws(null, 'a')
format('Hello %s, %1$s %I %L', 'World', 'two words', 'it''s')
format('%%|%5s|%-5s|', 'a', 'b')
md5('abc')
sha256('abc'::bytea)
encode('\x0102ff'::bytea, 'hex')
encode('hello'::bytea, 'base64')
decode('aGVsbG8=', 'base64')
decode('ff00', 'hex')
ascii('x')
ascii('é')
chr(65)
chr(233)
to_hex(255)
quote_ident('abc')
quote_ident('A b')
quote_ident('select')
quote_literal('it''s')
quote_literal(5)
quote_nullable(null)
starts_with('alphabet', 'alph')
'alphabet' ^@ 'alph'
regexp_replace('foobarbaz', 'b..', 'X')
regexp_replace('foobarbaz', 'b..', 'X', 'g')
regexp_replace('foobarbaz', 'b(..)', 'X\1Y', 'g')
regexp_replace('Hello', 'L', 'x', 'gi')
regexp_match('foobarbequebaz', '(bar)(beque)')
regexp_match('abc', 'z')
regexp_split_to_array('a, b,c', ',\s*')
regexp_count('ABABAB', 'AB')
regexp_like('Hello', 'hello', 'i')
string_to_array('a,b,,c', ',')
string_to_array('a,b,,c', ',', '')
string_to_array('abc', null)
array_to_string(array[1,2,null,3], ',')
array_to_string(array[1,2,null,3], ',', '*')
array_to_string(array['a','b'], '-')
'\x0102'::bytea || '\x03'::bytea
-- patterns
'abc' like 'a%'
'abc' like 'A%'
'abc' like '_b_'
'abc' like 'abc'
'a%c' like 'a\%c'
'abc' like 'a\%c'
'a*c' like 'a*%'
'a[c' like 'a[%'
'abc' not like 'a%'
'abc' ilike 'A%'
'abc' not ilike 'z%'
'a%' like 'a!%' escape '!'
'abc' like null
'abc' ~ '^a.c$'
'abc' ~ 'B'
'abc' ~* 'B'
'abc' !~ 'z'
'abc' !~* 'B'
'abc' ~~ 'a%'
'abc' !~~ 'a%'
'abc' similar to 'abc'
'abc' similar to '%(b|d)%'
'abc' similar to '(b|c)%'
'abc' ~ '[[:alpha:]]+'
'a1' ~ '^\w\d$'
'abc' ~ '\mabc\M'
'x' ~ '('
-- dates
date '2024-01-31' + 1
date '2024-01-31' - 1
1 + date '2024-01-31'
date '2024-03-01' - date '2024-02-01'
date '2024-01-31' + interval '1 month'
date '2024-01-31' + time '10:00'
timestamp '2024-01-31 10:00' + interval '1 month'
timestamp '2024-03-31 10:00' - interval '1 month 1 day 2 hours'
timestamp '2024-03-31 10:00' - timestamp '2024-01-01 12:30:15.5'
timestamptz '2024-03-31 10:00+00' - timestamptz '2024-01-01 00:00+00'
timestamp '2024-03-31 10:00' - date '2024-01-01'
date '2024-03-31' - timestamp '2024-01-01 10:00'
timestamptz '2024-03-31 10:00+00' + interval '1 day'
timestamptz '2024-03-31 10:00+00' + '1 day'
timestamp '2024-03-31 10:00' + '1 day'
timestamp '2024-03-31 10:00' - '2024-03-30 10:00'
time '10:00' + interval '2 hours'
time '23:00' + interval '2 hours'
time '10:00' - time '08:30'
interval '1 day' + interval '2 hours'
interval '1 day' - interval '25 hours'
interval '1 month' * 2
2 * interval '1 day'
interval '1 day' * 1.5
interval '1 month' / 4
- interval '1 day'
interval '1 day' = interval '24 hours'
interval '1 month' > interval '29 days'
date '2024-01-01' < timestamp '2024-01-01 00:00:01'
date '2024-01-01' = '2024-1-1'
timestamp '2024-01-01' = date '2024-01-01'
date '2024-01-01' between '2023-12-31' and '2024-01-02'
date_trunc('day', timestamp '2024-05-15 13:45:30.5')
date_trunc('hour', timestamp '2024-05-15 13:45:30.5')
date_trunc('week', timestamp '2024-05-15 13:45:30.5')
date_trunc('month', timestamp '2024-05-15 13:45:30.5')
date_trunc('quarter', timestamp '2024-05-15 13:45:30.5')
date_trunc('year', timestamp '2024-05-15 13:45:30.5')
date_trunc('decade', timestamp '2024-05-15 13:45:30.5')
date_trunc('century', timestamp '2024-05-15 13:45:30.5')
date_trunc('month', date '2024-05-15')
date_trunc('day', timestamptz '2024-05-15 13:45:30+00')
date_trunc('day', timestamptz '2024-05-15 23:45:30+00', 'Asia/Tokyo')
date_trunc('hour', interval '3 days 02:47:33')
extract(year from timestamp '2024-05-15 13:45:30.5')
extract(month from date '2024-05-15')
extract(day from date '2024-05-15')
extract(hour from timestamp '2024-05-15 13:45:30.5')
extract(minute from timestamp '2024-05-15 13:45:30.5')
extract(second from timestamp '2024-05-15 13:45:30.5')
extract(milliseconds from timestamp '2024-05-15 13:45:30.5')
extract(microseconds from timestamp '2024-05-15 13:45:30.5')
extract(epoch from timestamp '2024-05-15 13:45:30.5')
extract(epoch from date '2024-05-15')
extract(epoch from timestamptz '2024-05-15 13:45:30.5+02')
extract(epoch from interval '1 day 2 hours')
extract(epoch from interval '1 year 1 month')
extract(dow from date '2024-05-12')
extract(isodow from date '2024-05-12')
extract(doy from date '2024-05-15')
extract(week from date '2024-12-30')
extract(isoyear from date '2024-12-30')
extract(quarter from date '2024-05-15')
extract(century from date '2024-05-15')
extract(decade from date '2024-05-15')
extract(millennium from date '2024-05-15')
extract(julian from date '2024-05-15')
extract(timezone from timestamptz '2024-05-15 13:45:30+00')
extract(day from interval '3 days 4 hours')
extract(hour from interval '3 days 4 hours')
extract(hour from time '10:20:30')
extract(second from time '10:20:30.25')
extract(hour from date '2024-05-15')
date_part('year', timestamp '2024-05-15 13:45:30.5')
date_part('epoch', timestamp '2024-05-15 13:45:30.5')
date_part('day', interval '3 days')
age(timestamp '2001-04-10', timestamp '1957-06-13')
age(timestamp '2024-03-01', timestamp '2024-02-29 12:00')
age(timestamp '2024-01-31', timestamp '2024-03-01')
make_date(2024, 2, 29)
make_date(2024, 2, 30)
make_time(8, 15, 23.5)
make_timestamp(2024, 7, 15, 8, 15, 23.5)
make_interval(days => 10)
make_interval(1, 2, 0, 4)
justify_days(interval '35 days')
justify_hours(interval '27 hours')
justify_interval(interval '1 month -1 hour')
isfinite(date '2024-01-01')
timestamp '2024-01-15 12:00' at time zone 'America/New_York'
timestamptz '2024-01-15 12:00+00' at time zone 'America/New_York'
timestamptz '2024-07-15 12:00+00' at time zone 'Europe/Berlin'
timestamp '2024-03-31 02:30' at time zone 'Europe/Berlin'
timestamp '2024-10-27 02:30' at time zone 'Europe/Berlin'
timezone('UTC', timestamp '2024-01-15 12:00')
to_timestamp(1284352323)
to_timestamp(1284352323.5)
to_timestamp('05 Dec 2000', 'DD Mon YYYY')
to_timestamp('2024-01-15 13:14:15', 'YYYY-MM-DD HH24:MI:SS')
to_date('05 Dec 2000', 'DD Mon YYYY')
to_date('20240115', 'YYYYMMDD')
to_char(timestamp '2024-01-05 13:04:05.123', 'YYYY-MM-DD HH24:MI:SS.MS')
to_char(timestamp '2024-01-05 13:04:05', 'Day, DD Month YYYY HH12:MI AM')
to_char(timestamp '2024-01-05 13:04:05', 'FMDay, FMDD FMMonth YYYY')
to_char(timestamp '2024-01-05 13:04:05', 'DDth Mon YY Q WW IW J D ID DDD')
to_char(timestamp '2024-01-05 13:04:05', '"Date:" YYYY')
to_char(date '2024-01-05', 'YYYY/MM')
to_char(timestamptz '2024-01-05 13:04:05+00', 'YYYY-MM-DD HH24:MI:SS TZ OF')
to_char(interval '15h 2m 12s', 'HH24:MI:SS')
to_char(125, '999')
to_char(125, '00999')
to_char(125.8, '999D9')
to_char(-125.8, '999D99')
to_char(1234567.891, '9,999,999.99')
to_char(0.5, '0.99')
to_char(0.5, '9.99')
to_char(12, 'FM999')
to_char(12.5, 'FM999.99')
to_char(12.5, 'FM990.00')
to_char(-12, 'S99')
to_char(12, '99S')
to_char(-12, '99MI')
to_char(-12, '99PR')
to_char(12345, '999')
to_char(1.5::float8, '9.99')
to_number('12,454.8-', '99G999D9S')
date_bin('15 minutes', timestamp '2020-02-11 15:44:17', timestamp '2001-01-01')
pg_typeof(1)
pg_typeof(1.5)
pg_typeof('a'::varchar)
timestamptz '2024-07-01 00:00+00' at time zone '-08:00', timestamp '2024-07-01 00:00' at time zone '-08:00'
timestamptz '2024-07-01 00:00+00' at time zone '+5:30', timestamptz '2024-07-01 00:00+00' at time zone '<+02>-02'
timestamptz '2024-07-01 00:00+00' at time zone 'UTC+3', timestamptz '2024-07-01 00:00+00' at time zone 'abc3'
timestamptz '2024-07-01 00:00+00' at time zone 'PDT', timestamptz '2024-07-01 00:00+00' at time zone 'pst'
timestamptz '2024-07-01 00:00+00' at time zone '+0530'
timestamptz '2024-07-01 00:00+00' at time zone 'nowhere'
'nan'::text::float8, 'NaN'::text::float8 > 'infinity'::text::float8, 'nan'::text::float4, 'nan'::varchar::float8 is null
'NaN'::numeric::float8, 'nan'::text::float8::text, 'nan'::text::float8::numeric, 'nan'::text::float8 / 2, sqrt('nan'::text::float8)
'nan'::text::float8::int
