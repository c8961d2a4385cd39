-- The log over the trail: every leaf gets an index, contiguous and for ever; the hash tiles of the tree over them; signed
-- checkpoints. One sequencer, throng-audit, moves it on, by the functions below and by nothing else.
SET ROLE throng_audit_owner;

-- What has no index yet. A leaf comes here in the transaction that writes it, so none is skipped by committing late.
CREATE TABLE audit.pending (
    id uuid PRIMARY KEY REFERENCES audit.outbox (id),
    written_at timestamptz NOT NULL
);
INSERT INTO audit.pending SELECT id, written_at FROM audit.outbox;
CREATE INDEX pending_order ON audit.pending (written_at, id);

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

-- The log's verifier keys (C2SP signed-note), as its signer told: checkpoints of this size and larger bear the key's signature.
CREATE TABLE audit.log_key (
    vkey text PRIMARY KEY,
    from_size bigint NOT NULL CHECK (from_size >= 0),
    told_at timestamptz NOT NULL DEFAULT clock_timestamp()
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
    IF octet_length(leaf) > 65535 THEN
        RAISE EXCEPTION 'an entry of the log has at most 65535 bytes' USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO audit.outbox (id, act, leaf) VALUES (id, act, leaf);
    INSERT INTO audit.pending (id, written_at) VALUES (id, clock_timestamp());
END $$;

-- Give leaves of the outbox the indexes from `first` on, in this order, and store the tiles that change with them. A tile that
-- is stored wider already stays: what it says of the new leaves is compared before anything is signed.
CREATE FUNCTION audit.place(first bigint, ids uuid[], levels smallint[], indexes bigint[], tiles bytea[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    placed bigint;
BEGIN
    IF first <> (SELECT coalesce(max(e.index) + 1, 0) FROM audit.entry AS e) THEN
        RAISE EXCEPTION 'the log does not end there' USING ERRCODE = 'serialization_failure';
    END IF;
    INSERT INTO audit.entry (index, id, at, act, tenant)
        SELECT first + l.place - 1, o.id, coalesce(to_timestamp((o.body->>'at')::bigint / 1000.0), o.written_at), o.act,
            coalesce(o.body->>'tenant', '')
        FROM unnest(ids) WITH ORDINALITY AS l (id, place)
        JOIN (SELECT id, act, written_at, convert_from(leaf, 'UTF8')::jsonb AS body FROM audit.outbox WHERE id = ANY (ids)) AS o
            USING (id);
    GET DIAGNOSTICS placed = ROW_COUNT;
    IF placed <> cardinality(ids) THEN
        RAISE EXCEPTION 'a leaf is not there' USING ERRCODE = 'serialization_failure';
    END IF;
    INSERT INTO audit.tile AS t (level, index, hashes)
        SELECT n.level, n.index, n.hashes FROM unnest(levels, indexes, tiles) AS n (level, index, hashes)
        ON CONFLICT (level, index) DO UPDATE SET hashes = excluded.hashes
            WHERE octet_length(excluded.hashes) > octet_length(t.hashes);
END $$;

-- Give the pending leaves `ids`, in this order, the indexes from `first` on.
CREATE FUNCTION audit.sequence(first bigint, ids uuid[], levels smallint[], indexes bigint[], tiles bytea[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    moved bigint;
BEGIN
    LOCK TABLE audit.entry IN SHARE ROW EXCLUSIVE MODE;
    PERFORM audit.place(first, ids, levels, indexes, tiles);
    DELETE FROM audit.pending WHERE id = ANY (ids);
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> cardinality(ids) THEN
        RAISE EXCEPTION 'a leaf was not pending' USING ERRCODE = 'serialization_failure';
    END IF;
END $$;

-- Put back entries that a restored database lacks, as the sequencer's copy of the log has them, from the database's own end on.
-- A leaf that is in the outbox must be the same; one that is pending is pending no more.
CREATE FUNCTION audit.recover(first bigint, leaves bytea[], levels smallint[], indexes bigint[], tiles bytea[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ids uuid[];
BEGIN
    LOCK TABLE audit.entry IN SHARE ROW EXCLUSIVE MODE;
    SELECT array_agg((convert_from(l.leaf, 'UTF8')::jsonb->>'id')::uuid ORDER BY l.place) INTO ids
        FROM unnest(leaves) WITH ORDINALITY AS l (leaf, place);
    INSERT INTO audit.outbox (id, act, leaf)
        SELECT l.id, convert_from(l.leaf, 'UTF8')::jsonb->>'act', l.leaf FROM unnest(ids, leaves) AS l (id, leaf)
        ON CONFLICT (id) DO NOTHING;
    IF EXISTS (SELECT FROM unnest(ids, leaves) AS l (id, leaf) JOIN audit.outbox AS o USING (id) WHERE o.leaf <> l.leaf) THEN
        RAISE EXCEPTION 'a leaf of that id says something else' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    DELETE FROM audit.pending WHERE id = ANY (ids);
    PERFORM audit.place(first, ids, levels, indexes, tiles);
END $$;

-- Drop the bodies of the entries below an index, a multiple of 256 (a bundle of entries is whole or gone); their hashes stay. `leaf` is the act that says so, and must be in the log by
-- then. Changes of the log's own key are never dropped: they are few, and tell which key signed what.
CREATE FUNCTION audit.prune(below bigint, leaf uuid) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    dropped bigint;
BEGIN
    IF below % 256 <> 0 OR NOT EXISTS (SELECT FROM audit.entry AS e JOIN audit.outbox AS o USING (id) WHERE e.id = prune.leaf AND
        e.act = 'trail_pruned' AND e.index >= prune.below AND
        convert_from(o.leaf, 'UTF8')::jsonb->'data'->>'below' = prune.below::text) THEN
        RAISE EXCEPTION 'no such pruning is in the log' USING ERRCODE = 'check_violation';
    END IF;
    UPDATE audit.pruned AS p SET below = greatest(p.below, prune.below);
    UPDATE audit.outbox AS o SET leaf = NULL FROM audit.entry AS e
        WHERE e.id = o.id AND e.index < prune.below AND e.act <> 'log_key_rotated' AND o.leaf IS NOT NULL;
    GET DIAGNOSTICS dropped = ROW_COUNT;
    RETURN dropped;
END $$;

-- The one change that a leaf may see: its body is pruned.
ALTER TABLE audit.outbox ALTER COLUMN leaf DROP NOT NULL;
CREATE FUNCTION audit.refuse_but_pruning() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id = OLD.id AND NEW.act = OLD.act AND NEW.written_at = OLD.written_at AND NEW.written_by = OLD.written_by AND
        NEW.leaf IS NULL AND
        EXISTS (SELECT FROM audit.entry AS e, audit.pruned AS p WHERE e.id = OLD.id AND e.index < p.below) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
DROP TRIGGER outbox_append_only ON audit.outbox;
CREATE TRIGGER outbox_append_only BEFORE DELETE ON audit.outbox
    FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER outbox_pruning BEFORE UPDATE ON audit.outbox
    FOR EACH ROW EXECUTE FUNCTION audit.refuse_but_pruning();
ALTER TABLE audit.outbox ENABLE ALWAYS TRIGGER outbox_append_only;
ALTER TABLE audit.outbox ENABLE ALWAYS TRIGGER outbox_pruning;

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

-- Tell a verifier key of the log, once or again.
CREATE FUNCTION audit.tell_key(vkey text, from_size bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO audit.log_key (vkey, from_size) VALUES (tell_key.vkey, tell_key.from_size) ON CONFLICT DO NOTHING
$$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['entry', 'checkpoint', 'log_key'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit.%I
            FOR EACH ROW EXECUTE FUNCTION audit.refuse_change()', name);
        EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER append_only', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['entry', 'checkpoint', 'tile', 'log_key'] LOOP
        EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON audit.%I
            FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', name);
        EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER no_truncate', name);
    END LOOP;
END $$;
CREATE TRIGGER grows BEFORE UPDATE ON audit.tile FOR EACH ROW EXECUTE FUNCTION audit.refuse_rewrite();
CREATE TRIGGER append_only BEFORE DELETE ON audit.tile FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
ALTER TABLE audit.tile ENABLE ALWAYS TRIGGER grows;
ALTER TABLE audit.tile ENABLE ALWAYS TRIGGER append_only;

-- What was planned, released and refused, in the log's order: a restored database gets it back from here.
CREATE VIEW audit.released AS
    SELECT e.index, o.id, o.act, o.leaf FROM audit.entry AS e JOIN audit.outbox AS o USING (id)
    WHERE e.act IN ('month_planned', 'aggregates_released', 'aggregates_refused');

REVOKE ALL ON FUNCTION audit.sequence(bigint, uuid[], smallint[], bigint[], bytea[]), audit.publish(bigint, timestamptz, bytea),
    audit.tell_key(text, bigint), audit.place(bigint, uuid[], smallint[], bigint[], bytea[]),
    audit.recover(bigint, bytea[], smallint[], bigint[], bytea[]), audit.prune(bigint, uuid),
    audit.refuse_rewrite(), audit.refuse_but_pruning(), audit.refuse_change() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit.sequence(bigint, uuid[], smallint[], bigint[], bytea[]),
    audit.publish(bigint, timestamptz, bytea), audit.tell_key(text, bigint),
    audit.recover(bigint, bytea[], smallint[], bigint[], bytea[]) TO throng_audit;
GRANT EXECUTE ON FUNCTION audit.prune(bigint, uuid) TO throng_owner;
GRANT SELECT ON audit.pending, audit.entry, audit.tile, audit.checkpoint, audit.log_key, audit.witness, audit.pruned TO throng_audit;
GRANT INSERT, UPDATE ON audit.witness TO throng_audit;
GRANT SELECT ON audit.pending, audit.entry, audit.tile, audit.checkpoint, audit.log_key, audit.witness, audit.pruned TO throng_read;
GRANT SELECT ON audit.released TO throng_release; -- which hangs its restore check on it

RESET ROLE;
