-- People's requests: erasure, objection, access; what became of them, and what must be remembered so that nobody comes back.
-- Nothing here names a person: a request has a random id, a mark is a keyed hash of a pseudonym.
CREATE SCHEMA subject AUTHORIZATION throng_owner;
SET ROLE throng_owner;

CREATE TABLE subject.request (
    id uuid PRIMARY KEY,
    app int NOT NULL,
    kind text NOT NULL CHECK (kind IN ('erasure', 'objection', 'access')),
    shard int NOT NULL,
    received_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,        -- 30 days after (GDPR Art. 12(3): a month)
    last_due_at timestamptz NOT NULL,   -- 45 days after (Cal. Civ. Code 1798.130(a)(2))
    applied_at timestamptz NOT NULL,    -- stage one: no row, no open session, no packet ahead of the offset
    purge_due_at timestamptz,           -- stage two: by when no copy is left; null for access
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
    purge uuid NOT NULL,
    shard int NOT NULL,
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

GRANT SELECT, INSERT, UPDATE, DELETE ON subject.mark, subject.key_life TO throng_state;
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
