-- When a sandbox is deleted, whatever state it is in; NULL: never by itself.
ALTER TABLE sandbox ADD COLUMN destroy_at INTEGER;
