-- name: tokio-postgres type
-- parameters: ["3802"]
SELECT t.typname, t.typtype, t.typelem, r.rngsubtype, t.typbasetype, n.nspname, t.typrelid
FROM pg_catalog.pg_type t
LEFT OUTER JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid
INNER JOIN pg_catalog.pg_namespace n ON t.typnamespace = n.oid
WHERE t.oid = $1;

-- name: ruby-pg types
SELECT t.oid, t.typname, t.typelem, t.typdelim, ti.proname AS typinput FROM pg_type AS t
JOIN pg_proc AS ti ON ti.oid = t.typinput
WHERE t.typname IN ('int2', 'int4', 'int8', '_int4', 'text', 'bool', 'jsonb', '_text') ORDER BY t.oid;

-- name: rails types
SELECT t.oid, t.typname, t.typelem, t.typdelim, t.typinput, r.rngsubtype, t.typtype, t.typbasetype
FROM pg_type as t LEFT JOIN pg_range as r ON oid = rngtypid
WHERE t.typname IN ('int2', 'int4', 'int8', 'oid', 'float4', 'float8', 'numeric', 'bool', 'timestamptz', 'date')
ORDER BY t.oid;

-- name: rails columns
SELECT a.attname, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid), a.attnotnull,
 a.atttypid, a.atttypmod, c.collname, col_description(a.attrelid, a.attnum) AS comment,
 attidentity AS identity, attgenerated as attgenerated
FROM pg_attribute a
LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
LEFT JOIN pg_type t ON a.atttypid = t.oid
LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation
WHERE a.attrelid = '"track"'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum;

-- name: rails primary keys
SELECT a.attname
FROM (SELECT indrelid, indkey, generate_subscripts(indkey, 1) idx FROM pg_index
 WHERE indrelid = '"playlist_track"'::regclass AND indisprimary) i
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[i.idx]
ORDER BY i.idx;

-- name: rails foreign keys
SELECT t2.oid::regclass::text AS to_table, a1.attname AS column, a2.attname AS primary_key, c.conname AS name,
 c.confupdtype AS on_update, c.confdeltype AS on_delete, c.convalidated AS valid, c.condeferrable AS deferrable
FROM pg_constraint c
JOIN pg_class t1 ON c.conrelid = t1.oid
JOIN pg_class t2 ON c.confrelid = t2.oid
JOIN pg_attribute a1 ON a1.attnum = c.conkey[1] AND a1.attrelid = t1.oid
JOIN pg_attribute a2 ON a2.attnum = c.confkey[1] AND a2.attrelid = t2.oid
JOIN pg_namespace t3 ON c.connamespace = t3.oid
WHERE c.contype = 'f' AND t1.relname = 'track' AND t3.nspname = ANY (current_schemas(false))
ORDER BY c.conname;

-- name: rails indexes
SELECT distinct i.relname, d.indisunique, d.indkey, pg_get_indexdef(d.indexrelid), d.indisvalid,
 pg_catalog.obj_description(i.oid, 'pg_class') AS comment
FROM pg_class t
INNER JOIN pg_index d ON t.oid = d.indrelid
INNER JOIN pg_class i ON d.indexrelid = i.oid
LEFT JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE i.relkind IN ('i', 'I') AND d.indisprimary = 'f' AND t.relname = 'track'
 AND n.nspname = ANY (current_schemas(false))
ORDER BY i.relname;

-- name: rails tables
SELECT c.relname FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (current_schemas(false)) AND c.relkind IN ('r','p') ORDER BY 1;

