-- The second half of 0006_encrypted_secrets.sql.
ALTER TABLE sandbox DROP COLUMN env;
ALTER TABLE sandbox DROP COLUMN preview_token;
ALTER TABLE sandbox DROP COLUMN toolbox_token;
ALTER TABLE signing_key DROP COLUMN key;
