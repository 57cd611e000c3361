-- Migration 1 of the SQLite store: its statements, in order. What stands in braces is expanded, most of
-- it from the contract.

-- name: create_session_state
-- One row a session and partition. An ordinary rowid table: sessions that are live at the same time lie
-- on few pages, where a table in the order of random keys would dirty a page each.
CREATE TABLE session_state (
    {state_columns},
    UNIQUE (session_id, partition)
) STRICT;

-- name: create_sessions
-- What people query: the fields without their offsets, times as text.
CREATE VIEW sessions AS SELECT
    {view_columns}
FROM session_state;

-- name: create_positions
-- How far each partition is folded. Changes in the transaction that changes the states.
CREATE TABLE positions (
    partition INTEGER PRIMARY KEY,
    next_offset INTEGER NOT NULL,
    owner TEXT,
    owner_epoch INTEGER NOT NULL
) STRICT;

-- name: create_dead_letters
-- Records that are no valid events, whole.
CREATE TABLE dead_letters (
    partition INTEGER NOT NULL,
    record_offset INTEGER NOT NULL,
    timestamp_ms INTEGER NOT NULL,
    record_key BLOB,
    record_value BLOB,
    headers TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (partition, record_offset)
) STRICT;

-- name: create_store_info
-- What this store is the fold of; one row.
CREATE TABLE store_info (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    store_id TEXT NOT NULL,
    contract_version INTEGER NOT NULL,
    contract_digest TEXT NOT NULL,
    topic TEXT,
    topic_id TEXT,
    partition_count INTEGER
) STRICT;

-- name: describe_store
-- The topic is set when the first service binds the store to one.
INSERT INTO store_info (only_row, store_id, contract_version, contract_digest)
VALUES (1, '{store_id}', {contract_version}, '{contract_digest}');

-- name: mark_file
-- By this the file is known as a store of sessionfold, whatever its name.
PRAGMA application_id = {application_id};

-- name: mark_version
-- The newest migration in the file.
PRAGMA user_version = {schema_version};
