-- Secrets are encrypted (src/encryption.rs). Those that are there are encrypted by that code, which then runs
-- 0006_forget_clear_text.sql. NULL: wiped, because the sandbox is gone.
CREATE TABLE encryption_check (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    value BLOB NOT NULL
) STRICT;
ALTER TABLE sandbox ADD COLUMN encrypted_env BLOB;
ALTER TABLE sandbox ADD COLUMN encrypted_preview_token BLOB;
ALTER TABLE sandbox ADD COLUMN encrypted_toolbox_token BLOB;
ALTER TABLE signing_key ADD COLUMN encrypted_key BLOB;
