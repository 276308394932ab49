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
