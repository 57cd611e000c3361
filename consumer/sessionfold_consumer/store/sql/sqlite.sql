-- Statements of the SQLite store, each named and described. What stands in braces is expanded from the
-- contract.

-- name: read_info
-- What the store says of itself.
SELECT store_id, contract_version, contract_digest, topic, topic_id, partition_count FROM store_info;

-- name: bind_topic
-- Tie the store to its topic, unless it is tied already.
UPDATE store_info SET topic = ?, topic_id = ?, partition_count = ? WHERE topic IS NULL;

-- name: create_position
-- Start a partition at its first offset.
INSERT INTO positions (partition, next_offset, owner_epoch) VALUES (?, ?, 0);

-- name: read_positions
-- Every partition's position.
SELECT partition, next_offset, owner_epoch FROM positions ORDER BY partition;

-- name: claim_position
-- Take a partition over; whoever holds an older epoch is fenced from here on.
UPDATE positions SET owner = ?, owner_epoch = owner_epoch + 1 WHERE partition = ?;

-- name: advance_position
-- Move a position, if it is still where this process left it. No row changed means: fenced.
UPDATE positions SET next_offset = ?
WHERE partition = ? AND next_offset = ? AND owner_epoch = ?;

-- name: merge_state
-- Merge one session's row of a batch into its state. Names without a table are the stored row's,
-- `excluded` is the new row. A value is taken when the offset of the record that set it is later
-- (or, for fields folded by first, earlier) than the stored one; a null offset compares as null.
INSERT INTO session_state ({columns}) VALUES ({placeholders})
ON CONFLICT (session_id, partition) DO UPDATE SET
    {merges};

-- name: keep_dead_letter
-- Set a record aside; a second time changes nothing.
INSERT INTO dead_letters
    (partition, record_offset, timestamp_ms, record_key, record_value, headers, reason, detail)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- name: read_session
-- One session's states.
SELECT {columns} FROM session_state WHERE session_id = ? ORDER BY partition;

-- name: read_all
-- Every state. BINARY collation is the order of the UTF-8 bytes.
SELECT {columns} FROM session_state ORDER BY session_id, partition;

-- name: select_sessions
-- A listing: the status (or null), an upper bound on the last event's time (or null), a limit (-1: none).
SELECT {columns} FROM session_state
WHERE (?1 IS NULL OR (is_finished IS 1) = ?1) AND (?2 IS NULL OR last_occurred_at < ?2)
ORDER BY last_occurred_at DESC, session_id, partition LIMIT ?3;

-- name: read_dead_letters
-- Every dead letter.
SELECT partition, record_offset, timestamp_ms, record_key, record_value, headers, reason, detail
FROM dead_letters ORDER BY partition, record_offset;
