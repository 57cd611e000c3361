-- Statements of the SQLite store, each named and described. What stands in braces is expanded: the live
-- generation, columns from the contract, and places for as many rows as are given.

-- name: read_info
-- What the store says of itself.
SELECT
    store_id, contract_version, contract_digest, topic, topic_id, partition_count,
    generation, stopped, shadow, shadow_origin
FROM store_info;

-- name: bind_topic
-- Tie the store to its topic, unless it is tied already.
UPDATE store_info SET topic = ?, topic_id = ?, partition_count = ? WHERE topic IS NULL;

-- name: mark_stopped
-- Keep why the service stopped itself, or (null) that it may start again.
UPDATE store_info SET stopped = ?;

-- name: create_position
-- Start a partition at its first offset.
INSERT INTO positions_{generation} (partition, topic, topic_id, first_offset, next_offset, owner_epoch)
VALUES (?1, ?2, ?3, ?4, ?4, 0);

-- name: read_positions
-- Every partition's position.
SELECT partition, next_offset, owner_epoch, first_offset, attempts
FROM positions_{generation} ORDER BY partition;

-- name: claim_position
-- Take a partition over; whoever holds an older epoch is fenced from here on.
UPDATE positions_{generation} SET owner = ?, owner_epoch = owner_epoch + 1 WHERE partition = ?;

-- name: count_attempt
-- Count a process that folds from here. No row changed means: fenced.
UPDATE positions_{generation} SET attempts = max(attempts, ?) + 1
WHERE partition = ? AND next_offset = ? AND owner_epoch = ?;

-- name: spare_attempt
-- Take back an attempt of a process that lived on.
UPDATE positions_{generation} SET attempts = attempts - 1
WHERE partition = ? AND next_offset = ? AND attempts > 0;

-- name: advance_position
-- Move a position, if it is still where this process left it. No row changed means: fenced.
UPDATE positions_{generation} SET next_offset = ?, attempts = 0
WHERE partition = ? AND next_offset = ? AND owner_epoch = ?;

-- name: keep_gap
-- Keep that these records were given up.
INSERT INTO gaps_{generation} (partition, first_offset, end_offset) VALUES (?, ?, ?);

-- name: read_gaps
-- Every gap.
SELECT partition, first_offset, end_offset FROM gaps_{generation} ORDER BY partition, first_offset;

-- name: merge_state
-- Merge rows of a batch into the states. `state` is a stored row, `excluded` the new one. A value is taken when the offset of the record that set it is later
-- (or, for fields folded by first, earlier) than the stored one; a null offset compares as null.
INSERT INTO session_state_{generation} AS state ({given}) VALUES {rows}
ON CONFLICT (session_id, partition) DO UPDATE SET
    {merges};

-- name: keep_dead_letter
-- Set records aside; a second time changes nothing.
INSERT INTO dead_letters_{generation} (
    partition, record_offset, timestamp_ms, record_key, record_value, headers, reason, detail, status,
    session_id
) VALUES {rows}
ON CONFLICT DO NOTHING;

-- name: resolve_dead_letter
-- Say what became of a dead letter. No row changed means: it is no open one.
UPDATE dead_letters_{generation} SET status = ?
WHERE partition = ? AND record_offset = ? AND status = 'open';

-- name: read_dead_letters
-- Every dead letter.
SELECT
    partition, record_offset, timestamp_ms, record_key, record_value, headers, reason, detail, status
FROM dead_letters_{generation} ORDER BY partition, record_offset;

-- name: count_set_aside
-- How many open dead letters each session has, in each partition.
SELECT session_id, partition, count(*) FROM dead_letters_{generation}
WHERE status = 'open' AND session_id IS NOT NULL GROUP BY session_id, partition;

-- name: read_session
-- One session's states.
SELECT {columns} FROM session_state_{generation} WHERE session_id = ? ORDER BY partition;

-- name: read_all
-- Every state. BINARY collation is the order of the UTF-8 bytes.
SELECT {columns} FROM session_state_{generation} ORDER BY session_id, partition;

-- name: select_sessions
-- A listing: the status (or null), an upper bound on the last event's time (or null), a limit (-1: none).
SELECT {columns} FROM session_state_{generation}
WHERE (?1 IS NULL OR (is_finished IS 1) = ?1) AND (?2 IS NULL OR last_occurred_at < ?2)
ORDER BY last_occurred_at DESC, session_id, partition LIMIT ?3;
