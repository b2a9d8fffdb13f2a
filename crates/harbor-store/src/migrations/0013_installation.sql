-- The installation whose containers these rows are about.
CREATE TABLE installation (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    instance TEXT NOT NULL
) STRICT;
