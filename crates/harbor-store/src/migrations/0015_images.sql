-- Images that organizations ask for, by pull or build. A snapshot that waits for one names it by its reference.
CREATE TABLE image (
    id           TEXT PRIMARY KEY,
    organization TEXT NOT NULL REFERENCES organization (id),
    reference    TEXT NOT NULL,
    dockerfile   TEXT,
    state        TEXT NOT NULL,
    error        TEXT,
    engine_id    TEXT,
    size_bytes   INTEGER,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    UNIQUE (organization, reference)
) STRICT;

CREATE INDEX image_awaited ON image (state) WHERE state IN ('pending', 'under way');

-- What its last pull or build said, in pieces of whole lines.
CREATE TABLE image_log (
    image    TEXT NOT NULL REFERENCES image (id) ON DELETE CASCADE,
    sequence INTEGER NOT NULL,
    text     TEXT NOT NULL,
    PRIMARY KEY (image, sequence)
) STRICT, WITHOUT ROWID;

ALTER TABLE snapshot ADD COLUMN image_id TEXT;
ALTER TABLE snapshot ADD COLUMN dockerfile TEXT;

-- How the image of a sandbox that was made with a Dockerfile is built.
ALTER TABLE sandbox ADD COLUMN build TEXT;
ALTER TABLE sandbox ADD COLUMN dockerfile TEXT;

CREATE INDEX sandbox_build ON sandbox (organization, build) WHERE build IS NOT NULL;
