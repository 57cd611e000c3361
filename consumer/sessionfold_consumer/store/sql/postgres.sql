-- Statements of the PostgreSQL store, each named and described. What stands in braces is expanded: the
-- live generation, and columns from the contract.

-- name: read_info
-- What the store says of itself.
SELECT
    store_id, contract_version, contract_digest, topic, topic_id, partition_count,
    generation, stopped, shadow, shadow_origin
FROM sessionfold.store_info;

-- name: keep_generation
-- Let nobody switch the generations until the end of the transaction.
SELECT generation FROM sessionfold.store_info FOR SHARE;

-- name: bind_topic
-- Tie the store to its topic, unless it is tied already.
UPDATE sessionfold.store_info SET topic = %s, topic_id = %s, partition_count = %s WHERE topic IS NULL;

-- name: mark_stopped
-- Keep why the service stopped itself, or (null) that it may start again.
UPDATE sessionfold.store_info SET stopped = %s;

-- name: create_position
-- Start a partition at its first offset.
INSERT INTO sessionfold.positions_{generation} (
    partition, topic, topic_id, first_offset, next_offset, owner_epoch
) VALUES (%s, %s, %s, %s, %s, 0);

-- name: read_positions
-- Every partition's position.
SELECT partition, next_offset, owner_epoch, first_offset, attempts
FROM sessionfold.positions_{generation} ORDER BY partition;

-- name: read_settled_positions
-- The same, after whatever transaction is still on its way: a COMMIT that was sent by a connection that
-- was lost is done, or not, without it.
SELECT partition, next_offset, owner_epoch, first_offset, attempts
FROM sessionfold.positions_{generation} ORDER BY partition FOR SHARE;

-- name: claim_position
-- Take a partition over; whoever holds an older epoch is fenced from here on.
UPDATE sessionfold.positions_{generation} SET owner = %s, owner_epoch = owner_epoch + 1 WHERE partition = %s
RETURNING partition, next_offset, owner_epoch, first_offset, attempts;

-- name: count_attempt
-- Count a process that folds from here. No row changed means: fenced.
UPDATE sessionfold.positions_{generation} SET attempts = greatest(attempts, %s) + 1
WHERE partition = %s AND next_offset = %s AND owner_epoch = %s;

-- name: spare_attempt
-- Take back an attempt of a process that lived on.
UPDATE sessionfold.positions_{generation} SET attempts = attempts - 1
WHERE partition = %s AND next_offset = %s AND attempts > 0;

-- name: advance_position
-- Move a position, if it is still where this process left it. No row changed means: fenced.
UPDATE sessionfold.positions_{generation} SET next_offset = %s, attempts = 0
WHERE partition = %s AND next_offset = %s AND owner_epoch = %s;

-- name: keep_gap
-- Keep that these records were given up.
INSERT INTO sessionfold.gaps_{generation} (partition, first_offset, end_offset) VALUES (%s, %s, %s);

-- name: read_gaps
-- Every gap.
SELECT partition, first_offset, end_offset FROM sessionfold.gaps_{generation}
ORDER BY partition, first_offset;

-- name: make_stage
-- Where a batch's rows are copied to before they are merged. It is the connection's own: shared by all, it
-- would have to be truncated by each, and a pg_dump would hold them all up.
CREATE TEMPORARY TABLE IF NOT EXISTS stage (LIKE sessionfold.session_state_a) ON COMMIT DELETE ROWS;

-- name: copy_rows
-- Fill the stage.
COPY pg_temp.stage ({columns}) FROM STDIN (FORMAT binary);

-- name: merge_stage
-- Merge the rows of the stage into their states, in the order of the key, which every process keeps: so no
-- two wait for each other. `state` is the stored row, `excluded` the new one. A value is taken when the
-- offset of the record that set it is later (or, for fields folded by first, earlier) than the stored
-- one; a null offset compares as null. Each row counts an event at least, so none of them changes nothing.
INSERT INTO sessionfold.session_state_{generation} AS state ({columns})
SELECT {columns} FROM pg_temp.stage ORDER BY session_id, partition
ON CONFLICT (session_id, partition) DO UPDATE SET
    {merges};

-- name: empty_stage
-- Before another round of rows in the same transaction.
DELETE FROM pg_temp.stage;

-- name: keep_dead_letter
-- Set a record aside; a second time changes nothing.
INSERT INTO sessionfold.dead_letters_{generation} (
    partition, record_offset, timestamp_ms, record_key, record_value, headers, reason, detail, status,
    session_id
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING;

-- name: resolve_dead_letter
-- Say what became of a dead letter. No row changed means: it is no open one.
UPDATE sessionfold.dead_letters_{generation} SET status = %s
WHERE partition = %s AND record_offset = %s AND status = 'open';

-- name: read_dead_letters
-- Every dead letter.
SELECT
    partition, record_offset, timestamp_ms, record_key, record_value, headers, reason, detail, status
FROM sessionfold.dead_letters_{generation} ORDER BY partition, record_offset;

-- name: count_set_aside
-- How many open dead letters each session has, in each partition.
SELECT session_id, partition, count(*) FROM sessionfold.dead_letters_{generation}
WHERE status = 'open' AND session_id IS NOT NULL GROUP BY session_id, partition;

-- name: read_session
-- One session's states.
SELECT {columns} FROM sessionfold.session_state_{generation} WHERE session_id = %s ORDER BY partition;

-- name: read_all
-- Every state.
SELECT {columns} FROM sessionfold.session_state_{generation} ORDER BY session_id, partition;

-- name: select_sessions
-- A listing: the status (or null), an upper bound on the last event's time (or null), a limit (null: none).
SELECT {columns} FROM sessionfold.session_state_{generation}
WHERE (%(finished)s::boolean IS NULL OR (is_finished IS TRUE) = %(finished)s)
    AND (%(before)s::bigint IS NULL OR last_occurred_at < %(before)s)
ORDER BY last_occurred_at DESC, session_id, partition LIMIT %(limit)s;
