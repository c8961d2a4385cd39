-- People's requests: erasure, objection, access; what became of them, and what must be remembered so that nobody comes back.
-- Nothing here names a person: a request has a random id, a mark is a keyed hash of a pseudonym.
CREATE SCHEMA subject AUTHORIZATION throng_owner;
SET ROLE throng_owner;

CREATE TABLE subject.request (
    id uuid PRIMARY KEY,
    app int NOT NULL,
    kind text NOT NULL CHECK (kind IN ('erasure', 'objection', 'access', 'withdrawal')),
    shard int NOT NULL,
    received_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,        -- 30 days after (GDPR Art. 12(3): a month)
    last_due_at timestamptz NOT NULL,   -- 45 days after (Cal. Civ. Code 1798.130(a)(2))
    applied_at timestamptz NOT NULL,    -- stage one: no row, no open session, no packet ahead of the offset
    purge_due_at timestamptz,           -- stage two: by when no copy is left; null where nothing was deleted
    purged_at timestamptz,              -- stage two done
    received_leaf uuid NOT NULL REFERENCES audit.outbox (id),
    applied_leaf uuid NOT NULL REFERENCES audit.outbox (id),
    purged_leaf uuid REFERENCES audit.outbox (id),
    CHECK ((purged_at IS NULL) = (purged_leaf IS NULL))
);
CREATE INDEX request_open ON subject.request (applied_at) WHERE purged_at IS NULL AND purge_due_at IS NOT NULL;

-- What a person is told who asked for access: sealed to the key that came with the request (libsodium's crypto_box_seal), so
-- that nobody here can read it.
CREATE TABLE subject.answer (
    request uuid PRIMARY KEY REFERENCES subject.request (id) ON DELETE CASCADE,
    sealed bytea NOT NULL,
    expires_at timestamptz NOT NULL
);

-- Emergency purges of whole apps.
CREATE TABLE subject.purge (
    id uuid PRIMARY KEY,
    app int NOT NULL,
    ordered_at timestamptz NOT NULL,
    reason text NOT NULL, -- an operator's words: not in the trail, which has a hash of them
    done_at timestamptz,
    intent_leaf uuid NOT NULL REFERENCES audit.outbox (id),
    done_leaf uuid REFERENCES audit.outbox (id),
    CHECK ((done_at IS NULL) = (done_leaf IS NULL))
);
-- A shard of an app that was purged for this order.
CREATE TABLE subject.purged_shard (
    purge uuid NOT NULL, -- its order may be written later: a purge does not wait for the database
    shard int NOT NULL,
    app int NOT NULL,
    since_ms bigint NOT NULL, -- what was received before is not counted, whenever it comes
    at timestamptz NOT NULL,
    PRIMARY KEY (purge, shard)
);

-- How far physical removal came: what was deleted in a store before this moment is nowhere in its files.
CREATE TABLE subject.retention (
    store text PRIMARY KEY CHECK (store IN ('postgres', 'redis', 'backup')),
    clean_through timestamptz NOT NULL
);

CREATE TABLE subject.backup (
    id uuid PRIMARY KEY,
    made_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    gone_at timestamptz,
    leaf uuid NOT NULL REFERENCES audit.outbox (id),
    gone_leaf uuid REFERENCES audit.outbox (id)
);

-- The key of the marks: made once, in every backup, so that a restored database knows whom it must forget again.
CREATE TABLE subject.mark_key (
    "only" boolean PRIMARY KEY DEFAULT true CHECK ("only"),
    key bytea NOT NULL CHECK (octet_length(key) = 32)
);
INSERT INTO subject.mark_key (key) VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
    || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));

-- Who was erased or objected, by HMAC-SHA-256(mark key, app as 4 bytes big-endian || pseudonym). Redis has a copy of each.
CREATE TABLE subject.mark (
    shard int NOT NULL,
    app int NOT NULL,
    tag bytea NOT NULL CHECK (octet_length(tag) = 32),
    kind text NOT NULL CHECK (kind IN ('erasure', 'objection')),
    request uuid NOT NULL,
    since_ms bigint NOT NULL,
    dies_on date, -- null: an objection holds
    PRIMARY KEY (shard, app, tag, kind)
);

