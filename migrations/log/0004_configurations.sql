-- The few records that change the cluster's members (kind 2) are found without reading all the others.
CREATE INDEX records_of_members ON records (log_index) WHERE kind = 2;
