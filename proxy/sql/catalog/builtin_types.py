"""The rows of pg_type for element types: data only.

Fields: oid, typname, typlen, typbyval, typtype, typcategory, typispreferred, typelem, typarray, typinput,
typoutput, typreceive, typsend, typmodin, typmodout, typalign, typstorage, typcollation, typsubscript.  A line that
starts with a blank continues the entry.  Array types follow from `typarray` (`types_table`).
Beside `proxy.pg.oids` these hold the types that only catalogs use (aclitem, pg_lsn, reg*, pseudo-types): a client
that meets their OID in a row description looks it up here.
"""

from __future__ import annotations

from typing import Final

TYPES: Final = """
16 bool 1 1 b B 1 0 1000 boolin boolout boolrecv boolsend - - c p 0 -
17 bytea -1 0 b U 0 0 1001 byteain byteaout bytearecv byteasend - - i x 0 -
18 char 1 1 b Z 0 0 1002 charin charout charrecv charsend - - c p 0 -
19 name 64 0 b S 0 18 1003 namein nameout namerecv namesend - - c p 950 raw_array_subscript_handler
20 int8 8 1 b N 0 0 1016 int8in int8out int8recv int8send - - d p 0 -
21 int2 2 1 b N 0 0 1005 int2in int2out int2recv int2send - - s p 0 -
22 int2vector -1 0 b A 0 21 1006 int2vectorin int2vectorout int2vectorrecv int2vectorsend - - i p 0
    array_subscript_handler
23 int4 4 1 b N 0 0 1007 int4in int4out int4recv int4send - - i p 0 -
24 regproc 4 1 b N 0 0 1008 regprocin regprocout regprocrecv regprocsend - - i p 0 -
25 text -1 0 b S 1 0 1009 textin textout textrecv textsend - - i x 100 -
26 oid 4 1 b N 1 0 1028 oidin oidout oidrecv oidsend - - i p 0 -
27 tid 6 0 b U 0 0 1010 tidin tidout tidrecv tidsend - - s p 0 -
28 xid 4 1 b U 0 0 1011 xidin xidout xidrecv xidsend - - i p 0 -
29 cid 4 1 b U 0 0 1012 cidin cidout cidrecv cidsend - - i p 0 -
30 oidvector -1 0 b A 0 26 1013 oidvectorin oidvectorout oidvectorrecv oidvectorsend - - i p 0
    array_subscript_handler
114 json -1 0 b U 0 0 199 json_in json_out json_recv json_send - - i x 0 -
194 pg_node_tree -1 0 b Z 0 0 0 pg_node_tree_in pg_node_tree_out pg_node_tree_recv pg_node_tree_send - - i x 100
    -
700 float4 4 1 b N 0 0 1021 float4in float4out float4recv float4send - - i p 0 -
701 float8 8 1 b N 1 0 1022 float8in float8out float8recv float8send - - d p 0 -
705 unknown -2 0 p X 0 0 0 unknownin unknownout unknownrecv unknownsend - - c p 0 -
869 inet -1 0 b I 1 0 1041 inet_in inet_out inet_recv inet_send - - i m 0 -
1033 aclitem 12 0 b U 0 0 1034 aclitemin aclitemout - - - - i p 0 -
1042 bpchar -1 0 b S 0 0 1014 bpcharin bpcharout bpcharrecv bpcharsend bpchartypmodin bpchartypmodout i x 100 -
1043 varchar -1 0 b S 0 0 1015 varcharin varcharout varcharrecv varcharsend varchartypmodin varchartypmodout i x
    100 -
1082 date 4 1 b D 0 0 1182 date_in date_out date_recv date_send - - i p 0 -
1083 time 8 1 b D 0 0 1183 time_in time_out time_recv time_send timetypmodin timetypmodout d p 0 -
1114 timestamp 8 1 b D 0 0 1115 timestamp_in timestamp_out timestamp_recv timestamp_send timestamptypmodin
    timestamptypmodout d p 0 -
1184 timestamptz 8 1 b D 1 0 1185 timestamptz_in timestamptz_out timestamptz_recv timestamptz_send
    timestamptztypmodin timestamptztypmodout d p 0 -
1186 interval 16 0 b T 1 0 1187 interval_in interval_out interval_recv interval_send intervaltypmodin
    intervaltypmodout d p 0 -
1266 timetz 12 0 b D 0 0 1270 timetz_in timetz_out timetz_recv timetz_send timetztypmodin timetztypmodout d p 0
    -
1700 numeric -1 0 b N 0 0 1231 numeric_in numeric_out numeric_recv numeric_send numerictypmodin numerictypmodout
    i m 0 -
2202 regprocedure 4 1 b N 0 0 2207 regprocedurein regprocedureout regprocedurerecv regproceduresend - - i p 0 -
2205 regclass 4 1 b N 0 0 2210 regclassin regclassout regclassrecv regclasssend - - i p 0 -
2206 regtype 4 1 b N 0 0 2211 regtypein regtypeout regtyperecv regtypesend - - i p 0 -
2249 record -1 0 p P 0 0 2287 record_in record_out record_recv record_send - - d x 0 -
2275 cstring -2 0 p P 0 0 1263 cstring_in cstring_out cstring_recv cstring_send - - c p 0 -
2276 any 4 1 p P 0 0 0 any_in any_out - - - - i p 0 -
2277 anyarray -1 0 p P 0 0 0 anyarray_in anyarray_out anyarray_recv anyarray_send - - d x 0 -
2278 void 4 1 p P 0 0 0 void_in void_out void_recv void_send - - i p 0 -
2279 trigger 4 1 p P 0 0 0 trigger_in trigger_out - - - - i p 0 -
2281 internal 8 1 p P 0 0 0 internal_in internal_out - - - - d p 0 -
2283 anyelement 4 1 p P 0 0 0 anyelement_in anyelement_out - - - - i p 0 -
2287 _record -1 0 p P 0 2249 0 array_in array_out array_recv array_send - - d x 0 array_subscript_handler
2776 anynonarray 4 1 p P 0 0 0 anynonarray_in anynonarray_out - - - - i p 0 -
2950 uuid 16 0 b U 0 0 2951 uuid_in uuid_out uuid_recv uuid_send - - c p 0 -
3220 pg_lsn 8 1 b U 0 0 3221 pg_lsn_in pg_lsn_out pg_lsn_recv pg_lsn_send - - d p 0 -
3802 jsonb -1 0 b U 0 0 3807 jsonb_in jsonb_out jsonb_recv jsonb_send - - i x 0 jsonb_subscript_handler
4089 regnamespace 4 1 b N 0 0 4090 regnamespacein regnamespaceout regnamespacerecv regnamespacesend - - i p 0 -
4096 regrole 4 1 b N 0 0 4097 regrolein regroleout regrolerecv regrolesend - - i p 0 -
5069 xid8 8 1 b U 0 0 271 xid8in xid8out xid8recv xid8send - - d p 0 -
"""
