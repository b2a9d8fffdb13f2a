-- Who made a change. What was recorded before this version was not told apart.
ALTER TABLE outbox ADD COLUMN actor TEXT NOT NULL DEFAULT 'unknown';
ALTER TABLE outbox ADD COLUMN actor_user TEXT;
ALTER TABLE outbox ADD COLUMN actor_key TEXT;
