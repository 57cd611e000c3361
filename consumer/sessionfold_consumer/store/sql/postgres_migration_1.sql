-- Migration 1 of the PostgreSQL store: its statements, in order. What stands in braces is expanded, most
-- of it from the contract; a statement that says {generation} is for both of them, a and b.

-- name: create_schema
-- All that is ours is in a schema of its own, beside whatever else the database has.
CREATE SCHEMA IF NOT EXISTS sessionfold;

-- name: create_session_state
-- One row a session and partition. Sessions that are live at the same time lie on the same pages, and a
-- batch changes most of them: half a page is kept for their next versions. No index holds what an event
-- changes. So an update stays on its page (HOT) and touches no index.
CREATE TABLE sessionfold.session_state_{generation} (
    {state_columns},
    PRIMARY KEY (session_id, partition)
) WITH (fillfactor = 50);

-- name: create_positions
-- How far each partition is folded, of which log, and from where on. Changes in the transaction that
-- changes the states. `attempts` counts the processes that began to fold from here and committed nothing.
CREATE TABLE sessionfold.positions_{generation} (
    partition integer PRIMARY KEY,
    topic text NOT NULL,
    topic_id text NOT NULL,
    first_offset bigint NOT NULL,
    next_offset bigint NOT NULL,
    owner text,
    owner_epoch bigint NOT NULL,
    attempts integer NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- name: create_dead_letters
-- Records that are no valid events, whole. `session_id` is that of the key, when it is one.
CREATE TABLE sessionfold.dead_letters_{generation} (
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    timestamp_ms bigint NOT NULL,
    record_key bytea,
    record_value bytea,
    headers text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    session_id text COLLATE "C",
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'retried', 'dropped')),
    PRIMARY KEY (partition, record_offset)
);

-- name: index_dead_letters
-- For the mark of a session; only open ones count.
CREATE INDEX dead_letters_{generation}_session ON sessionfold.dead_letters_{generation} (session_id, partition)
WHERE status = 'open';

-- name: create_gaps
-- Records that the log no longer had when they were to be folded, and that a person gave up.
CREATE TABLE sessionfold.gaps_{generation} (
    partition integer NOT NULL,
    first_offset bigint NOT NULL,
    end_offset bigint NOT NULL,
    PRIMARY KEY (partition, first_offset)
);

-- name: create_store_info
-- What this store is the fold of; one row. `version` is the newest migration in it, `compatible_from` that
-- of the oldest program that can work with it.
CREATE TABLE sessionfold.store_info (
    only_row integer PRIMARY KEY CHECK (only_row = 1),
    version integer NOT NULL,
    compatible_from integer NOT NULL,
    store_id text NOT NULL,
    contract_version integer NOT NULL,
    contract_digest text NOT NULL,
    topic text,
    topic_id text,
    partition_count integer,
    generation text NOT NULL DEFAULT 'a' CHECK (generation IN ('a', 'b')),
    stopped text
);

-- name: describe_store
-- The topic is set when the first service binds the store to one.
INSERT INTO sessionfold.store_info (
    only_row, version, compatible_from, store_id, contract_version, contract_digest
) VALUES (1, 1, 1, '{store_id}', {contract_version}, '{contract_digest}');

-- name: create_sessions
-- What people query: the live generation, the fields without their offsets, times as timestamptz, and how
-- many records of the session are set aside.
CREATE VIEW sessionfold.sessions AS
SELECT {view_columns}, (
    SELECT count(*) FROM sessionfold.dead_letters_a AS letter
    WHERE letter.session_id = state.session_id AND letter.partition = state.partition AND status = 'open'
) AS dead_letters
FROM sessionfold.session_state_a AS state
WHERE (SELECT generation FROM sessionfold.store_info) = 'a'
UNION ALL
SELECT {view_columns}, (
    SELECT count(*) FROM sessionfold.dead_letters_b AS letter
    WHERE letter.session_id = state.session_id AND letter.partition = state.partition AND status = 'open'
) AS dead_letters
FROM sessionfold.session_state_b AS state
WHERE (SELECT generation FROM sessionfold.store_info) = 'b';
