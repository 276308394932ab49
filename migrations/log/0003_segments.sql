-- How the log is divided for its bounds: all records up to `last_index`, from the segment before on, take so many bytes
-- and were written by then.  What the newest segment has grown to is not here but counted.
CREATE TABLE segments (
    last_index INTEGER PRIMARY KEY,
    bytes INTEGER NOT NULL,
    closed_at_ms INTEGER NOT NULL -- milliseconds since the Unix epoch
);

-- The cluster's members as they were at the log's base: of the records that said so none is left.
ALTER TABLE state ADD COLUMN base_configuration BLOB NOT NULL DEFAULT x'';
