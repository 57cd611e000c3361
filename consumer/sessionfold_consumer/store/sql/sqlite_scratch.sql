-- A file for a contract that is being tried: a store whose states have the columns of that one. What stands
-- in braces is expanded, most of it from the contract.

-- name: drop_sessions
-- What people query; nobody does here.
DROP VIEW sessions;

-- name: drop_session_state
-- As the migrations made it, for the contract that was published.
DROP TABLE session_state_{generation};

-- name: create_session_state
-- One row a session and partition.
CREATE TABLE session_state_{generation} (
    {state_columns},
    UNIQUE (session_id, partition)
) STRICT;

-- name: describe_store
-- It is of the contract that is tried.
UPDATE store_info SET contract_version = {contract_version}, contract_digest = '{contract_digest}';