-- Lives of the pseudonymization keys, as the ingest nodes told: by commitments, never keys.
CREATE TABLE subject.key_life (
    shard int NOT NULL,
    app int NOT NULL,
    ring bytea NOT NULL CHECK (octet_length(ring) = 32),
    commitment bytea NOT NULL CHECK (octet_length(commitment) = 32),
    epoch bigint NOT NULL,
    born_at timestamptz NOT NULL,
    died_at timestamptz,
    born_leaf uuid NOT NULL,
    died_leaf uuid,
    PRIMARY KEY (shard, app, ring, commitment)
);

-- People whose rows outlived their app's horizon, by UTC day of their going: until the day's leaf is written.
CREATE TABLE subject.expired (
    shard int NOT NULL,
    app int NOT NULL,
    day date NOT NULL,
    people bigint NOT NULL,
    PRIMARY KEY (shard, app, day)
);

-- How far the trail has the account of each day (act ingestion).
CREATE TABLE subject.account (
    "only" boolean PRIMARY KEY DEFAULT true CHECK ("only"),
    through date
);
INSERT INTO subject.account DEFAULT VALUES;

-- Self-tests that passed, by UTC day: until the day's leaf is written.
CREATE TABLE subject.self_test (
    day date PRIMARY KEY,
    runs bigint NOT NULL,
    places bigint NOT NULL
);

-- The tables of one shard that hold rows about persons: whatever has a column usr. Everything below takes them from here, so that
-- a new table cannot be forgotten.
CREATE FUNCTION state.person_tables() RETURNS SETOF regclass LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.oid::regclass FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname IN ('shard', 'app', 'usr')
    WHERE c.relnamespace = 'state'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    GROUP BY c.oid HAVING count(*) = 3 ORDER BY c.oid
$$;

