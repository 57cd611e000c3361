-- What is done with the shadow of a PostgreSQL store. What stands in braces is expanded: the generation that
-- is the shadow, the live one, and columns from the contract.

-- name: mark_shadow
-- Say what the shadow has, and from where.
UPDATE sessionfold.store_info SET shadow = %s, shadow_origin = %s;

-- name: start_position
-- Start a partition of the shadow at its first offset, with an epoch.
INSERT INTO sessionfold.positions_{shadow} (
    partition, topic, topic_id, first_offset, next_offset, owner_epoch
)
SELECT %(partition)s, topic, topic_id, %(offset)s, %(offset)s, %(epoch)s FROM sessionfold.store_info;

-- name: empty_states
-- All of it.
DELETE FROM sessionfold.session_state_{shadow};

-- name: empty_positions
-- All of it.
DELETE FROM sessionfold.positions_{shadow};

-- name: empty_dead_letters
-- All of it.
DELETE FROM sessionfold.dead_letters_{shadow};

-- name: empty_gaps
-- All of it.
DELETE FROM sessionfold.gaps_{shadow};

-- name: hold_generation
-- Let nobody claim a partition or resolve a dead letter until the end of the transaction.
SELECT generation FROM sessionfold.store_info FOR UPDATE;

-- name: read_live_positions
-- Every partition's position in the live generation.
SELECT partition, next_offset, owner_epoch, first_offset, attempts
FROM sessionfold.positions_{live} ORDER BY partition;

-- name: hold_live_positions
-- Every partition's position in the live generation; nobody moves one until the end of the transaction. They
-- are locked in the order that every process keeps.
SELECT partition, next_offset, owner_epoch, first_offset, attempts
FROM sessionfold.positions_{live} ORDER BY partition FOR UPDATE;

-- name: fence_shadow
-- Raise the shadow's epochs over those of both generations: whoever holds one, of whichever, is fenced. How
-- often a rebuild was ended there says nothing of the records that services will find.
UPDATE sessionfold.positions_{shadow} AS held SET owner_epoch = greatest(held.owner_epoch, (
    SELECT other.owner_epoch FROM sessionfold.positions_{live} AS other
    WHERE other.partition = held.partition
)) + 1, attempts = 0;

-- name: fence_live
-- The same for the live generation.
UPDATE sessionfold.positions_{live} AS held SET owner_epoch = greatest(held.owner_epoch, (
    SELECT other.owner_epoch FROM sessionfold.positions_{shadow} AS other
    WHERE other.partition = held.partition
)) + 1;

-- name: switch
-- The shadow becomes the live generation. No row changed means: it is live already.
UPDATE sessionfold.store_info SET generation = '{shadow}', shadow = 'kept', shadow_origin = NULL
WHERE generation = '{live}';

-- name: read_pairs
-- Sessions that differ, of those whose last offset lies in their partition's range.
WITH range AS MATERIALIZED (
    SELECT * FROM unnest(%(partitions)s::integer[], %(lows)s::bigint[], %(highs)s::bigint[])
        AS given (partition, low, high)
)
SELECT {live_columns}, {shadow_columns}
FROM sessionfold.session_state_{live} AS live
JOIN range ON range.partition = live.partition
    AND live.last_offset >= range.low AND live.last_offset < range.high
LEFT JOIN sessionfold.session_state_{shadow} AS shadow
    ON shadow.session_id = live.session_id AND shadow.partition = live.partition
WHERE shadow.session_id IS NULL OR {differences}
UNION ALL
SELECT {live_columns}, {shadow_columns}
FROM sessionfold.session_state_{shadow} AS shadow
JOIN range ON range.partition = shadow.partition
    AND shadow.last_offset >= range.low AND shadow.last_offset < range.high
LEFT JOIN sessionfold.session_state_{live} AS live
    ON live.session_id = shadow.session_id AND live.partition = shadow.partition
WHERE live.session_id IS NULL;
