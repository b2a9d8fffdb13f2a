-- Object storage: buckets, objects and uploads in parts, and the blobs that hold their bytes.
CREATE TABLE bucket (
    name       TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT;

-- Attributes are what the object's writer keeps with it, as JSON; pieces are blob, start and size of each, as JSON.
CREATE TABLE object (
    bucket      TEXT NOT NULL REFERENCES bucket (name),
    key         TEXT NOT NULL,
    size        INTEGER NOT NULL,
    etag        TEXT NOT NULL,
    modified_at INTEGER NOT NULL,
    attributes  TEXT NOT NULL,
    pieces      TEXT NOT NULL,
    PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE upload (
    id         TEXT PRIMARY KEY,
    bucket     TEXT NOT NULL REFERENCES bucket (name),
    key        TEXT NOT NULL,
    attributes TEXT NOT NULL,
    started_at INTEGER NOT NULL
) STRICT;

CREATE INDEX upload_key ON upload (bucket, key, id);
CREATE INDEX upload_started_at ON upload (started_at);

CREATE TABLE upload_part (
    upload      TEXT NOT NULL REFERENCES upload (id),
    number      INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    etag        TEXT NOT NULL,
    modified_at INTEGER NOT NULL,
    checksums   TEXT NOT NULL,
    pieces      TEXT NOT NULL,
    PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;

-- How many pieces of objects and parts each blob is needed for.
CREATE TABLE blob (
    id           TEXT PRIMARY KEY,
    uses         INTEGER NOT NULL CHECK (uses >= 0),
    unused_since INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX blob_unused ON blob (unused_since) WHERE uses = 0;

-- The uploads that a Dockerfile copies from, as a JSON list.
ALTER TABLE image ADD COLUMN contexts TEXT;
ALTER TABLE snapshot ADD COLUMN contexts TEXT;
ALTER TABLE sandbox ADD COLUMN contexts TEXT;
