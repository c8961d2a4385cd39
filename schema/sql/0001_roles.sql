-- Roles. Logins get their passwords from `throng migrate`; the owner of the audit trail cannot log in.
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['throng_owner', 'throng_state', 'throng_release', 'throng_read', 'throng_audit'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOINHERIT', name);
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'throng_audit_owner') THEN
        CREATE ROLE throng_audit_owner NOLOGIN;
    END IF;
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
DO $$ BEGIN
    EXECUTE format('REVOKE TEMPORARY, CONNECT ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO throng_owner, throng_state, throng_release, throng_read, throng_audit',
        current_database());
END $$;

CREATE SCHEMA audit AUTHORIZATION throng_audit_owner;
CREATE SCHEMA config AUTHORIZATION throng_owner;
CREATE SCHEMA state AUTHORIZATION throng_owner;
CREATE SCHEMA release AUTHORIZATION throng_owner;
