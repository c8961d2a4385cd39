-- The log over the trail: every leaf gets an index, contiguous and for ever; the hash tiles of the tree over them; signed
-- checkpoints. One sequencer, throng-audit, moves it on, by the functions below and by nothing else.
SET ROLE throng_audit_owner;

-- What has no index yet. A leaf comes here in the transaction that writes it, so none is skipped by committing late.
CREATE TABLE audit.pending (
    id uuid PRIMARY KEY REFERENCES audit.outbox (id),
    written_at timestamptz NOT NULL
);
INSERT INTO audit.pending SELECT id, written_at FROM audit.outbox;

CREATE TABLE audit.entry (
    index bigint PRIMARY KEY CHECK (index >= 0),
    id uuid NOT NULL UNIQUE REFERENCES audit.outbox (id),
    at timestamptz NOT NULL, -- of the leaf; likewise act and tenant
    act text NOT NULL,
    tenant text NOT NULL
);
CREATE INDEX entry_act ON audit.entry (act, index);
CREATE INDEX entry_tenant ON audit.entry (tenant, index);
CREATE INDEX entry_at ON audit.entry (at, index);

-- C2SP tlog-tiles: hashes of 32 bytes, the widest form of each tile so far.
CREATE TABLE audit.tile (
    level smallint NOT NULL CHECK (level BETWEEN 0 AND 63),
    index bigint NOT NULL CHECK (index >= 0),
    hashes bytea NOT NULL CHECK (octet_length(hashes) BETWEEN 32 AND 8192 AND octet_length(hashes) % 32 = 0),
    PRIMARY KEY (level, index)
);

CREATE TABLE audit.checkpoint (
    size bigint NOT NULL CHECK (size > 0),
    signed_at timestamptz NOT NULL,
    note bytea NOT NULL, -- C2SP tlog-checkpoint, signed, with the cosignatures that came in time
    PRIMARY KEY (size, signed_at)
);

-- What a witness has seen, as it last answered. Not part of the trail.
CREATE TABLE audit.witness (
    name text PRIMARY KEY,
    size bigint NOT NULL,
    seen_at timestamptz NOT NULL
);

-- Entries below this index have no body any more.
CREATE TABLE audit.pruned (
    "only" boolean PRIMARY KEY DEFAULT true CHECK ("only"),
    below bigint NOT NULL DEFAULT 0
);
INSERT INTO audit.pruned DEFAULT VALUES;

CREATE OR REPLACE FUNCTION audit.append(id uuid, act text, leaf bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    body jsonb := convert_from(leaf, 'UTF8')::jsonb;
BEGIN
    IF body->>'id' IS DISTINCT FROM id::text OR body->>'act' IS DISTINCT FROM act OR body->>'v' IS DISTINCT FROM '1' THEN
        RAISE EXCEPTION 'the leaf does not say the id and act it is appended under' USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO audit.outbox (id, act, leaf) VALUES (id, act, leaf);
    INSERT INTO audit.pending (id, written_at) VALUES (id, clock_timestamp());
END $$;

-- Give the pending leaves `ids`, in this order, the indexes from `first` on, and store the tiles that change with them.
CREATE FUNCTION audit.sequence(first bigint, ids uuid[], levels smallint[], indexes bigint[], tiles bytea[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    moved bigint;
BEGIN
    LOCK TABLE audit.entry IN SHARE ROW EXCLUSIVE MODE;
    IF first <> (SELECT coalesce(max(e.index) + 1, 0) FROM audit.entry AS e) THEN
        RAISE EXCEPTION 'the log does not end there' USING ERRCODE = 'serialization_failure';
    END IF;
    INSERT INTO audit.entry (index, id, at, act, tenant)
        SELECT first + l.place - 1, o.id, to_timestamp((o.body->>'at')::bigint / 1000.0), o.act, o.body->>'tenant'
        FROM unnest(ids) WITH ORDINALITY AS l (id, place)
        JOIN (SELECT id, act, convert_from(leaf, 'UTF8')::jsonb AS body FROM audit.outbox WHERE id = ANY (ids)) AS o USING (id);
    DELETE FROM audit.pending WHERE id = ANY (ids);
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> cardinality(ids) THEN
        RAISE EXCEPTION 'a leaf was not pending' USING ERRCODE = 'serialization_failure';
    END IF;
    INSERT INTO audit.tile AS t (level, index, hashes)
        SELECT n.level, n.index, n.hashes FROM unnest(levels, indexes, tiles) AS n (level, index, hashes)
        ON CONFLICT (level, index) DO UPDATE SET hashes = excluded.hashes;
END $$;

-- A stored tile only grows: what it says stays.
CREATE FUNCTION audit.refuse_rewrite() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.level = OLD.level AND NEW.index = OLD.index AND
        substr(NEW.hashes, 1, octet_length(OLD.hashes)) = OLD.hashes THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;

-- Publish a checkpoint that was signed.
CREATE FUNCTION audit.publish(size bigint, signed_at timestamptz, note bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF size > (SELECT coalesce(max(e.index) + 1, 0) FROM audit.entry AS e) OR
        size < (SELECT coalesce(max(c.size), 0) FROM audit.checkpoint AS c) THEN
        RAISE EXCEPTION 'the log is not of that size' USING ERRCODE = 'serialization_failure';
    END IF;
    INSERT INTO audit.checkpoint VALUES (size, signed_at, note);
END $$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['entry', 'checkpoint'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit.%I
            FOR EACH ROW EXECUTE FUNCTION audit.refuse_change()', name);
        EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER append_only', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['entry', 'checkpoint', 'tile'] LOOP
        EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON audit.%I
            FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', name);
        EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER no_truncate', name);
    END LOOP;
END $$;
CREATE TRIGGER grows BEFORE UPDATE ON audit.tile FOR EACH ROW EXECUTE FUNCTION audit.refuse_rewrite();
CREATE TRIGGER append_only BEFORE DELETE ON audit.tile FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
ALTER TABLE audit.tile ENABLE ALWAYS TRIGGER grows;
ALTER TABLE audit.tile ENABLE ALWAYS TRIGGER append_only;

REVOKE ALL ON FUNCTION audit.sequence(bigint, uuid[], smallint[], bigint[], bytea[]), audit.publish(bigint, timestamptz, bytea),
    audit.refuse_rewrite(), audit.refuse_change() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit.sequence(bigint, uuid[], smallint[], bigint[], bytea[]),
    audit.publish(bigint, timestamptz, bytea) TO throng_audit;
GRANT SELECT ON audit.pending, audit.entry, audit.tile, audit.checkpoint, audit.witness, audit.pruned TO throng_audit;
GRANT INSERT, UPDATE ON audit.witness TO throng_audit;
GRANT SELECT ON audit.pending, audit.entry, audit.tile, audit.checkpoint, audit.witness, audit.pruned TO throng_read;
GRANT SELECT ON audit.entry, audit.checkpoint TO throng_release; -- which hangs its own restore check on it

RESET ROLE;
