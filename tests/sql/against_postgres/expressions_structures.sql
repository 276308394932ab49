-- conditionals
case when true then 1 else 2 end
case 1 when 1 then 'one' when 2 then 'two' end
case when false then 1 end
case when true then 1 else 2.5 end
case when true then '1' else 2 end
case when true then date '2024-01-01' else '2024-02-01' end
case when true then 1 else 'x' end
coalesce(null, 1)
coalesce(null, null, 'x')
coalesce(null, 1, 2.5)
coalesce(null, null)
nullif(1, 1)
nullif(1, 2)
nullif('a', 'b')
nullif(1.0, 1)
greatest(1, 3, 2)
greatest(1, null, 2)
greatest(1, 2.5)
greatest('a', 'B')
least(3, 1, 2)
least(date '2024-01-01', '2023-01-01')
1 in (1, 2)
3 in (1, 2)
1 in (1, null)
3 in (1, null)
1 not in (2, 3)
'a' in ('a', 'b')
1.5 in (1.50, 2)
(1, 2) = (1, 2)
(1, 2) < (1, 3)
(1, 2) in ((1, 2), (3, 4))
row(1, 2) = row(1, 3)
1 between 0 and 2
3 between symmetric 5 and 1
1 not between 2 and 3
null is null
1 is null
1 is not null
true is true
null::bool is unknown
1 is distinct from 2
null is distinct from null
1 is not distinct from null
true and false
true or null
not true
1 = 1 and 2 = 2 or false
1 = 1
1 <> 2
1 != 2
'a' < 'b'
'a' = 1
1 = 'a'
true = 1
1 + 'a'
'a' + 'b'
1 = any(array[1, 2])
3 = any('{1,2}')
1 <> all(array[2, 3])
2 > any(array[1, 5])
2 > all(array[1, 5])
'a' = any(array['a', 'b'])
'abc' like any(array['x%', 'a%'])
exists(select 1)
exists(select 1 where false)
(select 1)
(select 'a')
array(select 1 union select 2 order by 1)
-- arrays
array[1, 2, 3]
array['a', 'b']
array[1, 2.5]
array[1, null]
array[[1, 2], [3, 4]]
array[]::int[]
array[true, false]
array[date '2024-01-01']
(array[1, 2, 3])[2]
(array[1, 2, 3])[9]
(array[1, 2, 3])[1:2]
('{a,b}'::text[])[1]
array_length(array[1, 2, 3], 1)
array_length(array[1, 2, 3], 2)
array_ndims(array[[1, 2], [3, 4]])
cardinality(array[1, 2, 3])
array_upper(array[1, 2], 1)
array_lower(array[1, 2], 1)
array[1, 2] || array[3]
array[1, 2] || 3
0 || array[1, 2]
array_append(array[1], 2)
array_prepend(0, array[1])
array_cat(array[1], array[2])
array_remove(array[1, 2, 1], 1)
array_replace(array[1, 2], 2, 9)
array_position(array['a', 'b'], 'b')
array_positions(array[1, 2, 1], 1)
array[1, 2, 3] @> array[2]
array[2] <@ array[1, 2]
array[1, 2] && array[2, 3]
array[1, 2] = array[1, 2]
array[1, 2]::text
array['a b', 'c"d', null, '']::text
'{1,2}'::int[]::text[]
array[1.5, 2.50]::text
-- json
'{"a": 1}'::json -> 'a'
'{"a": {"b": 2}}'::json -> 'a'
'{"a": {"b":  2}}'::json -> 'a'
'{"a": {"b":  2}}'::jsonb -> 'a'
'{"a": "x"}'::json ->> 'a'
'{"a": 1.50}'::jsonb ->> 'a'
'{"a": null}'::json ->> 'a'
'{"a": null}'::json -> 'a'
'[1, 2, 3]'::json -> 1
'[1, 2, 3]'::json ->> -1
'[1, 2, 3]'::jsonb -> 9
'{"a": {"b": [1, 2]}}'::jsonb #> '{a,b,1}'
'{"a": {"b": [1, 2]}}'::jsonb #>> '{a,b,1}'
'{"a": {"b": [1, 2]}}'::json #> '{a,b}'
'{"a": {"b": [1, 2]}}'::json #>> array['a', 'b']
'{"a": 1, "b": 2}'::jsonb @> '{"a": 1}'
'{"a": 1}'::jsonb <@ '{"a": 1, "b": 2}'
'[1, 2, 3]'::jsonb @> '[3]'
'[1, 2, 3]'::jsonb @> '3'
'{"a": 1}'::jsonb ? 'a'
'["a", "b"]'::jsonb ? 'b'
'{"a": 1}'::jsonb ?| array['x', 'a']
'{"a": 1}'::jsonb ?& array['x', 'a']
'{"a": 1}'::jsonb || '{"b": 2}'
'[1]'::jsonb || '2'
'{"a": 1, "b": 2}'::jsonb - 'a'
'[1, 2, 3]'::jsonb - 1
'{"a": {"b": 1}}'::jsonb #- '{a,b}'
'{"a": 1}'::jsonb = '{"a":1}'
json_build_object('a', 1, 'b', 'x', 'c', null, 'd', true, 'e', 1.50)
jsonb_build_object('b', 1, 'a', 'x')
json_build_array(1, 'a', null, 2.5)
jsonb_build_array(1, 'a', null)
to_json('a"b'::text)
to_json(1)
to_json(true)
to_json(array[1, 2])
to_json(array['a', null])
to_json(date '2024-01-01')
to_json(timestamp '2024-01-01 10:00')
to_jsonb(1.50)
to_jsonb('x'::text)
jsonb_set('{"a": 1}', '{a}', '5')
jsonb_set('{"a": {"b": 1}}', '{a,c}', '"x"')
jsonb_set('{"a": 1}', '{z}', '5', false)
jsonb_set('[1, 2]', '{0}', '9')
jsonb_insert('{"a": [1, 2]}', '{a, 1}', '9')
jsonb_typeof('{"a": 1}')
json_typeof('[1]')
jsonb_array_length('[1, 2]')
json_array_length('[1, 2, 3]')
jsonb_extract_path_text('{"a": {"b": "x"}}', 'a', 'b')
json_extract_path('{"a": {"b": "x"}}', 'a')
jsonb_strip_nulls('{"a": null, "b": 1}')
jsonb_pretty('{"a": [1, 2]}')
json_object('{a,1,b,2}')
('{"a": 5}'::jsonb -> 'a')::int
('{"a": true}'::jsonb -> 'a')::bool
('{"a": "5"}'::jsonb ->> 'a')::int + 1
'{bad json'::json
num_nulls(1, null, 2)
-- errors
nosuchcolumn
nosuchfunction(1)
length(5)
upper(1)
t.x
'a'::nosuchtype
1 + true
sum(1)
1 = all(select 1)
1 <> all(select id from u)
5 > any(select id from u)
5 > all(select id from u)
(1, 'one') in (select id, name from u)
(1, 2) = (select 1, 2)
(1, 2, 3) = (1, 2)
1 in (select 1, 2)
(select 1, 2)
1 = any(select 1, 2)
'b' = any('{a,b}')
1 = any(5)
'abc' ilike any(array['X%', 'A%'])
'abc' ~ any(array['x', 'b'])
'1,2' ~ all(array['1', '2'])
true is not false
false is not true
null::bool is not unknown
5 is true
not 5
1 and true
1 is distinct from 'a'
null is not distinct from 1
(1 is null) = (2 is null)
interval '1 day' in (interval '24 hours')
interval '1 day' between interval '1 hour' and interval '2 days'
interval '1 day' is distinct from interval '24 hours'
nullif(interval '1 day', interval '24 hours')
greatest(interval '1 day', interval '25 hours'), least(interval '1 day', null, interval '25 hours')
least(1, 2.5), least('a', 'b'), greatest(null, null)
greatest(1)
coalesce('a', 1)
coalesce(1, 'x')
array_agg(1) from generate_series(1, 2)
'[1, 2]'::jsonb -> 'a'
'{"a": 1}'::jsonb -> 0
'{"a": 1}'::text -> 'a'
1 -> 'a'
1 @> 2
1 || 2
1 ? 'a'
'a' & 1
1.5 & 1
1.5 % 1.5::float8
true + true
date '2024-01-01' + date '2024-01-01'
date '2024-01-01' * 2
interval '1 day' + 1
-'a'::text
- true
~1.5
'{"a": [1, 2]}'::jsonb - '{a,b}'::text[]
'{"a": 1}'::jsonb - 1
array[1] || array['a']
array[1] || '{2}'
array[1, 2] = '{1,2}'
array[1, 2] < array[1, 3]
array[1, 2] && '{2}'
'{1,2}' && array[2]
array[1.5] || 2
null || array[1]
array[1] || null::int
(array[[1, 2], [3, 4]])[2][1]
(array[1, 2, 3])[:2]
(array[1, 2, 3])[2:]
(5)[1]
('{"a": {"b": 5}}'::jsonb)['a']['b']
array[]
array['a', 1]
array[array[1], array[2]]
array(select name from u order by id)
array(select amount from u order by id)
json_build_object('a')
json_build_object()
json_build_array()
to_json(null::text)
to_json('x')
to_jsonb(timestamptz '2024-01-01 10:00+00')
json_build_object('t', timestamptz '2024-01-01 10:00+00', 'd', date '2024-01-01', 'i', interval '1 day', 'u', 1.5::float8, 'a', array[1, 2], 'n', null::int, 'j', '{"x": 1}'::jsonb)
json_build_object(null, 1)
jsonb_object('{a,b}', '{1,2}')
json_object('{a,b}', '{1,2}')
concat(array[1, 2], date '2024-01-01')
concat_ws(',')
concat()
format('%s %s', array[1, 2], null)
pg_typeof(1.5) = 'numeric'::regtype
1::regclass
'numeric'::regtype
'u'::regclass = 'u'::regclass
'nosuch'::regclass
extract(nosuch from date '2024-01-01')
extract(year from '2024-01-01')
date_trunc('nosuch', timestamp '2024-01-01')
interval '1.5' day
interval '90' minute
interval '10:20' hour to minute
current_date = now()::date, localtime = localtimestamp::time, current_time(0) is not null
current_timestamp(0) is not null, localtimestamp(3) is not null
lower('A') collate "C"
'a' collate "C" < 'B'
'b' < 'a' collate pg_catalog."default"
row(1, 2) < row(1, 3)
(1) = (1)
greatest(1, 'x')
round(2.5, 0), round('2.5', 1), round(5), round(5, 1)
trunc(5), ceil(5), floor(5), sqrt(4), power(2, 3), power(2, 3.0), exp(0), ln(1), log(10)
sqrt(-1), 1
ln(0)
power(0, -1)
abs(-2147483648)
abs('-5')
length(null), upper(null), 1 + null, null + null
substring('abc', 'b'), substring('foobar' from 'o(.)b')
substring('Thomas' for 2 from 3)
trim(from '  a '), trim('x' from 'xax')
count(*)
count()
count(1, 2)
sum('a')
max(true)
upper(distinct 'a')
upper('a') over ()
row_number()
sum(1) over (order by sum(1) over ())
sum(sum(1))
lower('A') filter (where true)
jsonb_array_length(j->'a'), jsonb_typeof(v.j->'b'), coalesce(j->'zz', j->'a'), upper(j->'b'->>'c') from (values ('{"a": [1, 2], "b": {"c": "x"}}'::jsonb)) v(j)
count(j->'a'), jsonb_agg(j->'a') from (values ('{"a": [1, 2], "b": {"c": "x"}}'::jsonb)) v(j)
e.value from (values ('{"a": [1, 2]}'::jsonb)) v(j), jsonb_array_elements_text(j->'a') e
