-- What is done with the shadow of a SQLite store. What stands in braces is expanded: the generation that is
-- the shadow, the live one, and columns from the contract.

-- name: mark_shadow
-- Say what the shadow has, and from where.
UPDATE store_info SET shadow = ?, shadow_origin = ?;

-- name: start_position
-- Start a partition of the shadow at its first offset, with an epoch.
INSERT INTO positions_{shadow} (partition, topic, topic_id, first_offset, next_offset, owner_epoch)
SELECT ?1, topic, topic_id, ?2, ?2, ?3 FROM store_info;

-- name: empty_states
-- All of it.
DELETE FROM session_state_{shadow};

-- name: empty_positions
-- All of it.
DELETE FROM positions_{shadow};

-- name: empty_dead_letters
-- All of it.
DELETE FROM dead_letters_{shadow};

-- name: empty_gaps
-- All of it.
DELETE FROM gaps_{shadow};

-- name: read_live_positions
-- Every partition's position in the live generation.
SELECT partition, next_offset, owner_epoch, first_offset, attempts
FROM positions_{live} ORDER BY partition;

-- name: fence_shadow
-- Raise the shadow's epochs over those of both generations: whoever holds one, of whichever, is fenced. How
-- often a rebuild was ended there says nothing of the records that services will find.
UPDATE positions_{shadow} AS held SET owner_epoch = max(held.owner_epoch, ifnull((
    SELECT other.owner_epoch FROM positions_{live} AS other WHERE other.partition = held.partition
), 0)) + 1, attempts = 0;

-- name: fence_live
-- The same for the live generation.
UPDATE positions_{live} AS held SET owner_epoch = max(held.owner_epoch, ifnull((
    SELECT other.owner_epoch FROM positions_{shadow} AS other WHERE other.partition = held.partition
), 0)) + 1;

-- name: switch
-- The shadow becomes the live generation. No row changed means: it is live already.
UPDATE store_info SET generation = '{shadow}', shadow = 'kept', shadow_origin = NULL
WHERE generation = '{live}';

-- name: read_pairs
-- Sessions that differ, of those whose last offset lies in their partition's range. The cross joins let the
-- ranges be looked up for each state.
WITH range AS MATERIALIZED (
    SELECT
        json_extract(value, '$[0]') AS partition,
        json_extract(value, '$[1]') AS low,
        json_extract(value, '$[2]') AS high
    FROM json_each(?)
)
SELECT {live_columns}, {shadow_columns}
FROM session_state_{live} AS live
CROSS JOIN range ON range.partition = live.partition
    AND live.last_offset >= range.low AND live.last_offset < range.high
LEFT JOIN session_state_{shadow} AS shadow
    ON shadow.session_id = live.session_id AND shadow.partition = live.partition
WHERE shadow.session_id IS NULL OR {differences}
UNION ALL
SELECT {live_columns}, {shadow_columns}
FROM session_state_{shadow} AS shadow
CROSS JOIN range ON range.partition = shadow.partition
    AND shadow.last_offset >= range.low AND shadow.last_offset < range.high
LEFT JOIN session_state_{live} AS live
    ON live.session_id = shadow.session_id AND live.partition = shadow.partition
WHERE live.session_id IS NULL;
