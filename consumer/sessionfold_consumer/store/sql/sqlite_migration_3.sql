-- Migration 3 of the SQLite store: what the generation that is not live has.

-- name: add_shadow
-- Nothing, a part of the log that a rebuild has folded so far, or what was live before one.
ALTER TABLE store_info ADD COLUMN shadow TEXT NOT NULL DEFAULT 'empty'
CHECK (shadow IN ('empty', 'filling', 'kept'));

-- name: add_shadow_origin
-- What it is being filled from.
ALTER TABLE store_info ADD COLUMN shadow_origin TEXT;

-- name: mark_version
-- The newest migration in the file.
PRAGMA user_version = 3;
