-- The key that made a key: what it made goes with it. Keys from before this version have no parent.
ALTER TABLE api_key ADD COLUMN parent BLOB REFERENCES api_key (hash) ON DELETE CASCADE;
CREATE INDEX api_key_parent ON api_key (parent);
