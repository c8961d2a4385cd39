-- What `throng doctor` looks at as throng_owner: how far the schema is, and how the log fares; no leaf's content.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_namespace WHERE nspname = 'throng_meta') THEN
        GRANT USAGE ON SCHEMA throng_meta TO throng_owner;
        GRANT SELECT ON throng_meta.migration TO throng_owner;
    END IF;
END $$;

SET ROLE throng_audit_owner;
GRANT SELECT ON audit.pending, audit.entry, audit.checkpoint, audit.witness TO throng_owner;
RESET ROLE;
