-- What a sandbox is to be allowed instead of what it may use; NULL: nothing else.
ALTER TABLE sandbox ADD COLUMN resize_cpu INTEGER;
ALTER TABLE sandbox ADD COLUMN resize_memory_gib INTEGER;
ALTER TABLE sandbox ADD COLUMN resize_disk_gib INTEGER;
