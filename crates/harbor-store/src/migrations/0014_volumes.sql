-- Directories that outlive sandboxes. A deleted one gives its name back at once.
CREATE TABLE volume (
    id           TEXT PRIMARY KEY,
    organization TEXT NOT NULL REFERENCES organization (id),
    name         TEXT NOT NULL,
    state        TEXT NOT NULL,
    error        TEXT,
    last_used_at INTEGER,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX volume_name ON volume (organization, name) WHERE state = 'ready';

CREATE INDEX volume_leaving ON volume (state) WHERE state = 'deleting';

-- The volumes in a sandbox: a JSON array.
ALTER TABLE sandbox ADD COLUMN mounts TEXT NOT NULL DEFAULT '[]';
