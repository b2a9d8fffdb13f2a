-- Warm pools. Their members are sandboxes of an organization that nobody belongs to, until they are handed out.
INSERT INTO organization VALUES ('00000000-0000-0000-0000-000000000000', 'nobody', 'harbor', 0, '', 0, 0);
CREATE TABLE warm_pool (
    id           TEXT PRIMARY KEY,
    organization TEXT NOT NULL REFERENCES organization (id) ON DELETE CASCADE,
    snapshot     TEXT NOT NULL REFERENCES snapshot (id) ON DELETE CASCADE,
    target       TEXT NOT NULL,
    size         INTEGER NOT NULL,
    error        TEXT,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    UNIQUE (organization, snapshot, target)
) STRICT;
ALTER TABLE sandbox ADD COLUMN warm_pool TEXT;
CREATE INDEX sandbox_in_pool ON sandbox (warm_pool) WHERE warm_pool IS NOT NULL AND removed = 0;
