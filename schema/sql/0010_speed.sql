-- What makes closing a day cheap.
SET ROLE throng_owner;

-- A person's week and month are written when they begin and again by most of their later days: room for the next version
-- on the same page spares the index.
ALTER TABLE state.person_period SET (fillfactor = 50);
ALTER TABLE state.person_outcome SET (fillfactor = 50);

-- Which day before was the last active one is told for a month back; nothing depends on an earlier one.
COMMENT ON COLUMN state.triple.previous_day IS 'the active day before; null: none in the month of the day 31 days before, or later';
COMMENT ON COLUMN state.person_month.days IS 'bit d - 1: active on day d; of months before that of the day 31 days before '
    'the first open one at most the last of each person is kept, without days: 1';

RESET ROLE;

-- After a checkpoint the first change of a page writes all of it to the log. pglz, which `on` means, takes most of the time
-- of a day's closing for that; lz4 a tenth of it, and the log is hardly larger.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_settings WHERE name = 'wal_compression' AND 'lz4' = ANY (enumvals)) THEN
        EXECUTE format('ALTER DATABASE %I SET wal_compression = lz4', current_database());
    END IF;
END $$;
