-- Migration 3 of the PostgreSQL store: the columns of the contract's version 2. It only adds: a program
-- that knows version 2 of the store goes on with it. A statement that says {generation} is for both, a and b.

-- name: add_columns
-- Without a default no row is written anew.
ALTER TABLE sessionfold.session_state_{generation}
    ADD COLUMN agent_id text COLLATE "C",
    ADD COLUMN agent_id_offset bigint,
    ADD COLUMN experiment_id text COLLATE "C",
    ADD COLUMN experiment_id_offset bigint,
    ADD COLUMN datasetitem_id text COLLATE "C",
    ADD COLUMN datasetitem_id_offset bigint,
    ADD COLUMN tags text[],
    ADD COLUMN tags_offset bigint;

-- name: replace_sessions
-- As in migration 1, with the new fields behind the others: so it stays the same view, with what was
-- granted on it and what other views make of it.
CREATE OR REPLACE VIEW sessionfold.sessions AS
SELECT {view_columns}, (
    SELECT count(*) FROM sessionfold.dead_letters_a AS letter
    WHERE letter.session_id = state.session_id AND letter.partition = state.partition AND status = 'open'
) AS dead_letters, agent_id, experiment_id, datasetitem_id, tags
FROM sessionfold.session_state_a AS state
WHERE (SELECT generation FROM sessionfold.store_info) = 'a'
UNION ALL
SELECT {view_columns}, (
    SELECT count(*) FROM sessionfold.dead_letters_b AS letter
    WHERE letter.session_id = state.session_id AND letter.partition = state.partition AND status = 'open'
) AS dead_letters, agent_id, experiment_id, datasetitem_id, tags
FROM sessionfold.session_state_b AS state
WHERE (SELECT generation FROM sessionfold.store_info) = 'b';

-- name: mark_contract
-- What the states are folded by from here on, and the newest migration in the store.
UPDATE sessionfold.store_info SET
    version = {schema_version}, contract_version = {contract_version}, contract_digest = '{contract_digest}';
