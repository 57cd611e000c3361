-- Migration 2 of the PostgreSQL store: what the generation that is not live has.

-- name: add_shadow
-- Nothing, a part of the log that a rebuild has folded so far, or what was live before one.
ALTER TABLE sessionfold.store_info ADD COLUMN shadow text NOT NULL DEFAULT 'empty'
CHECK (shadow IN ('empty', 'filling', 'kept'));

-- name: add_shadow_origin
-- What it is being filled from.
ALTER TABLE sessionfold.store_info ADD COLUMN shadow_origin text;

-- name: mark_version
-- The newest migration in the store.
UPDATE sessionfold.store_info SET version = 2;
