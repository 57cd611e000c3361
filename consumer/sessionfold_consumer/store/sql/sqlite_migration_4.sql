-- Migration 4 of the SQLite store: the columns of the contract's version 2. It only adds: a program that
-- knows version 3 of the store goes on with it. A statement that says {generation} is for both, a and b.

-- name: add_agent_id
ALTER TABLE session_state_{generation} ADD COLUMN agent_id TEXT;

-- name: add_agent_id_offset
ALTER TABLE session_state_{generation} ADD COLUMN agent_id_offset INTEGER;

-- name: add_experiment_id
ALTER TABLE session_state_{generation} ADD COLUMN experiment_id TEXT;

-- name: add_experiment_id_offset
ALTER TABLE session_state_{generation} ADD COLUMN experiment_id_offset INTEGER;

-- name: add_datasetitem_id
ALTER TABLE session_state_{generation} ADD COLUMN datasetitem_id TEXT;

-- name: add_datasetitem_id_offset
ALTER TABLE session_state_{generation} ADD COLUMN datasetitem_id_offset INTEGER;

-- name: add_tags
-- A JSON array of texts.
ALTER TABLE session_state_{generation} ADD COLUMN tags TEXT;

-- name: add_tags_offset
ALTER TABLE session_state_{generation} ADD COLUMN tags_offset INTEGER;

-- name: drop_sessions
-- It is made again below; SQLite cannot replace a view.
DROP VIEW sessions;

-- name: create_sessions
-- As in migration 2, with the new fields behind the others.
CREATE VIEW sessions AS
SELECT {view_columns}, (
    SELECT count(*) FROM dead_letters_a AS letter
    WHERE letter.session_id = state.session_id AND letter.partition = state.partition AND status = 'open'
) AS dead_letters, agent_id, experiment_id, datasetitem_id, tags
FROM (SELECT 1 FROM store_info WHERE generation = 'a') CROSS JOIN session_state_a AS state
UNION ALL
SELECT {view_columns}, (
    SELECT count(*) FROM dead_letters_b AS letter
    WHERE letter.session_id = state.session_id AND letter.partition = state.partition AND status = 'open'
) AS dead_letters, agent_id, experiment_id, datasetitem_id, tags
FROM (SELECT 1 FROM store_info WHERE generation = 'b') CROSS JOIN session_state_b AS state;

-- name: mark_contract
-- What the states are folded by from here on.
UPDATE store_info SET contract_version = {contract_version}, contract_digest = '{contract_digest}';

-- name: mark_version
-- The newest migration in the file.
PRAGMA user_version = {schema_version};
