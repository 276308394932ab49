-- What lfsql keeps beside the user's tables in data.db.  Users can read it (the clients apart), never write it.

-- Where in the log this file stands; changed in the same transaction as the data, so the two cannot disagree.
CREATE TABLE _lfsql_state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    applied_index INTEGER NOT NULL,
    applied_term INTEGER NOT NULL,
    applied_hash BLOB NOT NULL,
    schema_index INTEGER NOT NULL, -- log index of the newest change of the schema
    clock_us INTEGER NOT NULL -- newest clock of a unit, microseconds since the Unix epoch
);
INSERT INTO _lfsql_state VALUES (1, 0, 0, zeroblob(16), 0, 0);

-- The newest work of each client, so that a resend is answered instead of run again.
CREATE TABLE _lfsql_clients (
    client TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL,
    log_index INTEGER NOT NULL,
    result BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX _lfsql_clients_by_index ON _lfsql_clients (log_index);

-- What PostgreSQL knows of a column and SQLite's declaration cannot carry.
CREATE TABLE _lfsql_columns (
    table_name TEXT NOT NULL,
    column_name TEXT NOT NULL,
    pg_oid INTEGER NOT NULL,
    typmod INTEGER NOT NULL DEFAULT -1,
    default_text TEXT,
    identity TEXT NOT NULL DEFAULT '', -- a: always, d: by default, s: serial
    PRIMARY KEY (table_name, column_name)
) WITHOUT ROWID;

CREATE TABLE _lfsql_sequences (
    name TEXT PRIMARY KEY,
    last_value INTEGER NOT NULL,
    start INTEGER NOT NULL DEFAULT 1,
    increment INTEGER NOT NULL DEFAULT 1,
    min INTEGER NOT NULL DEFAULT 1,
    max INTEGER NOT NULL DEFAULT 9223372036854775807,
    cycle INTEGER NOT NULL DEFAULT 0,
    is_called INTEGER NOT NULL DEFAULT 0,
    owner_table TEXT,
    owner_column TEXT
) WITHOUT ROWID;
