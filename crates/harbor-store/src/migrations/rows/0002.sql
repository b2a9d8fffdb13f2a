INSERT INTO signing_key VALUES
    ('00000000-0000-4000-8000-000000000003', 'signs-3'),
    -- its sandbox's row was purged
    ('00000000-0000-4000-8000-000000000098', 'signs-98');
