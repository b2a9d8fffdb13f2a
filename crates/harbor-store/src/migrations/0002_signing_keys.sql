-- Keys that sign URLs of files (contract, toolbox §11.15). No reference to `sandbox`: a change there rewrites the row.
CREATE TABLE signing_key (
    sandbox TEXT PRIMARY KEY,
    key     TEXT NOT NULL
) STRICT;
