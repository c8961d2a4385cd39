-- The audit outbox: one canonical leaf an act, in the act's own transaction. Every table of acts has a foreign key here.
SET ROLE throng_audit_owner;

CREATE TABLE audit.outbox (
    id uuid PRIMARY KEY,
    act text NOT NULL,
    leaf bytea NOT NULL,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    written_by name NOT NULL DEFAULT session_user
);

CREATE FUNCTION audit.append(id uuid, act text, leaf bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    body jsonb := convert_from(leaf, 'UTF8')::jsonb;
BEGIN
    IF body->>'id' IS DISTINCT FROM id::text OR body->>'act' IS DISTINCT FROM act OR body->>'v' IS DISTINCT FROM '1' THEN
        RAISE EXCEPTION 'the leaf does not say the id and act it is appended under' USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO audit.outbox (id, act, leaf) VALUES (id, act, leaf);
END $$;
REVOKE ALL ON FUNCTION audit.append(uuid, text, bytea) FROM PUBLIC;

CREATE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER outbox_append_only BEFORE UPDATE OR DELETE ON audit.outbox
    FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER outbox_no_truncate BEFORE TRUNCATE ON audit.outbox
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
ALTER TABLE audit.outbox ENABLE ALWAYS TRIGGER outbox_append_only;
ALTER TABLE audit.outbox ENABLE ALWAYS TRIGGER outbox_no_truncate;

GRANT USAGE ON SCHEMA audit TO throng_owner, throng_state, throng_release, throng_read, throng_audit;
GRANT EXECUTE ON FUNCTION audit.append(uuid, text, bytea)
    TO throng_owner, throng_state, throng_release, throng_read, throng_audit;
GRANT REFERENCES (id) ON audit.outbox TO throng_owner;
GRANT SELECT ON audit.outbox TO throng_audit, throng_read;

RESET ROLE;
