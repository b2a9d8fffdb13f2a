-- Rows as versions 1 to 3 wrote them; every secret ends in the number of its sandbox.
INSERT INTO organization VALUES ('10000000-0000-4000-8000-000000000001', 'Personal', 'u', 1, 'us', 1700000000000, 1700000000000);
INSERT INTO user VALUES ('u', 'U', 'u@harbor.test', 1, 1700000000000);
INSERT INTO member VALUES ('10000000-0000-4000-8000-000000000001', 'u', 'owner', 1700000000000);
INSERT INTO api_key (organization, user, name, hash, first, last, permissions, created_at) VALUES
    ('10000000-0000-4000-8000-000000000001', 'u', 'k', x'0000000000000000000000000000000000000000000000000000000000000000', 'dtn', '123', '["write:sandboxes"]', 1700000000000);
INSERT INTO snapshot VALUES
    ('20000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000001', 's', 1, 'i', NULL, 1, 1, 3, 0, 'active', NULL, 5, NULL, 1700000000000, 1700000000000);
INSERT INTO sandbox (
    id, organization, name, snapshot, image, entrypoint, user, env, target, cpu, memory_gib, disk_gib, gpu, labels,
    public, auto_stop_minutes, auto_archive_minutes, auto_delete_minutes, network_block_all, allow_networks,
    allow_domains, preview_token, toolbox_token, desired, force, seen, container, boot, exit_code, configured, connected,
    asked, failure, recoverable, note, toolbox_version, started_once, generation, created_at, updated_at,
    last_activity_at) VALUES
    ('00000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000001', 'box1', 's', 'i', '["sleep"]', 'daytona',
     '{"SECRET":"env-1"}', 'us', 1, 2, 3, 0, '{"a":"b"}', 1, 15, 10080, 0, 0, NULL, NULL, 'preview-1', 'toolbox-1',
     'started', 0, 'absent', NULL, NULL, NULL, 0, 0, 0, NULL, 0, 'note', '1.0', 1, 7, 1700000000000, 1700000000000,
     1700000000000),
    ('00000000-0000-4000-8000-000000000002', '10000000-0000-4000-8000-000000000001', 'box2', 's', 'i', '["sleep"]', 'daytona',
     '{"SECRET":"env-2"}', 'us', 1, 2, 3, 0, '{"a":"b"}', 1, 15, 10080, 0, 0, NULL, NULL, 'preview-2', 'toolbox-2',
     'started', 0, 'made', 'c', NULL, NULL, 0, 0, 0, NULL, 0, 'note', '1.0', 1, 7, 1700000000000, 1700000000000,
     1700000000000),
    ('00000000-0000-4000-8000-000000000003', '10000000-0000-4000-8000-000000000001', 'box3', 's', 'i', '["sleep"]', 'daytona',
     '{"SECRET":"env-3"}', 'us', 1, 2, 3, 0, '{"a":"b"}', 1, 15, 10080, 0, 0, NULL, NULL, 'preview-3', 'toolbox-3',
     'started', 0, 'running', 'c', 'b', NULL, 1, 0, 0, NULL, 0, 'note', '1.0', 1, 7, 1700000000000, 1700000000000,
     1700000000000),
    ('00000000-0000-4000-8000-000000000004', '10000000-0000-4000-8000-000000000001', 'box4', 's', 'i', '["sleep"]', 'daytona',
     '{"SECRET":"env-4"}', 'us', 1, 2, 3, 0, '{"a":"b"}', 1, 15, 10080, 0, 0, NULL, NULL, 'preview-4', 'toolbox-4',
     'destroyed', 0, 'exited', 'c', NULL, 137, 0, 0, 1, NULL, 0, 'note', '1.0', 1, 7, 1700000000000, 1700000000000,
     1700000000000),
    ('00000000-0000-4000-8000-000000000005', '10000000-0000-4000-8000-000000000001', 'box5', 's', 'i', '["sleep"]', 'daytona',
     '{"SECRET":"env-5"}', 'us', 1, 2, 3, 0, '{"a":"b"}', 1, 15, 10080, 0, 0, NULL, NULL, 'preview-5', 'toolbox-5',
     'stopped', 0, 'lost', NULL, NULL, NULL, 0, 0, 0, NULL, 0, 'note', '1.0', 1, 7, 1700000000000, 1700000000000,
     1700000000000),
    ('00000000-0000-4000-8000-000000000006', '10000000-0000-4000-8000-000000000001', 'box6', 's', 'i', '["sleep"]', 'daytona',
     '{"SECRET":"env-6"}', 'us', 1, 2, 3, 0, '{"a":"b"}', 1, 15, 10080, 0, 0, NULL, NULL, 'preview-6', 'toolbox-6',
     'destroyed', 0, 'removed', NULL, NULL, NULL, 0, 0, 0, NULL, 0, 'note', '1.0', 1, 7, 1700000000000, 1700000000000,
     1700000000000);
INSERT INTO infra_stock VALUES ('00000000-0000-4000-8000-000000000099', 1, 1700000000000);
INSERT INTO outbox (at, organization, kind, subject, after) VALUES (1700000000000, '10000000-0000-4000-8000-000000000001', 'sandbox.created', 'x', 'creating');
