-- Which log this is: made with the file, so a file that was lost and made anew is not taken for the one it replaces.
CREATE TABLE incarnation (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    value TEXT NOT NULL
);
INSERT INTO incarnation VALUES (1, lower(hex(randomblob(16))));

-- Which logs this node has met, each node's first.
CREATE TABLE met (
    node TEXT PRIMARY KEY,
    incarnation TEXT NOT NULL
) WITHOUT ROWID;
