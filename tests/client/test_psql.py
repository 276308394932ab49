"""psql: the Chinook script, unmodified; its backslash commands; queries over real data.

What is expected was printed by PostgreSQL 15 (see conftest for how to check that again).
"""

from __future__ import annotations

import subprocess

import pytest

from tests.client.conftest import DATA, Server, program

SCRIPT = DATA / "chinook.sql"
_TABLES = "album artist customer employee genre invoice invoice_line media_type playlist playlist_track track"
TABLES = _TABLES.split()

pytestmark = pytest.mark.client


def psql(server: Server, *arguments: str, text: str | None = None) -> str:
    """psql's output; fails with its messages when its exit status is not 0."""
    command = [program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", *arguments]
    done = subprocess.run(
        command, env=server.environment, input=text, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def rows(server: Server, query: str) -> list[str]:
    return psql(server, "-A", "-t", "-c", query).splitlines()


@pytest.fixture(scope="module")
def chinook(server: Server) -> Server:
    if not SCRIPT.exists():
        pytest.skip(f"{SCRIPT} is not here")
    psql(server, "-c", "SET client_min_messages = warning; DROP TABLE IF EXISTS " + ", ".join(TABLES) + " CASCADE")
    psql(server, "-f", str(SCRIPT))
    return server


def test_every_row_is_loaded(chinook: Server) -> None:
    query = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {name}" for name in TABLES)
    assert rows(chinook, query) == [
        "album|347",
        "artist|275",
        "customer|59",
        "employee|8",
        "genre|25",
        "invoice|412",
        "invoice_line|2240",
        "media_type|5",
        "playlist|18",
        "playlist_track|8715",
        "track|3503",
    ]


def test_dt_lists_the_tables(chinook: Server) -> None:
    listed = psql(chinook, "-A", "-t", "-c", r"\dt").splitlines()
    own = [line for line in listed if line.split("|")[1] in TABLES]
    assert own == [f"public|{name}|table|{chinook.user}" for name in TABLES]


DESCRIBED = """\
                          Table "public.track"
    Column     |          Type          | Collation | Nullable | Default
---------------+------------------------+-----------+----------+---------
 track_id      | integer                |           | not null |
 name          | character varying(200) |           | not null |
 album_id      | integer                |           |          |
 media_type_id | integer                |           | not null |
 genre_id      | integer                |           |          |
 composer      | character varying(220) |           |          |
 milliseconds  | integer                |           | not null |
 bytes         | integer                |           |          |
 unit_price    | numeric(10,2)          |           | not null |
Indexes:
    "track_pkey" PRIMARY KEY, btree (track_id)
    "track_album_id_idx" btree (album_id)
    "track_genre_id_idx" btree (genre_id)
    "track_media_type_id_idx" btree (media_type_id)
Foreign-key constraints:
    "track_album_id_fkey" FOREIGN KEY (album_id) REFERENCES album(album_id)
    "track_genre_id_fkey" FOREIGN KEY (genre_id) REFERENCES genre(genre_id)
    "track_media_type_id_fkey" FOREIGN KEY (media_type_id) REFERENCES media_type(media_type_id)
Referenced by:
    TABLE "invoice_line" CONSTRAINT "invoice_line_track_id_fkey" FOREIGN KEY (track_id) REFERENCES track(track_id)
    TABLE "playlist_track" CONSTRAINT "playlist_track_track_id_fkey" FOREIGN KEY (track_id) REFERENCES track(track_id)

"""


def test_d_describes_a_table(chinook: Server) -> None:
    shown = [line.rstrip() for line in psql(chinook, "-c", r"\d track").splitlines()]
    assert shown == [line.rstrip() for line in DESCRIBED.splitlines()]


_COMMANDS = r"\d|\d+|\d+ track|\d track_pkey|\di|\di+|\dv|\ds|\dn|\du|\l|\df|\dT|\conninfo"
COMMANDS = _COMMANDS.split("|")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_backslash_command_runs(chinook: Server, command: str) -> None:
    assert psql(chinook, "-c", command)


def test_the_indexes_are_listed(chinook: Server) -> None:
    listed = psql(chinook, "-A", "-t", "-c", r"\di track*").splitlines()
    assert [line.split("|")[1] for line in listed] == [
        "track_album_id_idx",
        "track_genre_id_idx",
        "track_media_type_id_idx",
        "track_pkey",
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "select count(*), sum(total), round(avg(total), 2), min(invoice_date), max(invoice_date) from invoice",
            ["412|2328.60|5.65|2021-01-01 00:00:00|2025-12-22 00:00:00"],
        ),
        (
            (
                "select g.name, count(*), sum(t.milliseconds), max(t.unit_price) from track t "
                "join genre g on g.genre_id = t.genre_id group by g.name having count(*) > 100 "
                "order by count(*) desc, g.name"
            ),
            [
                "Rock|1297|368231326|0.99",
                "Latin|579|134825513|0.99",
                "Metal|374|115846292|0.99",
                "Alternative & Punk|332|77805478|0.99",
                "Jazz|130|37928199|0.99",
            ],
        ),
        (
            (
                "select c.country, count(distinct c.customer_id), sum(i.total) as revenue from customer c "
                "join invoice i using (customer_id) group by c.country order by revenue desc, c.country limit 5"
            ),
            ["USA|13|523.06", "Canada|8|303.96", "France|5|195.10", "Brazil|5|190.10", "Germany|4|156.48"],
        ),
        (
            (
                "select a.name, count(al.album_id) from artist a left join album al on al.artist_id = a.artist_id "
                "group by a.artist_id, a.name order by 2 desc, 1 limit 3"
            ),
            ["Iron Maiden|21", "Led Zeppelin|14", "Deep Purple|11"],
        ),
        (
            (
                "select e.first_name || ' ' || e.last_name, coalesce(m.last_name, '-') from employee e "
                "left join employee m on m.employee_id = e.reports_to order by e.employee_id limit 3"
            ),
            ["Andrew Adams|-", "Nancy Edwards|Adams", "Jane Peacock|Edwards"],
        ),
        (
            (
                "select extract(year from invoice_date)::int as year, count(*), sum(total) from invoice "
                "group by 1 order by 1"
            ),
            ["2021|83|449.46", "2022|83|481.45", "2023|83|469.58", "2024|83|477.53", "2025|80|450.58"],
        ),
        (
            (
                "with spent as (select customer_id, sum(total) as total from invoice group by customer_id) "
                "select c.last_name, s.total, rank() over (order by s.total desc) from spent s "
                "join customer c using (customer_id) order by s.total desc, c.last_name limit 4"
            ),
            ["Holý|49.62|1", "Cunningham|47.62|2", "Rojas|46.62|3", "Kovács|45.62|4"],
        ),
        (
            (
                "select p.name, count(*) from playlist p join playlist_track pt on pt.playlist_id = p.playlist_id "
                "where p.name like 'Music%' group by p.playlist_id, p.name order by p.playlist_id"
            ),
            ["Music|3290", "Music|3290", "Music Videos|1"],
        ),
        (
            (
                "select t.name from track t where t.name ilike '%ROCK%' and t.composer is null "
                "order by t.track_id limit 3"
            ),
            ["Let's Get Rocked", "Rocket", "Rock Of Ages"],
        ),
        ("select count(*) from track where track_id not in (select track_id from invoice_line)", ["1519"]),
    ],
)
def test_a_query_gives_what_postgresql_gives(chinook: Server, query: str, expected: list[str]) -> None:
    assert rows(chinook, query) == expected


