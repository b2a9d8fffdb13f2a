-- The sandbox that it shares a private network with, and is deleted with.
ALTER TABLE sandbox ADD COLUMN linked TEXT;
CREATE INDEX sandbox_linked ON sandbox (linked) WHERE linked IS NOT NULL;