-- name: npgsql types
SELECT ns.nspname, t.oid, t.typname, t.typtype, t.typnotnull, t.elemtypoid
FROM (SELECT typ.oid, typ.typnamespace, typ.typname, typ.typtype, typ.typrelid, typ.typnotnull, typ.relkind,
   elemtyp.oid AS elemtypoid, elemtyp.typname AS elemtypname, elemcls.relkind AS elemrelkind,
   CASE WHEN elemproc.proname='array_recv' THEN 'a' ELSE elemtyp.typtype END AS elemtyptype
 FROM (SELECT typ.oid, typnamespace, typname, typrelid, typnotnull, relkind, typelem AS elemoid,
    CASE WHEN proc.proname='array_recv' THEN 'a' ELSE typ.typtype END AS typtype,
    CASE WHEN proc.proname='array_recv' THEN typ.typelem WHEN typ.typtype='r' THEN rngsubtype
     WHEN typ.typtype='d' THEN typ.typbasetype END AS elemtypoid
   FROM pg_type AS typ
   LEFT JOIN pg_class AS cls ON (cls.oid = typ.typrelid)
   LEFT JOIN pg_proc AS proc ON proc.oid = typ.typreceive
   LEFT JOIN pg_range ON (pg_range.rngtypid = typ.oid)) AS typ
 LEFT JOIN pg_type AS elemtyp ON elemtyp.oid = elemtypoid
 LEFT JOIN pg_class AS elemcls ON (elemcls.oid = elemtyp.typrelid)
 LEFT JOIN pg_proc AS elemproc ON elemproc.oid = elemtyp.typreceive) AS t
JOIN pg_namespace AS ns ON (ns.oid = typnamespace)
WHERE typname IN ('int4', '_int4', 'text', '_text', 'jsonb', 'timestamptz', '_numeric')
ORDER BY CASE WHEN typtype IN ('b', 'e', 'p') THEN 0 WHEN typtype = 'r' THEN 1 WHEN typtype = 'c' THEN 2 ELSE 5 END,
 t.oid;

-- name: psycopg2 hstore look-up
SELECT t.oid, typarray FROM pg_type t JOIN pg_namespace ns ON typnamespace = ns.oid WHERE typname = 'hstore';

-- name: pdo type
SELECT TYPNAME FROM PG_TYPE WHERE OID=1043;

-- name: odbc large objects
select oid, typbasetype from pg_type where typname = 'lo';

-- name: grafana tables
SELECT quote_ident(table_name) as "table" FROM information_schema.tables
WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog', 'lfsql') and quote_ident(table_schema) = 'public'
ORDER BY 1;

-- name: grafana columns
SELECT quote_ident(column_name) AS "column", data_type AS "type" FROM information_schema.columns
WHERE quote_ident(table_name) = 'track' ORDER BY ordinal_position;

-- name: metabase tables
SELECT n.nspname AS schema, c.relname AS name,
 CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'v' THEN 'VIEW' ELSE NULL END AS type, d.description AS description,
 NULLIF(stat.n_live_tup, 0) AS estimated_row_count
FROM pg_catalog.pg_class AS c
INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
LEFT JOIN pg_catalog.pg_description AS d ON c.oid = d.objoid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass
LEFT JOIN pg_stat_user_tables AS stat ON n.nspname = stat.schemaname AND c.relname = stat.relname
WHERE c.relnamespace = n.oid AND n.nspname !~ '^information_schema|catalog_history|pg_' AND n.nspname <> 'lfsql'
 AND c.relkind IN ('r', 'p', 'v', 'f', 'm')
ORDER BY type ASC, schema ASC, name ASC;

-- name: metabase privileges
select NULL as role, t.schemaname as schema, t.objectname as table,
 pg_catalog.has_any_column_privilege(current_user, '"' || t.schemaname || '"' || '.' || '"' || t.objectname || '"', 'update') as update
from (select schemaname, tablename as objectname from pg_catalog.pg_tables
 union select schemaname, viewname as objectname from pg_catalog.pg_views) t
where t.schemaname = 'public' order by 3;

-- name: information_schema foreign keys
SELECT tc.constraint_name, kcu.column_name, ccu.table_name AS foreign_table_name,
 ccu.column_name AS foreign_column_name, rc.update_rule, rc.delete_rule
