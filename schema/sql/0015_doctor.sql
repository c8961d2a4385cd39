-- How far the schema is, for `throng doctor`.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_namespace WHERE nspname = 'throng_meta') THEN
        GRANT USAGE ON SCHEMA throng_meta TO throng_read;
        GRANT SELECT ON throng_meta.migration TO throng_read;
    END IF;
END $$;
