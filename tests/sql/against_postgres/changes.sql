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
