-- What is stored of a sandbox's files, and what they began with; JSON with a version, NULL: nothing, its image.
ALTER TABLE sandbox ADD COLUMN files TEXT;
-- The sandbox that it is a fork of.
ALTER TABLE sandbox ADD COLUMN parent TEXT;
CREATE INDEX sandbox_fork ON sandbox (parent) WHERE parent IS NOT NULL;
-- The files that sandboxes of a snapshot begin with, JSON, and the sandbox that had them.
ALTER TABLE snapshot ADD COLUMN layer TEXT;
ALTER TABLE snapshot ADD COLUMN source TEXT;