-- All names that the person known by one of `names` has in the shard: by aliases, forwards and back.
CREATE FUNCTION state.names_of(of_shard int, of_app int, names bytea[]) RETURNS bytea[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH present AS (SELECT unnest(names) AS name
        UNION SELECT usr FROM state.alias WHERE shard = of_shard AND app = of_app AND old = ANY (names))
    SELECT array_agg(name ORDER BY name) FROM (SELECT name FROM present
        UNION SELECT a.old FROM state.alias AS a JOIN present AS p ON a.usr = p.name
            WHERE a.shard = of_shard AND a.app = of_app) AS n
$$;

-- Every name that the shard has of anybody in the app.
CREATE FUNCTION state.all_names(of_shard int, of_app int) RETURNS SETOF bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    place regclass;
BEGIN
    FOR place IN SELECT state.person_tables() LOOP
        RETURN QUERY EXECUTE format('SELECT DISTINCT usr FROM %s WHERE shard = $1 AND app = $2', place) USING of_shard, of_app;
    END LOOP;
    RETURN QUERY SELECT old FROM state.alias WHERE shard = of_shard AND app = of_app;
    RETURN QUERY SELECT name FROM live.name WHERE app = of_app AND NOT is_session;
END $$;

-- Delete every row about the person with these names.
CREATE FUNCTION state.forget_person(of_shard int, of_app int, names bytea[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    place regclass;
BEGIN
    FOR place IN SELECT state.person_tables() LOOP
        EXECUTE format('DELETE FROM %s WHERE shard = $1 AND app = $2 AND usr = ANY ($3)', place) USING of_shard, of_app, names;
    END LOOP;
END $$;

-- Every row about the person with these names, with the times in it readable.
CREATE FUNCTION state.tell_person(of_shard int, of_app int, names bytea[]) RETURNS TABLE (place text, said jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t regclass;
BEGIN
    FOR t IN SELECT state.person_tables() LOOP
        place := t::text;
        RETURN QUERY EXECUTE format('SELECT $4, (SELECT jsonb_object_agg(key, CASE WHEN key = ANY ($5) AND value <> ''null'''
            ' THEN to_jsonb(to_timestamp(value::text::numeric / 1000)) ELSE value END) FROM jsonb_each(to_jsonb(t)))'
            ' FROM %s AS t WHERE shard = $1 AND app = $2 AND usr = ANY ($3)', t)
            USING of_shard, of_app, names, place, ARRAY['start_ms', 'end_ms', 'until_ms', 'at_ms', 'last_ms', 'first_ms'];
    END LOOP;
    RETURN QUERY SELECT 'live.event', to_jsonb(e) FROM live.event AS e
        WHERE e.app = of_app AND e.person IN (SELECT number FROM live.name AS n WHERE n.app = of_app AND NOT is_session
            AND n.name = ANY (names));
END $$;

-- Delete what the shard holds of the app, whatever tables there are, but for the account and for how far days are closed: these
-- name nobody, and without them days that were released would be closed again.
CREATE FUNCTION state.purge(of_shard int, of_app int) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    place regclass;
BEGIN
    FOR place IN
        SELECT c.oid FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname IN ('shard', 'app')
        WHERE c.relnamespace = 'state'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND c.relname NOT IN ('tally', 'refused', 'progress', 'app_epoch')
        GROUP BY c.oid HAVING count(*) = 2 ORDER BY c.oid
    LOOP
        EXECUTE format('DELETE FROM %s WHERE shard = $1 AND app = $2', place) USING of_shard, of_app;
    END LOOP;
END $$;

-- Incidents that an operator recorded.
CREATE TABLE config.incident (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('confidentiality', 'integrity', 'availability', 'retention', 'other')),
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    leaf uuid NOT NULL REFERENCES audit.outbox (id),
    closed_leaf uuid REFERENCES audit.outbox (id),
    CHECK ((closed_at IS NULL) = (closed_leaf IS NULL))
);

-- Receipts are read by keys of scope erase: throng-api has to know these too.
CREATE OR REPLACE VIEW config.reader_key WITH (security_barrier) AS
    SELECT id, scope, app, hash FROM config.api_key WHERE revoked_at IS NULL AND scope <> 'ingest';

GRANT SELECT, INSERT, UPDATE, DELETE ON subject.mark, subject.key_life, subject.expired, subject.self_test TO throng_state;
GRANT SELECT, UPDATE ON subject.account TO throng_state;
REVOKE ALL ON FUNCTION state.person_tables(), state.names_of(int, int, bytea[]), state.all_names(int, int),
    state.forget_person(int, int, bytea[]), state.tell_person(int, int, bytea[]), state.purge(int, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION state.person_tables(), state.names_of(int, int, bytea[]), state.all_names(int, int),
    state.forget_person(int, int, bytea[]), state.tell_person(int, int, bytea[]), state.purge(int, int) TO throng_state;
GRANT USAGE ON SCHEMA subject TO throng_state, throng_read;
GRANT SELECT, INSERT ON subject.request, subject.answer, subject.purged_shard TO throng_state;
GRANT UPDATE (purged_at, purged_leaf) ON subject.request TO throng_state;
GRANT SELECT, UPDATE (done_at, done_leaf) ON subject.purge TO throng_state;
GRANT SELECT, INSERT, UPDATE ON subject.retention TO throng_state;
GRANT SELECT ON subject.backup TO throng_state;
GRANT DELETE ON subject.answer TO throng_state;
GRANT SELECT ON subject.mark_key TO throng_state;
GRANT SELECT ON subject.request, subject.answer, subject.purged_shard, subject.retention, subject.backup TO throng_read;
GRANT SELECT (id, app, ordered_at, done_at) ON subject.purge TO throng_read;
GRANT SELECT ON config.incident TO throng_read;

RESET ROLE;
