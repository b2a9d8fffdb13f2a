-- Registries that organizations have logins to.
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
