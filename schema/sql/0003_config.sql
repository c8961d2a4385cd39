-- What the operator set: apps, their definitions, keys. Written by throng_owner (the CLI), read by the daemons.
SET ROLE throng_owner;

CREATE TABLE config.installation (
    "only" boolean PRIMARY KEY DEFAULT true CHECK ("only"),
    shards int NOT NULL CHECK (shards BETWEEN 1 AND 256),
    catalogue_version bigint NOT NULL DEFAULT 1
);

CREATE TABLE config.app (
    app int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    population text NOT NULL,
    time_zone text NOT NULL,
    mode text NOT NULL DEFAULT 'live' CHECK (mode IN ('live', 'importing')),
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    leaf uuid NOT NULL REFERENCES audit.outbox (id)
);

CREATE TABLE config.definition (
    app int NOT NULL REFERENCES config.app,
    version int NOT NULL,
    body jsonb NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32), -- SHA-256 of the RFC 8785 form
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    leaf uuid NOT NULL REFERENCES audit.outbox (id),
    PRIMARY KEY (app, version)
);

CREATE TABLE config.write_key (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    app int NOT NULL REFERENCES config.app,
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    hint text NOT NULL, -- the first characters, to recognise it by
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at timestamptz,
    leaf uuid NOT NULL REFERENCES audit.outbox (id),
    revoked_leaf uuid REFERENCES audit.outbox (id),
    CHECK ((revoked_at IS NULL) = (revoked_leaf IS NULL))
);

CREATE TABLE config.api_key (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    scope text NOT NULL CHECK (scope IN ('read', 'metrics', 'ops', 'erase', 'audit', 'ingest', 'admin')),
    app int REFERENCES config.app, -- null: any app
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    hint text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at timestamptz,
    leaf uuid NOT NULL REFERENCES audit.outbox (id),
    revoked_leaf uuid REFERENCES audit.outbox (id),
    CHECK ((revoked_at IS NULL) = (revoked_leaf IS NULL))
);

-- An operator's order to close days of an imported app; done when state.progress has reached it.
CREATE TABLE config.seal_request (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    app int NOT NULL REFERENCES config.app,
    through date NOT NULL,
    force boolean NOT NULL DEFAULT false,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    leaf uuid NOT NULL REFERENCES audit.outbox (id)
);

-- Nodes that an operator gave up: they no longer hold back any watermark.
CREATE TABLE config.node_retired (
    node bigint PRIMARY KEY,
    retired_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    leaf uuid NOT NULL REFERENCES audit.outbox (id)
);

-- Day starts of a zone, where a day may have 0, 23 or 25 hours. A midnight that does not exist is the first moment after.
-- A day begins when the clock never again shows an earlier date: of a midnight that comes twice within its day, with the
-- first; AT TIME ZONE takes the second, just before which the clock shows the day already, and how far in.
CREATE FUNCTION config.day_starts(zone text, first date, last date)
RETURNS TABLE (day date, start_ms bigint) LANGUAGE sql STABLE AS $$
    SELECT d::date, (extract(epoch FROM m.at - greatest(b.shown - d, interval '0')) * 1000)::bigint
    FROM generate_series(first::timestamp, last::timestamp, interval '1 day') AS d
    CROSS JOIN LATERAL (SELECT d AT TIME ZONE zone AS at) AS m
    CROSS JOIN LATERAL (SELECT ((m.at - interval '1 ms') AT TIME ZONE zone) + interval '1 ms' AS shown) AS b
$$;

CREATE FUNCTION config.touch() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE config.installation SET catalogue_version = catalogue_version + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON config.app
    FOR EACH STATEMENT EXECUTE FUNCTION config.touch();
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON config.definition
    FOR EACH STATEMENT EXECUTE FUNCTION config.touch();
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON config.write_key
    FOR EACH STATEMENT EXECUTE FUNCTION config.touch();
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON config.api_key
    FOR EACH STATEMENT EXECUTE FUNCTION config.touch();
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON config.seal_request
    FOR EACH STATEMENT EXECUTE FUNCTION config.touch();
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON config.node_retired
    FOR EACH STATEMENT EXECUTE FUNCTION config.touch();

GRANT USAGE ON SCHEMA config TO throng_state, throng_release, throng_read;
GRANT SELECT ON config.installation, config.app, config.definition, config.write_key, config.api_key,
    config.seal_request, config.node_retired TO throng_state;
GRANT UPDATE (catalogue_version) ON config.installation TO throng_state;
GRANT SELECT ON config.installation, config.app, config.definition, config.seal_request TO throng_release;
GRANT SELECT ON config.installation, config.app, config.definition TO throng_read;
REVOKE ALL ON FUNCTION config.day_starts(text, date, date), config.touch() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION config.day_starts(text, date, date) TO throng_state, throng_release, throng_read;

RESET ROLE;