FROM information_schema.table_constraints AS tc
JOIN information_schema.key_column_usage AS kcu
 ON tc.constraint_name = kcu.constraint_name AND tc.table_schema = kcu.table_schema
JOIN information_schema.constraint_column_usage AS ccu ON ccu.constraint_name = tc.constraint_name
JOIN information_schema.referential_constraints AS rc ON rc.constraint_name = tc.constraint_name
WHERE tc.constraint_type = 'FOREIGN KEY' AND tc.table_name = 'track' ORDER BY 1;

-- name: information_schema columns
SELECT column_name, column_default, is_nullable, data_type, character_maximum_length, character_octet_length,
 numeric_precision, numeric_precision_radix, numeric_scale, datetime_precision, udt_name, is_identity,
 identity_generation, is_updatable
FROM information_schema.columns WHERE table_schema = 'public' AND table_name IN ('track', 'typed')
ORDER BY table_name, ordinal_position;

-- name: information_schema constraints
SELECT constraint_name, table_name, constraint_type, is_deferrable FROM information_schema.table_constraints
WHERE table_schema = 'public' AND constraint_type <> 'CHECK' ORDER BY 2, 1;

-- name: information_schema tables
SELECT table_catalog, table_schema, table_name, table_type, is_insertable_into FROM information_schema.tables
WHERE table_schema NOT IN ('pg_catalog', 'information_schema', 'lfsql') ORDER BY table_name;

-- name: information_schema views
SELECT table_name, is_updatable FROM information_schema.views WHERE table_schema = 'public';

-- name: serial sequence
SELECT pg_get_serial_sequence('typed', 'id'), pg_get_serial_sequence('"public"."typed"', 'big');

-- name: regclass casts
SELECT 'track'::regclass, 'public.track'::regclass::text, 'pg_class'::regclass::oid, 'integer'::regtype,
 1043::regtype::text, 'int4in'::regproc, to_regclass('nothing'), to_regtype('timestamp with time zone');

-- name: sizes
SELECT pg_size_pretty(10239::int8), pg_size_pretty(10240::int8), pg_size_pretty(5368709120::int8),
 pg_size_pretty(-123456789::int8), pg_encoding_to_char(6);

-- name: primary key columns by ANY
SELECT a.attname, format_type(a.atttypid, a.atttypmod) AS data_type FROM pg_index i
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
WHERE i.indrelid = 'playlist_track'::regclass AND i.indisprimary ORDER BY 1;

-- name: dbeaver constraints
SELECT c.oid, c.*, t.relname as tabrelname, rt.relnamespace as refnamespace, d.description,
 null as consrc_copy
FROM pg_catalog.pg_constraint c
INNER JOIN pg_catalog.pg_class t ON t.oid=c.conrelid
LEFT OUTER JOIN pg_catalog.pg_class rt ON rt.oid=c.confrelid
LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=c.oid AND d.objsubid=0 AND d.classoid='pg_constraint'::regclass
WHERE t.relname = 'track' ORDER BY c.conname;

-- name: dbeaver columns
SELECT c.relname,a.*,pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) as def_value,dsc.description,dep.objid
FROM pg_catalog.pg_attribute a
INNER JOIN pg_catalog.pg_class c ON (a.attrelid=c.oid)
LEFT OUTER JOIN pg_catalog.pg_attrdef ad ON (a.attrelid=ad.adrelid AND a.attnum = ad.adnum)
LEFT OUTER JOIN pg_catalog.pg_description dsc ON (c.oid=dsc.objoid AND a.attnum = dsc.objsubid)
LEFT OUTER JOIN pg_depend dep on dep.refobjid = a.attrelid AND dep.deptype = 'i' and dep.refobjsubid = a.attnum and dep.classid = dep.refclassid
WHERE NOT a.attisdropped AND c.relkind not in ('i','I','c') AND c.relname = 'track' AND a.attnum > 0 ORDER BY a.attnum;
