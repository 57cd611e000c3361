-- Migration 2 of the SQLite store: two generations of tables, attempts, gaps, and what became of dead
-- letters. A statement that says {generation} is for both of them, a and b.

-- name: drop_sessions
-- It is made again below.
DROP VIEW sessions;

-- name: keep_session_state
-- What is folded is the first generation; renamed, not copied.
ALTER TABLE session_state RENAME TO session_state_a;

-- name: create_session_state
-- The second generation, as the first: empty until a rebuild fills it.
CREATE TABLE session_state_b (
    {state_columns},
    UNIQUE (session_id, partition)
) STRICT;

-- name: create_positions
-- How far each partition is folded, of which log, and from where on. `attempts` counts the processes
-- that began to fold from here and committed nothing.
CREATE TABLE positions_{generation} (
    partition INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    topic_id TEXT NOT NULL,
    first_offset INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    owner TEXT,
    owner_epoch INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
) STRICT;

-- name: keep_positions
-- Where the fold began was not kept; no record before the first one that the store knows was folded.
INSERT INTO positions_a (partition, topic, topic_id, first_offset, next_offset, owner, owner_epoch)
SELECT partition, store_info.topic, store_info.topic_id, min(
    next_offset,
    ifnull((SELECT min(s.first_offset) FROM session_state_a s WHERE s.partition = p.partition), next_offset),
    ifnull((SELECT min(d.record_offset) FROM dead_letters d WHERE d.partition = p.partition), next_offset)
), next_offset, owner, owner_epoch
FROM positions AS p CROSS JOIN store_info;

-- name: drop_positions
-- Their place is taken.
DROP TABLE positions;

-- name: create_dead_letters
-- Records that are no valid events, whole. `session_id` is that of the key, when it is one.
CREATE TABLE dead_letters_{generation} (
    partition INTEGER NOT NULL,
    record_offset INTEGER NOT NULL,
    timestamp_ms INTEGER NOT NULL,
    record_key BLOB,
    record_value BLOB,
    headers TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    session_id TEXT,
    status TEXT NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'retried', 'dropped')),
    PRIMARY KEY (partition, record_offset)
) STRICT;

-- name: index_dead_letters
-- For the mark of a session; only open ones count.
CREATE INDEX dead_letters_{generation}_session ON dead_letters_{generation} (session_id, partition)
WHERE status = 'open';

-- name: keep_dead_letters
-- `session_id_of` is a function of the program that migrates.
INSERT INTO dead_letters_a
SELECT
    partition, record_offset, timestamp_ms, record_key, record_value, headers, reason, detail,
    session_id_of(record_key), 'open'
FROM dead_letters;

-- name: drop_dead_letters
-- Their place is taken.
DROP TABLE dead_letters;

-- name: create_gaps
-- Records that the log no longer had when they were to be folded, and that a person gave up.
CREATE TABLE gaps_{generation} (
    partition INTEGER NOT NULL,
    first_offset INTEGER NOT NULL,
    end_offset INTEGER NOT NULL,
    PRIMARY KEY (partition, first_offset)
) STRICT;

-- name: add_generation
-- The live one of the two sets of tables.
ALTER TABLE store_info ADD COLUMN generation TEXT NOT NULL DEFAULT 'a' CHECK (generation IN ('a', 'b'));

-- name: add_stopped
-- Why the service stopped itself, and does not start again until told to.
ALTER TABLE store_info ADD COLUMN stopped TEXT;

-- name: add_compatible_from
-- The oldest program that can work with this file is of this version: the tables have new names.
ALTER TABLE store_info ADD COLUMN compatible_from INTEGER NOT NULL DEFAULT 2;

-- name: create_sessions
-- What people query: the live generation, the fields without their offsets, times as text, and how many
-- records of the session are set aside. The cross join looks at the generation before it reads any state.
CREATE VIEW sessions AS
SELECT {view_columns}, (
    SELECT count(*) FROM dead_letters_a AS letter
    WHERE letter.session_id = state.session_id AND letter.partition = state.partition AND status = 'open'
) AS dead_letters
FROM (SELECT 1 FROM store_info WHERE generation = 'a') CROSS JOIN session_state_a AS state
UNION ALL
SELECT {view_columns}, (
    SELECT count(*) FROM dead_letters_b AS letter
    WHERE letter.session_id = state.session_id AND letter.partition = state.partition AND status = 'open'
) AS dead_letters
FROM (SELECT 1 FROM store_info WHERE generation = 'b') CROSS JOIN session_state_b AS state;

-- name: mark_version
-- The newest migration in the file.
PRAGMA user_version = 2;
