"""`catalog_fixture.sql` as the Schema value lfsql reads from a data file that holds it.

OIDs are those of the recording; single-column primary keys are rowids, so they have no index of their own here.
"""

from __future__ import annotations

from proxy.pg.oids import (
    ARRAYS,
    BOOL,
    BPCHAR,
    BYTEA,
    DATE,
    INT4,
    INT8,
    JSONB,
    NUMERIC,
    TIMESTAMP,
    TIMESTAMPTZ,
    UUID,
    VARCHAR,
)
from proxy.sql.schema import Check, Column, ForeignKey, Index, Relation, Schema

INT4_ARRAY = ARRAYS[INT4]

RELATIONS = (
    Relation(
        "album",
        16563,
        "table",
        (
            Column("album_id", INT4, -1, 1, "", not_null=True, primary_key=1),
            Column("title", VARCHAR, 164, 2, "", not_null=True),
            Column("artist_id", INT4, -1, 3, "", not_null=True),
        ),
        "",
        indexes=(
            Index(
                "album_artist_id_idx",
                ("artist_id",),
                False,
                "c",
                "CREATE INDEX album_artist_id_idx ON album (artist_id)",
            ),
        ),
        foreign_keys=(
            ForeignKey("album_artist_id_fkey", ("artist_id",), "artist", ("artist_id",), "NO ACTION", "NO ACTION"),
        ),
    ),
    Relation(
        "artist",
        16568,
        "table",
        (
            Column("artist_id", INT4, -1, 1, "", not_null=True, primary_key=1),
            Column("name", VARCHAR, 124, 2, ""),
        ),
        "",
    ),
    Relation("counter", 16706, "sequence", (), ""),
    Relation(
        "customer",
        16573,
        "table",
        (
            Column("customer_id", INT4, -1, 1, "", not_null=True, primary_key=1),
            Column("first_name", VARCHAR, 44, 2, "", not_null=True),
            Column("last_name", VARCHAR, 24, 3, "", not_null=True),
            Column("company", VARCHAR, 84, 4, ""),
            Column("address", VARCHAR, 74, 5, ""),
            Column("city", VARCHAR, 44, 6, ""),
            Column("state", VARCHAR, 44, 7, ""),
            Column("country", VARCHAR, 44, 8, ""),
            Column("postal_code", VARCHAR, 14, 9, ""),
            Column("phone", VARCHAR, 28, 10, ""),
            Column("fax", VARCHAR, 28, 11, ""),
            Column("email", VARCHAR, 64, 12, "", not_null=True),
            Column("support_rep_id", INT4, -1, 13, ""),
        ),
        "",
        indexes=(
            Index(
                "customer_support_rep_id_idx",
                ("support_rep_id",),
                False,
                "c",
                "CREATE INDEX customer_support_rep_id_idx ON customer (support_rep_id)",
            ),
        ),
        foreign_keys=(
            ForeignKey(
                "customer_support_rep_id_fkey",
                ("support_rep_id",),
                "employee",
                ("employee_id",),
                "NO ACTION",
                "NO ACTION",
            ),
        ),
    ),
    Relation(
        "employee",
        16578,
        "table",
        (
            Column("employee_id", INT4, -1, 1, "", not_null=True, primary_key=1),
            Column("last_name", VARCHAR, 24, 2, "", not_null=True),
            Column("first_name", VARCHAR, 24, 3, "", not_null=True),
            Column("title", VARCHAR, 34, 4, ""),
            Column("reports_to", INT4, -1, 5, ""),
            Column("birth_date", TIMESTAMP, -1, 6, ""),
            Column("hire_date", TIMESTAMP, -1, 7, ""),
            Column("address", VARCHAR, 74, 8, ""),
            Column("city", VARCHAR, 44, 9, ""),
            Column("state", VARCHAR, 44, 10, ""),
            Column("country", VARCHAR, 44, 11, ""),
            Column("postal_code", VARCHAR, 14, 12, ""),
            Column("phone", VARCHAR, 28, 13, ""),
            Column("fax", VARCHAR, 28, 14, ""),
            Column("email", VARCHAR, 64, 15, ""),
        ),
        "",
        indexes=(
            Index(
                "employee_reports_to_idx",
                ("reports_to",),
                False,
                "c",
                "CREATE INDEX employee_reports_to_idx ON employee (reports_to)",
            ),
        ),
        foreign_keys=(
            ForeignKey(
                "employee_reports_to_fkey", ("reports_to",), "employee", ("employee_id",), "NO ACTION", "NO ACTION"
            ),
        ),
    ),
    Relation(
        "genre",
        16583,
        "table",
        (
            Column("genre_id", INT4, -1, 1, "", not_null=True, primary_key=1),
            Column("name", VARCHAR, 124, 2, ""),
        ),
        "",
    ),
    Relation(
        "invoice",
        16588,
        "table",
        (
            Column("invoice_id", INT4, -1, 1, "", not_null=True, primary_key=1),
            Column("customer_id", INT4, -1, 2, "", not_null=True),
            Column("invoice_date", TIMESTAMP, -1, 3, "", not_null=True),
            Column("billing_address", VARCHAR, 74, 4, ""),
            Column("billing_city", VARCHAR, 44, 5, ""),
            Column("billing_state", VARCHAR, 44, 6, ""),
            Column("billing_country", VARCHAR, 44, 7, ""),
            Column("billing_postal_code", VARCHAR, 14, 8, ""),
            Column("total", NUMERIC, 655366, 9, "", not_null=True),
        ),
        "",
        indexes=(
            Index(
                "invoice_customer_id_idx",
                ("customer_id",),
                False,
                "c",
                "CREATE INDEX invoice_customer_id_idx ON invoice (customer_id)",
            ),
        ),
        foreign_keys=(
            ForeignKey(
                "invoice_customer_id_fkey", ("customer_id",), "customer", ("customer_id",), "NO ACTION", "NO ACTION"
            ),
        ),
    ),
    Relation(
        "invoice_line",
        16593,
        "table",
        (
            Column("invoice_line_id", INT4, -1, 1, "", not_null=True, primary_key=1),
            Column("invoice_id", INT4, -1, 2, "", not_null=True),
            Column("track_id", INT4, -1, 3, "", not_null=True),
            Column("unit_price", NUMERIC, 655366, 4, "", not_null=True),
            Column("quantity", INT4, -1, 5, "", not_null=True),
        ),
        "",
        indexes=(
            Index(
                "invoice_line_invoice_id_idx",
                ("invoice_id",),
                False,
                "c",
                "CREATE INDEX invoice_line_invoice_id_idx ON invoice_line (invoice_id)",
            ),
            Index(
                "invoice_line_track_id_idx",
                ("track_id",),
                False,
                "c",
                "CREATE INDEX invoice_line_track_id_idx ON invoice_line (track_id)",
            ),
        ),
        foreign_keys=(
            ForeignKey(
                "invoice_line_invoice_id_fkey", ("invoice_id",), "invoice", ("invoice_id",), "NO ACTION", "NO ACTION"
            ),
            ForeignKey("invoice_line_track_id_fkey", ("track_id",), "track", ("track_id",), "NO ACTION", "NO ACTION"),
        ),
    ),
    Relation(
        "media_type",
        16598,
        "table",
        (
            Column("media_type_id", INT4, -1, 1, "", not_null=True, primary_key=1),
            Column("name", VARCHAR, 124, 2, ""),
        ),
        "",
    ),
    Relation(
        "pgbench_accounts",
        16707,
        "table",
        (
            Column("aid", INT4, -1, 1, "", not_null=True, primary_key=1),
            Column("bid", INT4, -1, 2, ""),
            Column("abalance", INT4, -1, 3, ""),
            Column("filler", BPCHAR, 88, 4, ""),
        ),
        "",
    ),
    Relation(
        "playlist",
        16603,
        "table",
        (
            Column("playlist_id", INT4, -1, 1, "", not_null=True, primary_key=1),
            Column("name", VARCHAR, 124, 2, ""),
        ),
        "",
    ),
    Relation(
        "playlist_track",
        16608,
        "table",
        (
            Column("playlist_id", INT4, -1, 1, "", not_null=True, primary_key=1),
            Column("track_id", INT4, -1, 2, "", not_null=True, primary_key=2),
        ),
        "",
        indexes=(
            Index("playlist_track_pkey", ("playlist_id", "track_id"), True, "pk", None),
            Index(
                "playlist_track_playlist_id_idx",
                ("playlist_id",),
                False,
                "c",
                "CREATE INDEX playlist_track_playlist_id_idx ON playlist_track (playlist_id)",
            ),
            Index(
                "playlist_track_track_id_idx",
                ("track_id",),
                False,
                "c",
                "CREATE INDEX playlist_track_track_id_idx ON playlist_track (track_id)",
            ),
        ),
        foreign_keys=(
            ForeignKey(
                "playlist_track_playlist_id_fkey",
                ("playlist_id",),
                "playlist",
                ("playlist_id",),
                "NO ACTION",
                "NO ACTION",
            ),
            ForeignKey(
                "playlist_track_track_id_fkey", ("track_id",), "track", ("track_id",), "NO ACTION", "NO ACTION"
            ),
        ),
    ),
    Relation(
        "track",
        16613,
        "table",
        (
            Column("track_id", INT4, -1, 1, "", not_null=True, primary_key=1),
            Column("name", VARCHAR, 204, 2, "", not_null=True),
            Column("album_id", INT4, -1, 3, ""),
            Column("media_type_id", INT4, -1, 4, "", not_null=True),
            Column("genre_id", INT4, -1, 5, ""),
            Column("composer", VARCHAR, 224, 6, ""),
            Column("milliseconds", INT4, -1, 7, "", not_null=True),
            Column("bytes", INT4, -1, 8, ""),
            Column("unit_price", NUMERIC, 655366, 9, "", not_null=True),
        ),
        "",
        indexes=(
            Index(
                "track_album_id_idx", ("album_id",), False, "c", "CREATE INDEX track_album_id_idx ON track (album_id)"
            ),
            Index(
                "track_genre_id_idx", ("genre_id",), False, "c", "CREATE INDEX track_genre_id_idx ON track (genre_id)"
            ),
            Index(
                "track_media_type_id_idx",
                ("media_type_id",),
                False,
                "c",
                "CREATE INDEX track_media_type_id_idx ON track (media_type_id)",
            ),
        ),
        foreign_keys=(
            ForeignKey("track_album_id_fkey", ("album_id",), "album", ("album_id",), "NO ACTION", "NO ACTION"),
            ForeignKey("track_genre_id_fkey", ("genre_id",), "genre", ("genre_id",), "NO ACTION", "NO ACTION"),
            ForeignKey(
                "track_media_type_id_fkey",
                ("media_type_id",),
                "media_type",
                ("media_type_id",),
                "NO ACTION",
                "NO ACTION",
            ),
        ),
    ),
    Relation(
        "track_names",
        16684,
        "view",
        (
            Column("track_id", INT4, -1, 1, ""),
            Column("name", VARCHAR, 204, 2, ""),
            Column("unit_price", NUMERIC, 655366, 3, ""),
        ),
        "CREATE VIEW track_names AS SELECT track_id, name, unit_price FROM track",
    ),
    Relation(
        "typed",
        16690,
        "table",
        (
            Column("id", INT4, -1, 1, "", not_null=True, identity="s", primary_key=1),
            Column("ok", BOOL, -1, 2, "", default="true"),
            Column("n", NUMERIC, 655366, 3, "", default="1.5"),
            Column("v", VARCHAR, 24, 4, "", default="'x'::character varying"),
            Column("b", BYTEA, -1, 5, ""),
            Column("ts", TIMESTAMPTZ, -1, 6, "", default="now()"),
            Column("d", DATE, -1, 7, ""),
            Column("u", UUID, -1, 8, ""),
            Column("j", JSONB, -1, 9, ""),
            Column("a", INT4_ARRAY, -1, 10, ""),
            Column("c", BPCHAR, 7, 11, ""),
            Column("big", INT8, -1, 12, "", not_null=True, identity="d"),
        ),
        "",
        indexes=(
            Index("typed_u_key", ("u",), True, "u", None),
            Index(
                "typed_v_partial",
                ("v",),
                True,
                "c",
                "CREATE UNIQUE INDEX typed_v_partial ON typed (v) WHERE ok",
                partial=True,
            ),
        ),
        checks=(Check("typed_n_check", "n > 0"), Check("_lfsql_length:v:20", "length(v) <= 20")),
    ),
)

SCHEMA = Schema(index=1, relations={relation.name: relation for relation in RELATIONS})
