-- A change of a sandbox is an UPDATE, so that other tables may refer to its row.
--
-- `seen` is one encoded value (src/seen.rs), which no query looks into; what queries need of it stands in columns of
-- its own, written from the model's rules.
ALTER TABLE sandbox RENAME TO sandbox_before;

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
    env                  TEXT NOT NULL,
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
    preview_token        TEXT NOT NULL,
    toolbox_token        TEXT NOT NULL,
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
) STRICT;

INSERT INTO sandbox
SELECT
    id, organization, name, desired <> 'destroyed' AND seen <> 'removed', seen = 'removed', snapshot, image,
    entrypoint, user, env, target, cpu, memory_gib, disk_gib, gpu, labels, public, auto_stop_minutes,
    auto_archive_minutes, auto_delete_minutes, network_block_all, allow_networks, allow_domains, preview_token,
    toolbox_token, desired, force,
    CASE seen
        WHEN 'made' THEN json_object('version', 1, 'kind', seen, 'container', container)
        WHEN 'running' THEN json_object(
            'version', 1, 'kind', seen, 'container', container, 'boot', boot,
            'configured', json(iif(configured, 'true', 'false')), 'connected', json(iif(connected, 'true', 'false')))
        WHEN 'exited' THEN json_object(
            'version', 1, 'kind', seen, 'container', container, 'code', exit_code,
            'asked', json(iif(asked, 'true', 'false')), 'connected', json(iif(connected, 'true', 'false')))
        ELSE json_object('version', 1, 'kind', seen)
    END,
    failure, recoverable, note, toolbox_version, started_once, generation, created_at, updated_at, last_activity_at
FROM sandbox_before;

DROP TABLE sandbox_before;

-- A name is taken only while its sandbox is live, however it goes.
CREATE UNIQUE INDEX sandbox_name ON sandbox (organization, name) WHERE live = 1;
CREATE INDEX sandbox_there ON sandbox (organization) WHERE removed = 0;

ALTER TABLE signing_key RENAME TO signing_key_before;
CREATE TABLE signing_key (
    sandbox TEXT PRIMARY KEY REFERENCES sandbox (id) ON DELETE CASCADE,
    key     TEXT NOT NULL
) STRICT;
INSERT INTO signing_key SELECT * FROM signing_key_before WHERE sandbox IN (SELECT id FROM sandbox);
DROP TABLE signing_key_before;
