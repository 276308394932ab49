select * from u order by id
select id, a, b, n, f from t order by id
select id, d, ts, tz, x, tm from t order by id
select id, j, js, arr, tags from t order by id
select id, i8, i2, iv, u, by, v, c, f4 from t order by id
select t.*, u.* from t join u on t.id = u.t_id order by u.id limit 1
select id from t order by b
select id from t order by b desc
select id from t order by n nulls first, id
select id from t order by a desc nulls last, id desc
select id, n from t order by n
select n from t order by n desc limit 2
select distinct a from t order by a
select distinct on (a) a, id from t order by a, id desc
select distinct on (b) b, id, n from t order by b, n desc
select count(*), count(a), count(distinct a), sum(a), avg(a), min(a), max(a) from t
select sum(n), avg(n), min(n), max(n) from t
select sum(f), avg(f), min(f), max(f) from t where id < 3
select sum(i8), avg(i8), sum(i2), avg(i2), max(i2) from t
select sum(f4), max(f4) from t where id < 3
select min(b), max(b), min(d), max(ts), min(tz), max(iv), min(tm) from t
select sum(iv), avg(iv) from t where id in (1, 2)
select max(v), min(c) from t
select bool_and(x), bool_or(x), every(x) from t
select string_agg(b, ',' order by id), string_agg(b, ',' order by b desc) from t
select string_agg(distinct b, ',') from t
select array_agg(a order by id), array_agg(b order by id), array_agg(n order by id) from t
select array_agg(distinct a) from t
select array_agg(a) from t where false
select json_agg(a order by id), jsonb_agg(b order by id) from t
select json_agg(n order by id) from t where id < 3
select json_object_agg(b, a) from t where id < 3
select stddev(a), variance(a), stddev_pop(n), var_pop(f) from t where id < 4
select corr(a, id), covar_pop(a, id), regr_slope(a, id) from t where id < 4
select percentile_cont(0.5) within group (order by a), percentile_disc(0.5) within group (order by b) from t
select mode() within group (order by a) from t
select a, count(*) from t group by a order by a
select a, count(*) as c from t group by 1 having count(*) > 1
select a + 1 as k, sum(n) from t group by k order by k
select b, sum(a) filter (where id < 3) from t group by b order by b
select id, b from t group by id order by id
select n, count(*) from t group by n order by n
select a, b from t group by a
select x, count(*) from t group by x order by x
select date_trunc('month', ts) as m, count(*) from t group by m order by m
select extract(year from d) y, sum(n) from t group by 1 order by 1
select count(*) from t where x
select id from t where not x
select id from t where a = 10 order by id
select id from t where a = '10' order by id
select id from t where n = 12.5
select id from t where n > 5 order by id
select id from t where n in (12.50, 100) order by id
select id from t where d = '2024-1-31'
select id from t where d > '2023-01-01' order by id
select id from t where ts < '2024-01-01' order by id
select id from t where tz > '2024-01-01 00:00:00+00' order by id
select id from t where tz::date = '2024-03-31'
select id from t where b like 'al%' order by id
select id from t where b ilike 'BE%' order by id
select id from t where b ~ '^[ab]' order by id
select id from t where j ->> 'a' = '1'
select id from t where j @> '{"a": 1}'
select id from t where (j ->> 'a') is not null order by id
select id from t where 2 = any(arr)
select id from t where arr @> array[2]
select id from t where u = '11111111-2222-3333-4444-555555555555'
select id from t where by = '\x0102ff'
select id from t where c = 'ab'
select id from t where v = 'Vé'
select id from t where iv > '1 month' order by id
select id from t where id = any('{1,3}'::int[]) order by id
select id from t where id in (select t_id from u) order by id
select id from t where id not in (select t_id from u where t_id is not null) order by id
select id from t where exists (select 1 from u where u.t_id = t.id) order by id
select id, (select count(*) from u where u.t_id = t.id) as c from t order by id
select id, (select name from u where u.t_id = t.id order by name limit 1) from t order by id
select t.id, u.name from t left join u on u.t_id = t.id order by t.id, u.name
select t.id, u.name from t right join u on u.t_id = t.id order by u.id
select t.id, u.id from t full join u on u.t_id = t.id order by t.id, u.id
select t.id, u.name from t, u where t.id = u.t_id order by u.id
select count(*) from t cross join u
select * from u join (select id, a from t) s using (id) order by id
select * from (select id, a from t) s natural join u order by id
select id from u left join (select id, a from t where a = 10) s using (id) order by id
select id, a from (select id, amount from u) p full join (select id, a from t) s using (id) order by id
select s.k, s.v from (select id as k, name as v from u) s where s.k < 3 order by 1
select * from (values (1, 'a'), (2, 'b')) as v(x, y) order by x
select * from (values (1, 2.5), (2, null)) v order by 1
values (1, 'x'), (2, 'y')
values (1), (2.5)
values (1, null)
select 1 union select 2 union all select 2 order by 1
select a from t union select id from u order by 1
select 1 as k union all select 2.5 order by k
select 'a' union all select null
select id from t intersect select t_id from u order by 1
select id from t except select t_id from u order by 1
(select id from t order by id limit 1) union all (select id from u order by id desc limit 1) order by 1
select n from t union select amount from u order by 1
with x as (select id, a from t where a is not null) select count(*), sum(a) from x
with x(p, q) as (select id, b from t) select p, q from x where p < 3 order by p
with x as (select 1 as one), y as (select one + 1 as two from x) select * from x, y
with recursive r(n) as (select 1 union all select n + 1 from r where n < 5) select n, n * n from r
with recursive r as (select 1 as n, 'x' as s union all select n + 1, s || 'x' from r where n < 3) select * from r
select row_number() over (order by id), rank() over (order by a), dense_rank() over (order by a) from t order by id
select id, sum(a) over (partition by b order by id) from t order by id
select id, sum(n) over (order by id rows between 1 preceding and current row) from t order by id
select id, avg(a) over (order by id) from t order by id
select id, lag(a) over (order by id), lead(a, 2, 0) over (order by id) from t order by id
select id, first_value(b) over w, last_value(b) over w from t window w as (order by id) order by id
select id, ntile(2) over (order by id), percent_rank() over (order by id), cume_dist() over (order by id) from t order by id
select id, count(*) filter (where a > 10) over (order by id) from t order by id
select sum(sum(a)) over () from t group by b order by 1 limit 1
select id from t order by id limit 2 offset 1
select id from t order by id offset 3
select id from t order by id fetch first 2 rows only
select id from t order by id limit all
select id from t order by id limit null
select * from generate_series(1, 5)
select * from generate_series(1, 10, 3) as g(i)
select i, i * 2 from generate_series(1, 3) i
select * from generate_series(5, 1, -2)
select * from generate_series(timestamp '2024-01-30', timestamp '2024-04-01', interval '1 month')
select * from generate_series(date '2024-01-01', date '2024-01-03', '1 day')
select * from generate_series(1.0, 2.0, 0.5)
select generate_series(1, 3)
select generate_series(1, 3) as g, 'x'
select unnest(array[1, 2, 3])
select unnest(arr) from t where id = 1
select id, e from t, unnest(arr) as e order by id, e
select * from unnest(array['a', 'b']) with ordinality as x(v, n)
select * from unnest(array[1, 2], array['x', 'y', 'z']) as m(a, b)
select * from jsonb_array_elements('[1, {"a": 2}, "x"]')
select * from json_array_elements('[1,  {"a":2}]')
select value from jsonb_array_elements_text('["a", 1, null]')
select * from jsonb_each('{"b": 1, "a": "x"}') order by key
select * from json_each_text('{"b": 1, "a": "x"}')
select * from jsonb_object_keys('{"b": 1, "a": 2}') order by 1
select t.id, e.value from t, jsonb_array_elements(t.j) e where t.id = 3
select * from regexp_matches('foobarbequebaz', 'ba.', 'g')
select regexp_split_to_table('a b c', ' ')
select * from string_to_table('a,b', ',')
select a.id, b.id from t a join t b on a.a = b.a and a.id < b.id
select case when a > 10 then 'big' when a is null then 'none' else 'small' end as size, count(*) from t group by 1 order by 1
select coalesce(a, 0) + 1, coalesce(b, 'none') from t order by id
select a / 3, a % 7, a * 1.5, a / 4.0, a::float8 / 3 from t order by id
select n + 1, n * 2, n / 3, n * f, -n, abs(n), round(n, 1) from t where id < 4 order by id
select f + 1, f * 2, f / 2, -f, f::numeric, f::int from t where id < 3 order by id
select i8 + 1, i8 * 2, i8 / 7, i2 + i2, i2 * 2, a + i8 from t where id < 4 order by id
select d + 1, d - date '2024-01-01', d + interval '1 month', ts - interval '1 day', ts::date, tm + interval '1 hour' from t where id < 4 order by id
select tz at time zone 'Europe/Berlin', tz + interval '1 day', extract(hour from tz) from t where id < 4 order by id
select upper(b), length(b), b || '!', substring(b from 1 for 2), left(b, 3), v || c, length(c) from t where id < 4 order by id
select a::text, n::text, f::text, d::text, ts::text, x::text, iv::text, u::text, by::text, arr::text, f4::text from t where id < 3 order by id
select j -> 'b' -> 1, j #>> '{b,2,c}', js ->> 'a', jsonb_typeof(j) from t where id = 1
select arr[1], arr[2:3], array_length(arr, 1), tags[2], cardinality(tags) from t where id < 4 order by id
select row_to_json(u) from u order by id limit 2
select json_agg(u) from (select id, name from u where id < 3 order by id) u
select id, name from u where (id, name) in ((1, 'one'), (3, 'x'))
select id from u where (t_id, id) > (1, 1) order by id
select u.name from public.u order by 1 limit 1
select pg_catalog.upper('a'), pg_catalog.length('abc')
select id as "ID", b "B col" from t where id = 1
select "t"."id" from "t" where "t"."id" = 1
select t1.id from t as t1 where t1.id = 1 for update
select sum(a) as total from t where false
select max(a) from t having max(a) > 100
select 1 where false
select 1 from t where id = 1 and (a = 10 or b = 'x') and not (a is null)
select id from t where a is not distinct from null order by id
select id from t where x is true
select id from t where x is not true order by id
select id from t where b = 'alpha' and n between 0 and 1
select count(*) from (select distinct a, b from t) s
select (select max(id) from u) + 1
select * from nope
select nope from t
select nope.id from t
select id from t, u
select t.nope from t
select id from t where a
select id from t order by 9
select id from t group by 5
select id from t limit 'x'
select sum(id) from t where sum(id) > 1
select id, count(*) from t
select 1 union select 'a'
select 1, 2 union select 1
select * from t t1, u t1
select a from t group by a having b = 'x'
select * from (select 1)
select id from t where id = 'abc'
select nosuch(1) from t
select id from u where name = 5
select t.id, u.id from (t join u on u.t_id = t.id) left join kv on kv.v = u.id order by 1, 2
select * from kv right join u using (nosuch)
select k from (select 1 as k) a right join (select 2 as k) b using (k)
select * from (select 1 as k, 2 as x) a full join (select 3 as k, 4 as y) b using (k) order by k
select * from (select 1 as k, 2 as x) a natural left join (select 1 as k, 4 as y) b
select x from (select 1 as x) a, (select 2 as x) b
select * from (select 1 as x) a join (select 1 as x) b using (x) join (select 1 as x) c using (x)
select * from (select 1 as x, 2 as x) a
select x from (select 1 as x, 2 as x) a
select a.* from (select 1 as x) a, (select 2 as y) b
select a.*, 1 as one, b.y from (select 1 as x) a, (select 2 as y) b
select nosuch.* from t
select *
select * from u as w(a, b) order by a limit 1
select * from u as w(a, b, c, d, e)
select w.a from u as w(a) where w.name = 'one'
select * from (select 1, 2) as w(a, b)
select * from (select 1, 2) as w(a, b, c)
with x(a, b) as (select 1) select * from x
with x as (select 1 as a) select x.a, y.a from x, x as y
with x as (select 1 as a), x2 as (select a from x) select * from x2 union all select a from x
with x as materialized (select 1 as a) select * from x
with x as (select id from t) select (select max(id) from x), id from x order by id limit 1
select * from (with x as (select 1 as a) select a from x) s
with recursive r(n, s) as (values (1, 'a') union all select n + 1, s || 'b' from r where n < 3) select * from r
with recursive r(n) as (select 1 union select (n * 2) % 6 from r) select n from r order by n
with recursive r(n) as (select 1 union all select n + 1.5 from r where n < 3) select n from r
select 1 union all (select 2 order by 1 limit 1) order by 1 desc
(select 1 as a union select 2) intersect select 2
select 1 as a union select 2 intersect select 2 order by 1
select 1 as a except all select 2
select a from t except select 10 order by a
(values (1), (2)) order by 1 desc limit 1
values (1, 2), (3)
values (3), (1) order by 1
values (3), (1) order by column1 desc limit 1
select id from t union select id from u order by nosuch
select id from t union select id from u order by id + 1
select iv from t union select '1 day' order by 1
select distinct n from t order by n
select distinct iv from t order by iv
select distinct a, b from t order by b, a
select distinct on (a, b) a, b from t order by a, b limit 3
select distinct on (n) n, id from t order by n desc, id
select count(distinct n), count(distinct b), sum(distinct a), array_agg(distinct n) from t
select iv, count(*) from t group by iv order by iv
select j, count(*) from t group by j order by count(*), j limit 1
select id from t order by iv, id
select id from t order by iv desc nulls last
select id from t order by x, id
select id from t order by length(b), id
select id as a from t order by a
select id + 1 as k from t order by k desc limit 2
select id from t order by t.id desc limit 1
select a from t order by 'x'
select sum(a) s from t group by b order by s desc nulls last
select b, sum(a) from t group by b having sum(a) > 10 and b is not null order by b
select max(a) from t where id > 100
select 1 from t group by a + 1 order by a + 1
select a + 1 from t group by a + 1 order by 1
select a + 1 from t group by a order by 1
select (a + 1) * 2 from t group by a + 1 order by 1
select upper(b) from t group by upper(b) order by 1
select b from t group by upper(b)
select case when a > 10 then 1 else 0 end, count(*) from t group by case when a > 10 then 1 else 0 end order by 1
select t.b, u.name from t join u on u.t_id = t.id group by t.id, u.name order by 1, 2
select count(*) from t having count(*) > 1
select id, rank() over (partition by b order by a desc nulls last) from t order by id
select sum(a) over (order by id rows between current row and unbounded following) from t order by id
select sum(a) over (order by id groups between 1 preceding and 1 following exclude current row) from t order by id
select id, sum(a) over w, count(*) over (w rows unbounded preceding) from t window w as (partition by b order by id) order by id
select nth_value(b, 2) over (order by id rows between unbounded preceding and unbounded following) from t order by id
select id, min(n) over (order by id), max(n) over (order by id), avg(n) over (order by id rows 1 preceding) from t order by id
select string_agg(b, ',') over (order by id) from t order by id
select string_agg(b, ',' order by a desc, b) filter (where a is not null) from t
select array_agg(d order by d), array_agg(x order by id), array_agg(n order by n desc nulls last) from t
select json_agg(d order by id), json_agg(x order by id), json_agg(arr order by id), json_agg(ts order by id) from t where id < 3
select jsonb_agg(distinct a) from t
select jsonb_object_agg(k, v) from kv
select json_object_agg(k, w) from kv
select json_build_object('rows', (select json_agg(json_build_object('id', id, 'n', n) order by id) from t where id < 3))
select to_json(u), to_jsonb(u) from u where id = 1
select row_to_json(s) from (select id, n, d, x, j, arr from t where id = 1) s
select percentile_cont(0.25) within group (order by n desc), percentile_disc(0.75) within group (order by id) from t
select bit_and(a), bit_or(a) from t
select stddev_samp(f), variance(n), var_samp(i8), stddev_pop(i2) from t where id < 3
select covar_samp(a, id), regr_intercept(a, id), regr_count(a, id), regr_slope(f, n) from t where id < 3
select string_agg(by, '\x00' order by id) from t
select sum(f4), avg(f4) from t where id < 2
select avg(iv), sum(iv), min(iv) from t
select every(a > 5) from t
select min(by) from t
select count(*) filter (where n > 1.5) from t
select exists(select 1 from t where n > 99.5), not exists(select from t where false)
select id from t where n between 0.1 and 12.5 order by id
select id from t where n::float8 < f order by id
select id from t where f = 1.5
select id from t where f in (1.5, 0.1) order by id
select id from t where i8 > 2147483648
select id from t where i8 = a or i2 = 5 order by id
select id from t where d in ('2024-01-31', '2023-12-25') order by id
select id from t where d between '2023-01-01' and '2024-12-31' order by id
select id from t where ts >= d order by id
select id from t where ts::date = d order by id
select id from t where tz > ts order by id
select id from t where extract(month from d) = 1
select id from t where date_trunc('month', ts) = '2024-01-01'
select id from t where d + 30 > '2024-01-31' order by id
select id from t where tm > '10:00' order by id
select id from t where tm < '11:00'::time and tm >= '10:20:30' order by id
select id from t where j = '{"a": "text", "k": true}'
select id from t where j ? 'k'
select id from t where (j -> 'a')::text = '1'
select id from t where js ->> 'a' = 'q'
select id from t where js = js
select id from t where arr = '{1,2,3}'
select id from t where arr[1] = 1
select id from t where 'x' = any(tags)
select id from t where tags && array['c'] order by id
select id from t where not (a = any(array[10, 20])) order by id
select id from t where array_length(arr, 1) = 3 order by id
select id from t where u::text like '1111%'
select id from t where by = decode('deadbeef', 'hex')
select id from t where length(by) = 3
select id from t where v > 'A' order by id
select id from t where c like 'a%'
select id from t where c || 'x' = 'abx'
select id from t where b > 'a' collate "C" order by id
select id from t where x = (a = 10)
select id from t where (x or a > 20) and b is not null order by id
select id from t where id % 2 = 0 order by id
select id from t where id in (1, 2, 3) and id not in (2) order by id
select id from t where a + i2 > 10 order by id
select id from t where f4 > 1 order by id
select id from t where b similar to '(a|B)%' order by id
select id from t where b not ilike 'a%' and b !~ 'z' order by id
select id from t where coalesce(n, 0) = 0 order by id
select id from t where case when a > 10 then true else x end order by id
select id, 'x' as lit, null as nothing, 1.0 as num from t order by id limit 1
select s.lit || 'y', s.nothing from (select 'x' as lit, null as nothing) s
select generate_series(1, 2) as g order by g desc
select id, generate_series(1, 2) from t where id < 3 order by 1, 2
select count(*) from generate_series(1, 100) g where g % 2 = 0
select g::date from generate_series('2024-01-01'::timestamp, '2024-01-03', '1 day') g
select sum(g) from generate_series(1::bigint, 10) g
select * from generate_series(1, 3) with ordinality
select * from generate_series(1, 2) a, generate_series(1, a) b
select * from t join lateral unnest(t.arr) as e(x) on true where t.id = 1
select u.id, g from u cross join generate_series(1, 2) g where u.id < 3 order by 1, 2
select * from generate_subscripts(array['a', 'b'], 1)
select * from upper('a')
select * from coalesce(1, 2) as c
select * from nosuch(1)
select * from jsonb_each_text('{"b": 1, "a": null}') order by key
select key, value from json_each('{"b": [1,  2], "a": "x"}')
select * from json_array_elements_text('[1, "a", null]') as e(x)
select * from regexp_split_to_table('a,b', ',') as x
select x.* from jsonb_array_elements('[{"a": 1}, {"a": 2}]') with ordinality as x(v, n)
select name, count(*) over () from u order by id limit 1 offset 1
select id from t limit 0
select id from t limit 1.5
select id from t limit -1
select id from t offset -1
select id from t limit (select 2)
select id from t limit a
select id from t where sum(a) > 1
select id from t where row_number() over () = 1
select count(*) from t group by count(*)
select id from t join u on t.id = u.t_id
select t.id from t join u on t.nosuch = u.t_id
select id from t where id = (select id, a from t)
select id from t where id in (select id, a from t)
select id from t group by nosuch
select public.t.id from public.t order by 1 limit 1
select nosuch.nosuch(1)
select pg_catalog.nosuch(1)
select x.id from t as x where t.id = 1
select "ID" from t
select ID, Id from t order by 1 limit 1
select min(id), max(id) from t
select "max" from (select max(id) from t) s
select a from t except all select 10 order by 1
select n from t intersect all select amount from u
select b, count(*) from t group by b except all select 'x', 1 order by 1
-- NaN and the infinities
select id, f + 1, f - f, f * 2, 1 - f, n + f from (values (1, 'NaN'::float8, 'NaN'::float4, 1), (2, 'Infinity', '-Infinity', 2), (3, 1.5, 2.5, 3), (4, null, null, 4), (5, '-Infinity', 1e30, 5)) as v (id, f, g, n) order by id
select id, -f, -(-f), abs(f), -(f + 1) from (values (1, 'NaN'::float8, 'NaN'::float4, 1), (2, 'Infinity', '-Infinity', 2), (3, 1.5, 2.5, 3), (4, null, null, 4), (5, '-Infinity', 1e30, 5)) as v (id, f, g, n) order by id
select id, f + f + f, (f - f) * 2, f * f * 0 from (values (1, 'NaN'::float8, 'NaN'::float4, 1), (2, 'Infinity', '-Infinity', 2), (3, 1.5, 2.5, 3), (4, null, null, 4), (5, '-Infinity', 1e30, 5)) as v (id, f, g, n) order by id
select id, f / 2, f ^ 2, sqrt(abs(f)) from (values (1, 'NaN'::float8, 'NaN'::float4, 1), (2, 'Infinity', '-Infinity', 2), (3, 1.5, 2.5, 3), (4, null, null, 4), (5, '-Infinity', 1e30, 5)) as v (id, f, g, n) order by id
select id, g + 1, g * g, g - g, f * g from (values (1, 'NaN'::float8, 'NaN'::float4, 1), (2, 'Infinity', '-Infinity', 2), (3, 1.5, 2.5, 3), (4, null, null, 4), (5, '-Infinity', 1e30, 5)) as v (id, f, g, n) order by id
select id, greatest(f, 1), least(f, 1), greatest(f, g) from (values (1, 'NaN'::float8, 'NaN'::float4, 1), (2, 'Infinity', '-Infinity', 2), (3, 1.5, 2.5, 3), (4, null, null, 4), (5, '-Infinity', 1e30, 5)) as v (id, f, g, n) order by id
select id, f = f, f > 1, f + 1 > 2, f - f = 'NaN' from (values (1, 'NaN'::float8, 'NaN'::float4, 1), (2, 'Infinity', '-Infinity', 2), (3, 1.5, 2.5, 3), (4, null, null, 4), (5, '-Infinity', 1e30, 5)) as v (id, f, g, n) order by id
select sum(f), avg(f), sum(g), avg(g), stddev(f), var_pop(f), sum(distinct f), max(f), sum(f) filter (where id > 2) from (values (1, 'NaN'::float8, 'NaN'::float4, 1), (2, 'Infinity', '-Infinity', 2), (3, 1.5, 2.5, 3), (4, null, null, 4), (5, '-Infinity', 1e30, 5)) as v (id, f, g, n) where true
select sum(f), avg(f), sum(g), avg(g), stddev(f), var_pop(f), sum(distinct f), max(f), sum(f) filter (where id > 2) from (values (1, 'NaN'::float8, 'NaN'::float4, 1), (2, 'Infinity', '-Infinity', 2), (3, 1.5, 2.5, 3), (4, null, null, 4), (5, '-Infinity', 1e30, 5)) as v (id, f, g, n) where id <> 1
select sum(f), avg(f), sum(g), avg(g), stddev(f), var_pop(f), sum(distinct f), max(f), sum(f) filter (where id > 2) from (values (1, 'NaN'::float8, 'NaN'::float4, 1), (2, 'Infinity', '-Infinity', 2), (3, 1.5, 2.5, 3), (4, null, null, 4), (5, '-Infinity', 1e30, 5)) as v (id, f, g, n) where id in (2, 3)
select sum(f), avg(f), sum(g), avg(g), stddev(f), var_pop(f), sum(distinct f), max(f), sum(f) filter (where id > 2) from (values (1, 'NaN'::float8, 'NaN'::float4, 1), (2, 'Infinity', '-Infinity', 2), (3, 1.5, 2.5, 3), (4, null, null, 4), (5, '-Infinity', 1e30, 5)) as v (id, f, g, n) where id in (3, 4)
select sum(f), avg(f), sum(g), avg(g), stddev(f), var_pop(f), sum(distinct f), max(f), sum(f) filter (where id > 2) from (values (1, 'NaN'::float8, 'NaN'::float4, 1), (2, 'Infinity', '-Infinity', 2), (3, 1.5, 2.5, 3), (4, null, null, 4), (5, '-Infinity', 1e30, 5)) as v (id, f, g, n) where id = 4
select sum(f), avg(f), sum(g), avg(g), stddev(f), var_pop(f), sum(distinct f), max(f), sum(f) filter (where id > 2) from (values (1, 'NaN'::float8, 'NaN'::float4, 1), (2, 'Infinity', '-Infinity', 2), (3, 1.5, 2.5, 3), (4, null, null, 4), (5, '-Infinity', 1e30, 5)) as v (id, f, g, n) where id = 2
select 1e308::float8 * 10
select 1e308::float8 + 1e308::float8
select -1e308::float8 - 1e308::float8
select 1e-300::float8 * 1e-300::float8
select 0::float8 * 1e-300::float8
select 1e30::float4 * 1e30::float4
select 1e-30::float4 * 1e-30::float4
select f * 10 from (values (1e308::float8)) as v (f)
select f + f from (values (1e308::float8)) as v (f)
select f * f from (values (1e308::float8)) as v (f)
select f * f from (values (1e-300::float8)) as v (f)
select sum(f) from (values (1e308::float8), (1e308::float8)) as v (f)
select avg(f) from (values (1e308::float8), (1e308::float8)) as v (f)
