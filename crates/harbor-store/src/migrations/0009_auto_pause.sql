-- Minutes without use until a sandbox is paused, if it is not to be stopped; 0: never.
ALTER TABLE sandbox ADD COLUMN auto_pause_minutes INTEGER NOT NULL DEFAULT 0;
