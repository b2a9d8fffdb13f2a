-- The registry: blobs and manifests by repository, what manifests are called, and blobs that are being pushed.
-- Pieces are blob, start and size of each, as JSON. A blob that a manifest of its repository names is not unneeded.
CREATE TABLE repository_blob (
    repository     TEXT NOT NULL,
    digest         TEXT NOT NULL,
    size           INTEGER NOT NULL,
    pieces         TEXT NOT NULL,
    unneeded_since INTEGER,
    PRIMARY KEY (repository, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX repository_blob_digest ON repository_blob (digest);
CREATE INDEX repository_blob_unneeded ON repository_blob (unneeded_since) WHERE unneeded_since IS NOT NULL;

-- Annotations are a JSON object. A manifest that lost its last tag, and that no other one lists, is unneeded.
CREATE TABLE manifest (
    repository     TEXT NOT NULL,
    digest         TEXT NOT NULL,
    media_type     TEXT NOT NULL,
    content        BLOB NOT NULL,
    subject        TEXT,
    artifact_type  TEXT,
    annotations    TEXT,
    pushed_at      INTEGER NOT NULL,
    unneeded_since INTEGER,
    PRIMARY KEY (repository, digest)
) STRICT;

CREATE INDEX manifest_subject ON manifest (repository, subject, digest) WHERE subject IS NOT NULL;
CREATE INDEX manifest_unneeded ON manifest (unneeded_since) WHERE unneeded_since IS NOT NULL;

CREATE TABLE manifest_blob (
    repository TEXT NOT NULL,
    digest     TEXT NOT NULL,
    manifest   TEXT NOT NULL,
    PRIMARY KEY (repository, digest, manifest),
    FOREIGN KEY (repository, digest) REFERENCES repository_blob (repository, digest),
    FOREIGN KEY (repository, manifest) REFERENCES manifest (repository, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX manifest_blob_manifest ON manifest_blob (repository, manifest);

-- The manifests that a manifest lists.
CREATE TABLE manifest_listed (
    repository TEXT NOT NULL,
    digest     TEXT NOT NULL,
    manifest   TEXT NOT NULL,
    PRIMARY KEY (repository, digest, manifest),
    FOREIGN KEY (repository, digest) REFERENCES manifest (repository, digest),
    FOREIGN KEY (repository, manifest) REFERENCES manifest (repository, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX manifest_listed_manifest ON manifest_listed (repository, manifest);

CREATE TABLE tag (
    repository TEXT NOT NULL,
    name       TEXT NOT NULL,
    manifest   TEXT NOT NULL,
    PRIMARY KEY (repository, name),
    FOREIGN KEY (repository, manifest) REFERENCES manifest (repository, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX tag_manifest ON tag (repository, manifest);

CREATE TABLE blob_upload (
    id         TEXT PRIMARY KEY,
    repository TEXT NOT NULL,
    size       INTEGER NOT NULL,
    pieces     TEXT NOT NULL,
    touched_at INTEGER NOT NULL
) STRICT;

CREATE INDEX blob_upload_touched_at ON blob_upload (touched_at);
