-- What throng-api needs to tell who may read: the keys in force, by their hashes.
SET ROLE throng_owner;

CREATE VIEW config.reader_key WITH (security_barrier) AS
    SELECT id, scope, app, hash FROM config.api_key WHERE revoked_at IS NULL AND scope NOT IN ('ingest', 'erase');
GRANT SELECT ON config.reader_key TO throng_read;

RESET ROLE;
