-- Physical removal (`throng retain`): what the owner of the tables needs of the server for it, and statistics without pseudonyms.

-- How many transactions of before `moment` are still open: what they see, and what they are about to do, a vacuum would miss.
CREATE FUNCTION subject.open_since(moment timestamptz) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT (SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND xact_start < moment)
        + (SELECT count(*) FROM pg_prepared_xacts WHERE prepared < moment)
$$;

-- End the write-ahead log so far: no segment of it is left, where the server's settings let it go (wal_recycle = off,
-- wal_keep_size = 0, no replication slot, nothing waiting for an archive). Returns how many are left, and how many files wait to be
-- written over that hold old bytes.
CREATE FUNCTION subject.end_wal() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    moment timestamptz := clock_timestamp() - interval '1 second';
    last text := substr(pg_walfile_name(pg_switch_wal()), 9);
BEGIN
    EXECUTE 'CHECKPOINT';
    RETURN (SELECT count(*) FROM pg_ls_waldir()
        WHERE name ~ '^[0-9A-F]{24}$' AND (substr(name, 9) <= last OR modification < moment));
END $$;

REVOKE ALL ON FUNCTION subject.open_since(timestamptz), subject.end_wal() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION subject.open_since(timestamptz), subject.end_wal() TO throng_owner;

-- ANALYZE would copy pseudonyms into pg_statistic, where they outlive their rows. It looks at none of these columns any more; that
-- they are nearly unique, or by how much not, the planner is told here, by numbers that name nobody.
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN
        SELECT a.attrelid, a.attrelid::regclass AS place, a.attnum, a.attname, n.nspname, t.relname
        FROM pg_attribute a JOIN pg_class t ON t.oid = a.attrelid JOIN pg_namespace n ON n.oid = t.relnamespace
        WHERE n.nspname IN ('state', 'live') AND t.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
            AND a.atttypid = 'bytea'::regtype
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS 0', c.place, c.attname);
        DELETE FROM pg_statistic WHERE starelid = c.attrelid AND staattnum = c.attnum;
        INSERT INTO pg_statistic (starelid, staattnum, stainherit, stanullfrac, stawidth, stadistinct, stakind1, stakind2, stakind3,
            stakind4, stakind5, staop1, staop2, staop3, staop4, staop5, stacoll1, stacoll2, stacoll3, stacoll4, stacoll5)
        VALUES (c.attrelid, c.attnum, false, 0, 17,
            CASE WHEN (c.relname, c.attname) IN (('person', 'usr'), ('alias', 'old'), ('alias', 'usr'), ('name', 'name')) THEN -1
                WHEN c.attname IN ('session', 'session_before', 'source') THEN -0.8
                ELSE -0.2 END,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    END LOOP;
END $$;
