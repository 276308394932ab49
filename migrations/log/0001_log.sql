-- The statement log.  `checksum` is the CRC-32 of the row, so that a damaged row is told from a broken chain.
CREATE TABLE records (
    log_index INTEGER PRIMARY KEY,
    term INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    hash BLOB NOT NULL,
    body BLOB NOT NULL,
    checksum INTEGER NOT NULL
);

-- One row: the position just before the oldest record, and what consensus must never forget.
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    base_index INTEGER NOT NULL,
    base_term INTEGER NOT NULL,
    base_hash BLOB NOT NULL,
    hard_state BLOB NOT NULL,
    checksum INTEGER NOT NULL -- CRC-32 of hard_state
);
INSERT INTO state VALUES (1, 0, 0, zeroblob(16), x'', 0);
