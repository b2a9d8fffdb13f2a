CREATE TABLE api_key (
    organization TEXT NOT NULL REFERENCES organization (id) ON DELETE CASCADE,
    user         TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    hash         BLOB NOT NULL UNIQUE,
    first        TEXT NOT NULL,
    last         TEXT NOT NULL,
    permissions  TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    expires_at   INTEGER, parent BLOB REFERENCES api_key (hash) ON DELETE CASCADE,
    PRIMARY KEY (organization, user, name)
) STRICT;

CREATE INDEX api_key_parent ON api_key (parent);

CREATE TABLE blob (
    id           TEXT PRIMARY KEY,
    uses         INTEGER NOT NULL CHECK (uses >= 0),
    unused_since INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX blob_unused ON blob (unused_since) WHERE uses = 0;

CREATE TABLE blob_upload (
    id         TEXT PRIMARY KEY,
    repository TEXT NOT NULL,
    size       INTEGER NOT NULL,
    pieces     TEXT NOT NULL,
    touched_at INTEGER NOT NULL
) STRICT;

CREATE INDEX blob_upload_touched_at ON blob_upload (touched_at);

CREATE TABLE bucket (
    name       TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE encryption_check (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    value BLOB NOT NULL
) STRICT;

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
    updated_at   INTEGER NOT NULL, contexts TEXT,
    UNIQUE (organization, reference)
) STRICT;

CREATE INDEX image_awaited ON image (state) WHERE state IN ('pending', 'under way');

CREATE TABLE image_log (
    image    TEXT NOT NULL REFERENCES image (id) ON DELETE CASCADE,
    sequence INTEGER NOT NULL,
    text     TEXT NOT NULL,
    PRIMARY KEY (image, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE infra_stock (
    sandbox TEXT PRIMARY KEY,
    ready   INTEGER NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;

CREATE TABLE installation (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    instance TEXT NOT NULL
) STRICT;

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

CREATE TABLE manifest_blob (
    repository TEXT NOT NULL,
    digest     TEXT NOT NULL,
    manifest   TEXT NOT NULL,
    PRIMARY KEY (repository, digest, manifest),
    FOREIGN KEY (repository, digest) REFERENCES repository_blob (repository, digest),
    FOREIGN KEY (repository, manifest) REFERENCES manifest (repository, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX manifest_blob_manifest ON manifest_blob (repository, manifest);

CREATE TABLE manifest_listed (
    repository TEXT NOT NULL,
    digest     TEXT NOT NULL,
    manifest   TEXT NOT NULL,
    PRIMARY KEY (repository, digest, manifest),
    FOREIGN KEY (repository, digest) REFERENCES manifest (repository, digest),
    FOREIGN KEY (repository, manifest) REFERENCES manifest (repository, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX manifest_listed_manifest ON manifest_listed (repository, manifest);

CREATE INDEX manifest_subject ON manifest (repository, subject, digest) WHERE subject IS NOT NULL;

CREATE INDEX manifest_unneeded ON manifest (unneeded_since) WHERE unneeded_since IS NOT NULL;

CREATE TABLE member (
    organization TEXT NOT NULL REFERENCES organization (id) ON DELETE CASCADE,
    user         TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    role         TEXT NOT NULL CHECK (role IN ('owner', 'member')),
    joined_at    INTEGER NOT NULL,
    PRIMARY KEY (organization, user)
) STRICT;

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

CREATE TABLE organization (
    id             TEXT PRIMARY KEY,
    name           TEXT NOT NULL,
    created_by     TEXT NOT NULL,
    personal       INTEGER NOT NULL,
    default_region TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
) STRICT;

CREATE TABLE outbox (
    sequence     INTEGER PRIMARY KEY AUTOINCREMENT,
    at           INTEGER NOT NULL,
    organization TEXT NOT NULL,
    kind         TEXT NOT NULL,
    subject      TEXT NOT NULL,
    before       TEXT,
    after        TEXT
, actor TEXT NOT NULL DEFAULT 'unknown', actor_user TEXT, actor_key TEXT) STRICT;

CREATE INDEX outbox_at ON outbox (at);

CREATE TABLE registry (
    id                 TEXT PRIMARY KEY,
    organization       TEXT NOT NULL REFERENCES organization (id) ON DELETE CASCADE,
    name               TEXT NOT NULL,
    url                TEXT NOT NULL,
    username           TEXT NOT NULL,
    encrypted_password BLOB NOT NULL,
    project            TEXT NOT NULL,
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL
) STRICT;

CREATE INDEX registry_organization ON registry (organization, created_at);

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

CREATE TABLE sandbox (
    id                   TEXT PRIMARY KEY,
    organization         TEXT NOT NULL REFERENCES organization (id),
    name                 TEXT NOT NULL,
    live           INTEGER NOT NULL,
    removed              INTEGER NOT NULL,
    snapshot             TEXT NOT NULL,
    image                TEXT NOT NULL,
    entrypoint           TEXT,
    user                 TEXT NOT NULL,
    target               TEXT NOT NULL,
    cpu                  INTEGER NOT NULL,
    memory_gib           INTEGER NOT NULL,
    disk_gib             INTEGER NOT NULL,
    gpu                  INTEGER NOT NULL,
    labels               TEXT NOT NULL,
    public               INTEGER NOT NULL,
    auto_stop_minutes    INTEGER NOT NULL,
    auto_archive_minutes INTEGER NOT NULL,
    auto_delete_minutes  INTEGER,
    network_block_all    INTEGER NOT NULL,
    allow_networks       TEXT,
    allow_domains        TEXT,
    desired              TEXT NOT NULL,
    force                INTEGER NOT NULL,
    seen                 TEXT NOT NULL,
    failure              TEXT,
    recoverable          INTEGER NOT NULL,
    note                 TEXT,
    toolbox_version      TEXT,
    started_once         INTEGER NOT NULL,
    generation           INTEGER NOT NULL,
    created_at           INTEGER NOT NULL,
    updated_at           INTEGER NOT NULL,
    last_activity_at     INTEGER NOT NULL
, encrypted_env BLOB, encrypted_preview_token BLOB, encrypted_toolbox_token BLOB, destroy_at INTEGER, warm_pool TEXT, auto_pause_minutes INTEGER NOT NULL DEFAULT 0, resize_cpu INTEGER, resize_memory_gib INTEGER, resize_disk_gib INTEGER, files TEXT, parent TEXT, linked TEXT, mounts TEXT NOT NULL DEFAULT '[]', build TEXT, dockerfile TEXT, contexts TEXT) STRICT;

CREATE INDEX sandbox_build ON sandbox (organization, build) WHERE build IS NOT NULL;

CREATE INDEX sandbox_fork ON sandbox (parent) WHERE parent IS NOT NULL;

CREATE INDEX sandbox_in_pool ON sandbox (warm_pool) WHERE warm_pool IS NOT NULL AND removed = 0;

CREATE INDEX sandbox_linked ON sandbox (linked) WHERE linked IS NOT NULL;

CREATE UNIQUE INDEX sandbox_name ON sandbox (organization, name) WHERE live = 1;

CREATE INDEX sandbox_there ON sandbox (organization) WHERE removed = 0;

CREATE TABLE signing_key (
    sandbox TEXT PRIMARY KEY REFERENCES sandbox (id) ON DELETE CASCADE,
    encrypted_key BLOB) STRICT;

CREATE TABLE snapshot (
    id           TEXT PRIMARY KEY,
    organization TEXT NOT NULL REFERENCES organization (id),
    name         TEXT NOT NULL,
    general      INTEGER NOT NULL,
    image        TEXT NOT NULL,
    entrypoint   TEXT,
    cpu          INTEGER NOT NULL,
    memory_gib   INTEGER NOT NULL,
    disk_gib     INTEGER NOT NULL,
    gpu          INTEGER NOT NULL,
    state        TEXT NOT NULL,
    error        TEXT,
    size_bytes   INTEGER,
    last_used_at INTEGER,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL, layer TEXT, source TEXT, image_id TEXT, dockerfile TEXT, contexts TEXT,
    UNIQUE (organization, name)
) STRICT;

CREATE TABLE tag (
    repository TEXT NOT NULL,
    name       TEXT NOT NULL,
    manifest   TEXT NOT NULL,
    PRIMARY KEY (repository, name),
    FOREIGN KEY (repository, manifest) REFERENCES manifest (repository, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX tag_manifest ON tag (repository, manifest);

CREATE TABLE upload (
    id         TEXT PRIMARY KEY,
    bucket     TEXT NOT NULL REFERENCES bucket (name),
    key        TEXT NOT NULL,
    attributes TEXT NOT NULL,
    started_at INTEGER NOT NULL
) STRICT;

CREATE INDEX upload_key ON upload (bucket, key, id);

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

CREATE INDEX upload_started_at ON upload (started_at);

CREATE TABLE user (
    id            TEXT PRIMARY KEY,
    name          TEXT NOT NULL,
    email         TEXT NOT NULL UNIQUE,
    administrator INTEGER NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT;

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

CREATE INDEX volume_leaving ON volume (state) WHERE state = 'deleting';

CREATE UNIQUE INDEX volume_name ON volume (organization, name) WHERE state = 'ready';

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
