insert into kv values ('c', 3, 'third')
insert into kv (k) values ('d')
insert into kv (k, v) values ('e', 5), ('f', default) returning *
insert into kv (k, v) values ('g', 7) returning k, v + 1 as next
insert into kv (k, v, w) values ('h', 1, default) returning kv.*
insert into kv values ('a', 99) on conflict do nothing
insert into kv values ('a', 99) on conflict (k) do nothing
insert into kv (k, v) values ('a', 99) on conflict (k) do update set v = excluded.v returning k, v
insert into kv as z (k, v) values ('a', 5) on conflict (k) do update set v = z.v + excluded.v where z.v > 1 returning z.v
insert into kv (k, v) values ('a', 7) on conflict on constraint kv_pkey do update set v = excluded.v + kv.v returning *
insert into kv (k, v, w) select 's' || id, a, b from t where a is not null on conflict do nothing
insert into kv (k, v) select k || '2', v from kv where k = 'a' on conflict (k) do update set v = 0 returning k
insert into kv (k, v) with q as (select 'w' as k, 1 as v) select k, v from q returning k
with q as (select 'wq' as k, 1 as v) insert into kv (k, v) select k, v from q returning k, v
insert into kv (k, v) values ('x', '12') returning v
insert into kv (k, v) values ('y', 2.6) returning v
insert into kv (k, v) values ('z', 1), ('zz', 2) returning (select count(*) from u), k
update kv set v = 100 where k = 'a'
update kv set v = v + 1 where k = 'a' returning v
update kv set (v, w) = (1, 'x') where k = 'b' returning *
update kv set (v, w) = (select 5, 'five') where k = 'b' returning v, w
update kv set v = default, w = null where k = 'b' returning *
update kv set v = u.id from u where kv.k = 'a' and u.name = 'nine' returning k, v
update kv z set v = z.v * 2 where z.k = 'a' returning z.v, z.*
update kv as z set w = 'from ' || s.name from (select name from u where id = 1) s where z.k = 'a' returning w
update kv set w = (select name from u where id = 2) where k = 'a' returning w
update t set n = n + 1.005, d = '2024-5-6', arr = array[9], j = '{"z": 1, "a": 2}' where id = 1 returning n, d, arr, j
update t set n = '7', f = 3, i8 = a, b = 'q' || a, ts = '2024-02-03', x = 'yes' where id = 2 returning n, f, i8, b, ts, x
update t set c = 'abc  ', v = 'w' where id = 3 returning c, v, length(c)
update t set arr = arr || 4, tags = array_append(tags, 'new') where id = 1 returning arr, tags
update kv set nope = 1
update kv set v = 'x'
update kv set v = true
update kv set v = 1 where nope = 2
insert into kv (k, nope) values (1, 2)
insert into kv (k) values ('a', 'b')
insert into kv (k, v) values ('a')
insert into kv (k, k) values ('a', 'b')
insert into nope values (1)
insert into kv values ('n', null)
delete from kv where k = 'h' returning *
delete from kv z where z.k = 'g' returning z.k
delete from kv using u where kv.v = u.id and u.name = 'none' returning kv.k
delete from kv where v in (select id from u) returning v
with q as (select 'a' as k) delete from kv using q where kv.k = q.k returning kv.k
delete from kv
insert into kv default values
insert into u (id) values (100) returning *
insert into u values (101, 5)
insert into u (id, name, amount) values (102, 5, '1.50') returning *
insert into u (id, amount) values (103, 1), (104, 2.5), (105, null) returning id, amount
insert into u (id, name) select id + 200, b from t where b is not null order by id returning id, name
insert into u (id, name) values (106, 'x') returning id as "New Id", upper(name), amount is null as empty
insert into u (id, name) (select 107, 'y') returning id
insert into u (id, name) select * from (values (108, 'a'), (109, 'b')) v returning id, name
insert into u (id, t_id) values (1, 5) on conflict (id) do update set (t_id, name) = (excluded.t_id, excluded.name) returning *
insert into u (id, t_id) values (1, 5) on conflict (id) do update set t_id = default, name = 'set' where u.id = excluded.id returning *
insert into u (id, t_id) values (1, 5) on conflict do update set t_id = 1
insert into u (id, t_id) values (1, 5) on conflict (nosuch) do nothing
insert into u (id, t_id) values (1, 5) on conflict on constraint nosuch do nothing
insert into u (id, t_id) values (1, 'x')
insert into u (id, t_id) values (1, date '2024-01-01')
insert into u (id, name) values ('5x', 'a')
insert into u (id, nosuch) values (1, 2)
insert into u (id, id) values (1, 2)
insert into u (id, name) values (1, 'a', 2)
insert into u select 1
insert into u (id, name) select 1
insert into u (id, name) select 1, 2, 3
insert into u (id, name) values (110, nosuch)
insert into u (id, name) values (110, sum(1))
insert into t (id, x, f, f4, i2) values (10, 't', 1, 2.5, '3') returning x, f, f4, i2
insert into t (id, x) values (10, 1)
insert into t (id, arr, tags, j) values (10, array[1, 2], array['a'], jsonb_build_object('k', 1)) returning arr, tags, j
insert into t (id, d, ts, tz, tm, iv) values (10, '2024-1-1', '2024-1-1', '2024-1-1 00:00+00', '1:2', '1 h') returning d, ts, tz, tm, iv
insert into t (id, d, ts) values (10, timestamp '2024-01-01 10:00', date '2024-01-02') returning d, ts
insert into t (id, by, u) values (10, 'abc', '11111111222233334444555555555555') returning by, u
insert into t (id, n) values (10, 1.005), (11, '2.999'), (12, 1e3) returning n
insert into t (id, n) values (10, 1e10)
insert into t (id, i8, i2) values (10, 1.5, 2.5) returning i8, i2
update u set amount = amount * 2, name = name || '!' where id < 3 returning id, name, amount
update u set name = t.b from t where t.id = u.t_id and t.b is not null returning u.id, u.name
update u x set name = (select max(b) from t where t.id = x.t_id) where x.id = 1 returning x.*
update u set t_id = s.m from (select max(id) as m from t) s where u.id = 1 returning u.t_id
update u set t_id = null where id in (select id from u order by id limit 2) returning id, t_id
update u set t_id = nosuch where id = 1
update u set t_id = 1, t_id = 2
update u set (t_id, name) = (1)
update u set (t_id, name) = row(7, 'seven') where id = 1 returning t_id, name
update u set (t_id, name) = (select 1, 2, 3)
update u set (t_id) = (9) where id = 1 returning t_id
update u set x.t_id = 1
update nosuch set a = 1
update u set name = 'x' where id = any(array[1, 2]) returning id
update u set amount = default where id = 1 returning amount
update t set x = not x, a = -a, f = f / 2, d = d + 1, ts = ts + interval '1 day', iv = iv * 2 where id = 1 returning x, a, f, d, ts, iv
update t set j = jsonb_set(j, '{a}', '9'), tags = array_append(tags, b) where id = 1 returning j, tags
update t set a = sum(a)
with q as (select 2 as id) update u set name = 'w' from q where u.id = q.id returning u.id, u.name
delete from u where name like 't%' returning id
delete from u x using t, kv where x.t_id = t.id and kv.v = x.id returning x.id
delete from u where exists (select 1 from t where t.id = u.t_id) returning u.id, name
delete from u where nosuch = 1
delete from nosuch
delete from u where id = 'x'
delete from u returning nosuch
delete from only u where id = 1 returning id
