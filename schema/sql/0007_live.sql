-- Test apps: a twin of an app, for a day at a time, of its own population and never released; and what a developer sees of
-- it at once. Events stand here one by one, so a row must belong to a twin: the foreign key of live.twin refuses any other
-- app. Who reads them sees numbers for people and sessions; the pseudonyms behind the numbers are not readable.
CREATE SCHEMA live AUTHORIZATION throng_owner;
SET ROLE throng_owner;

ALTER TABLE config.app
    ADD twin_of int REFERENCES config.app, -- null: no twin
    ADD lives_until timestamptz,           -- then its keys stop and nothing of it is shown; an hour later its state goes
    ADD CHECK ((twin_of IS NULL) = (lives_until IS NULL)),
    ADD CHECK (twin_of <> app),
    ADD UNIQUE (twin_of),
    ADD UNIQUE (app, twin_of);

-- Its row is locked by whoever adds to the view: ids are in the order of commits.
CREATE TABLE live.twin (
    app int PRIMARY KEY,
    twin_of int NOT NULL,
    events bigint NOT NULL, -- seen so far; the last one's id
    people int NOT NULL,    -- numbers given so far
    sessions int NOT NULL,
    FOREIGN KEY (app, twin_of) REFERENCES config.app (app, twin_of)
);

CREATE TABLE live.event (
    app int NOT NULL REFERENCES live.twin ON DELETE CASCADE,
    id bigint NOT NULL,
    received_at timestamptz NOT NULL,
    ts timestamptz NOT NULL,
    person int NOT NULL,
    session int, -- null: the client named none
    name text NOT NULL,
    props jsonb NOT NULL,
    engaged_ms int,
    is_view boolean NOT NULL,
    is_goal boolean NOT NULL,
    PRIMARY KEY (app, id)
);

-- Which number a person or session has in the view.
CREATE TABLE live.name (
    app int NOT NULL REFERENCES live.twin ON DELETE CASCADE,
    name bytea NOT NULL CHECK (octet_length(name) = 16),
    is_session boolean NOT NULL,
    number int NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (app, name)
);

CREATE TABLE live.refused (
    app int NOT NULL REFERENCES live.twin ON DELETE CASCADE,
    minute timestamptz NOT NULL,
    reason text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (app, minute, reason)
);

-- Delete everything that the state of a shard holds of an app, whatever tables there are.
CREATE FUNCTION state.forget(shard int, app int) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    place regclass;
BEGIN
    FOR place IN
        SELECT c.oid FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname IN ('shard', 'app')
        WHERE c.relnamespace = 'state'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        GROUP BY c.oid HAVING count(*) = 2 ORDER BY c.oid
    LOOP
        EXECUTE format('DELETE FROM %s WHERE shard = $1 AND app = $2', place) USING shard, app;
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION state.forget(int, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION state.forget(int, int) TO throng_state;

GRANT USAGE ON SCHEMA live TO throng_state, throng_read;
GRANT SELECT, INSERT, UPDATE, DELETE ON live.twin, live.event, live.name, live.refused TO throng_state;
GRANT SELECT ON live.twin, live.event, live.refused TO throng_read;

RESET ROLE;