@pytest.mark.parametrize(
    ("statement", "sqlstate"),
    [
        ("insert into genre values (1, 'again')", "23505"),
        ("insert into album values (1000, 'x', 99999)", "23503"),
        ("insert into album values (1000, null, 1)", "23502"),
        ("insert into album values (1000, repeat('x', 161), 1)", "22001"),
        ("insert into track values (1, 'x', 1, 1, 1, '', 1, 1, 123456789)", "22003"),
        ("delete from genre where genre_id = 1", "23503"),
        ("drop table genre", "2BP01"),
    ],
)
def test_a_constraint_of_the_script_holds(chinook: Server, statement: str, sqlstate: str) -> None:
    done = subprocess.run(
        [program("psql"), "-X", "-q", "-t", "-A"],
        env=chinook.environment,
        input=f"begin;\n{statement};\n\\echo :SQLSTATE\nrollback;\n",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout.strip() == sqlstate, done.stderr


def test_a_script_with_a_transaction_variables_and_copy(server: Server, table: str) -> None:
    script = f"""
\\set wanted 2
BEGIN;
CREATE TABLE {table} (id serial PRIMARY KEY, name text NOT NULL, note text);
COPY {table} (name, note) FROM STDIN;
one\tfirst
two\t\\N
thr\\tee\ttab\\\\and\\nnewline
\\.
COMMIT;
SELECT name FROM {table} WHERE id = :wanted;
COPY (SELECT * FROM {table} ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER);
\\copy {table} TO STDOUT
SELECT count(*) AS counted FROM {table} \\gset
\\echo :counted
"""
    assert psql(server, "-A", "-t", text=script).splitlines() == [
        "two",
        "id,name,note",
        "1,one,first",
        "2,two,",
        '3,thr\tee,"tab\\and',
        'newline"',
        "1\tone\tfirst",
        "2\ttwo\t\\N",
        "3\tthr\\tee\ttab\\\\and\\nnewline",
        "3",
    ]


def test_an_error_stops_the_script_with_its_place(server: Server) -> None:
    done = subprocess.run(
        [
            program("psql"),
            "-X",
            "-v",
            "ON_ERROR_STOP=1",
            "-v",
            "VERBOSITY=verbose",
            "-c",
            "SELECT nothing FROM nowhere",
        ],
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert 'ERROR:  42P01: relation "nowhere" does not exist' in done.stderr
    assert "LINE 1: SELECT nothing FROM nowhere" in done.stderr
