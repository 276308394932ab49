select * from t where id = $1
select * from t where $1 = id
select b from t where a > $1 and n < $2 and f <= $3 and b = $4 and d = $5 and ts = $6 and tz = $7
select id from t where x = $1 and u = $2 and by = $3 and j = $4 and i8 = $5 and i2 = $6 and iv = $7 and v = $8
select id from t where c = $1 and f4 = $2 and tm = $3 and arr = $4
select id from t where id in ($1, $2)
select id from t where id = any($1)
select id from t where b = any($1)
select id from t where b = any($1::text[])
select id from t where id <> all($1)
select id from t where id between $1 and $2
select id from t where $1 between a and i8
select id from t where b like $1
select id from t where b ilike $1 || '%'
select id from t where b ~ $1
select id from t where (a, b) = ($1, $2)
select id from t where a is not distinct from $1
select id from t where $1
select id from t where not $1
select id from t where $1 is null
select id from t limit $1 offset $2
select $1
select $1, $2::int
select $1::int + 1
select $1::date
select $1 + 1
select 1 + $1
select $1 + $2
select a + $1, n * $2, f / $3, i8 - $4 from t
select d + $1 from t
select d - $1 from t
select ts + $1, ts - $2 from t
select tz + $1, tz - $2 from t
select d + $1::int, d + $2::interval from t
select iv * $1, iv + $2 from t
select a + $1::int8 from t
select b || $1 from t
select $1 || 'x'
select $1 || $2
select upper($1), length($2), substring($3::text from $4::int for $5::int)
select coalesce(a, $1), coalesce($2, b), nullif(a, $3), greatest(n, $4) from t
select case when a = $1 then $2 else b end from t
select case when $1 then 1 else 2 end
select abs($1)
select round($1, 2)
select round($1, $2::int)
select date_trunc($1, ts) from t
select date_trunc('day', $1::timestamptz)
select extract(year from $1::date)
select to_char($1::timestamp, $2)
select array[$1, $2]
select array[$1, 1]
select j -> $1 from t
select j ->> $1 from t
select j #>> $1 from t
select j @> $1 from t
select arr @> $1 from t
select arr || $1 from t
select arr[$1] from t
select count(*) filter (where a > $1) from t
select sum(a) + $1 from t
select string_agg(b, $1) from t
select lag(a, $1) over (order by id) from t
select * from generate_series($1::int, $2::int)
select * from generate_series(1, $1)
select * from unnest($1::int[])
select * from unnest($1::int[], $2::text[]) as x(a, b)
select * from (values ($1, $2)) as v(a, b)
select * from (values (1, $1), ($2, 'x')) as v(a, b)
values ($1), (1)
values ($1)
select a from t union select $1
select $1 union select a from t
select $1 union select $2
select * from (select $1 as p) s
select * from (select $1::int as p) s where p = $2
select (select $1)
select exists(select 1 from u where id = $1)
select id from t where id in (select t_id from u where name = $1)
select id from t where a = (select max(a) from t where b = $1)
with q as (select id from t where a = $1) select * from q where id = $2
with recursive r(n) as (select $1::int union all select n + 1 from r where n < $2) select n from r
select t.id, u.name from t join u on u.t_id = t.id and u.name = $1 where t.a = $2
insert into u values ($1, $2, $3, $4)
insert into u (id, name) values ($1, $2), ($3, $4) returning id, name
insert into t (id, d, ts, tz, x, j, js, arr, tags) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
insert into t (id, n, f, i8, i2, iv, u, by, v, c, f4, tm) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
insert into u (id, name) select $1, $2
insert into u (id, name) select id, $1 from t where a = $2
insert into u (id, t_id) values ($1, $1 + 1)
insert into u (id, name) values ($1, upper($2)) on conflict (id) do update set name = $3 where u.t_id = $4
update u set name = $1, t_id = $2 where id = $3
update u set t_id = t_id + $1 where id = $2 returning t_id, amount
update u set (t_id, name) = ($1, $2) where id = $3
update u set name = coalesce($1, name) where id = $2
update t set n = n * $1, f = $2, d = $3 where id = $4
update u set name = $1 from t where t.id = u.t_id and t.b = $2
delete from u where id = $1
delete from u using t where t.id = u.t_id and t.a = $1
select $2::text, $1::int
select $1::int, $1
select $1::text, $1
select id from t where id = $1 and i8 = $1
select id from t where b = $1 or v = $1
select id from t where n = $1::numeric
select id from t where i8 = $1::int
select $1::numeric(10,2), $2::varchar(5)
select cast($1 as timestamptz)
select to_json($1)
select json_build_object('a', $1::int)
select format('%s', $1::text)
select concat($1::text, 'x')
select $1 is true
select $1 = $2
select $1 in (1, 2)
select $1 like 'a%'
select id, v, n, c from t
select max(v), min(n), coalesce(v, 'x'), coalesce(n, 0) from t
select v || 'x', upper(v), n + 1, n::numeric(5,1), v::varchar(3) from t
select n from t union select amount from u
select v from t union all select v from t
select case when true then v end, case when true then n else n end from t
select * from (select v, n from t) s
with s as (select v, n from t) select * from s
select u.name as n, (select name from u limit 1) from u
select -$1
select not $1
select $1::interval
select make_interval(days => $1)
select now(), current_date, current_timestamp, localtimestamp, current_time, clock_timestamp()
select current_user, session_user, current_database(), current_schema, current_schema(), version(), pg_backend_pid()
select current_setting('TimeZone'), set_config('a.b', $1, false), pg_is_in_recovery()
select gen_random_uuid(), random()
select row_number() over (), count(*) over (partition by a) from t
