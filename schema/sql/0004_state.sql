-- Pseudonymous state: written by the aggregator alone, gone when its purpose is. First key column everywhere: shard.
-- A table whose rows are about persons has a column of type bytea with the pseudonym, 16 bytes, nothing else fits.
-- What the release job may read are the sums at the end of this file: no column of theirs names anyone.
SET ROLE throng_owner;

CREATE TABLE state.shard (
    shard int PRIMARY KEY,
    token bigint NOT NULL DEFAULT 0, -- fencing: counts the leases of this shard
    off text NOT NULL DEFAULT '0'    -- the last stream entry whose effect is in this database
);

CREATE TABLE state.node (
    shard int NOT NULL,
    node bigint NOT NULL,
    applied int8multirange NOT NULL DEFAULT '{}', -- the n that were applied
    watermark_ms bigint NOT NULL DEFAULT 0,
    next_n bigint,                                -- what the node says it sent; null: it never said
    heard_ms bigint NOT NULL DEFAULT 0,           -- receipt of its last packet here, aggregator's clock
    ended boolean NOT NULL DEFAULT false,
    PRIMARY KEY (shard, node)
);

CREATE TABLE state.seen (
    shard int NOT NULL,
    app int NOT NULL,
    source bytea NOT NULL CHECK (octet_length(source) = 16),
    day date NOT NULL, -- of receipt, UTC
    seqs int8multirange NOT NULL,
    PRIMARY KEY (shard, app, source, day)
);

CREATE TABLE state.fragment (
    shard int NOT NULL,
    app int NOT NULL,
    usr bytea NOT NULL CHECK (octet_length(usr) = 16),
    session bytea NOT NULL CHECK (octet_length(session) IN (0, 16)), -- empty: the client named none
    session_before bytea CHECK (octet_length(session_before) = 16),  -- its name in the epoch before
    start_ms bigint NOT NULL,
    end_ms bigint NOT NULL,
    events int NOT NULL,
    views int NOT NULL,
    goals int NOT NULL,
    engaged_ms bigint NOT NULL
);
CREATE INDEX fragment_user ON state.fragment (shard, app, usr, start_ms);

-- A session that began on a sealed day and goes on after it: what of the next day belongs to it.
CREATE TABLE state.carry (
    shard int NOT NULL,
    app int NOT NULL,
    usr bytea NOT NULL CHECK (octet_length(usr) = 16),
    session bytea NOT NULL CHECK (octet_length(session) IN (0, 16)),
    session_before bytea CHECK (octet_length(session_before) = 16),
    until_ms bigint NOT NULL,
    PRIMARY KEY (shard, app, usr, session)
);

CREATE TABLE state.person (
    shard int NOT NULL,
    app int NOT NULL,
    usr bytea NOT NULL CHECK (octet_length(usr) = 16),
    first_day date NOT NULL,
    last_receipt date NOT NULL, -- UTC
    PRIMARY KEY (shard, app, usr)
);

CREATE TABLE state.person_month (
    shard int NOT NULL,
    app int NOT NULL,
    usr bytea NOT NULL CHECK (octet_length(usr) = 16),
    month date NOT NULL,
    days int NOT NULL, -- bit d - 1: active on day d
    PRIMARY KEY (shard, app, usr, month)
);

CREATE TABLE state.person_day (
    shard int NOT NULL,
    app int NOT NULL,
    usr bytea NOT NULL CHECK (octet_length(usr) = 16),
    day date NOT NULL,
    events int NOT NULL,
    views int NOT NULL,
    PRIMARY KEY (shard, app, day, usr)
);

CREATE TABLE state.visitor_day (
    shard int NOT NULL,
    app int NOT NULL,
    visitor bytea NOT NULL CHECK (octet_length(visitor) = 16),
    day date NOT NULL,
    events int NOT NULL,
    PRIMARY KEY (shard, app, day, visitor)
);

-- A returning user's rows moved from an earlier epoch's name to the present one; packets under way may still say the old.
CREATE TABLE state.alias (
    shard int NOT NULL,
    app int NOT NULL,
    old bytea NOT NULL CHECK (octet_length(old) = 16),
    usr bytea NOT NULL CHECK (octet_length(usr) = 16),
    dies_on date NOT NULL,
    PRIMARY KEY (shard, app, old)
);
CREATE INDEX alias_usr ON state.alias (shard, app, usr);

CREATE TABLE state.app_epoch (
    shard int NOT NULL,
    app int NOT NULL,
    epoch bigint NOT NULL,
    since_ms bigint NOT NULL, -- first receipt under this epoch
    PRIMARY KEY (shard, app)
);

-- The account: acknowledged = counted + duplicate + late. By UTC day of receipt.
CREATE TABLE state.tally (
    shard int NOT NULL,
    app int NOT NULL,
    day date NOT NULL,
    counted bigint NOT NULL DEFAULT 0,
    duplicate bigint NOT NULL DEFAULT 0,
    late bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (shard, app, day)
);

CREATE TABLE state.refused (
    shard int NOT NULL,
    app int NOT NULL, -- 0: none could be told
    day date NOT NULL,
    reason text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (shard, app, day, reason)
);

-- Closing: how far each shard of an app is, and the exact sums of what is closed.
CREATE TABLE state.progress (
    shard int NOT NULL,
    app int NOT NULL,
    activity_through date,
    sessions_through date,
    PRIMARY KEY (shard, app)
);

CREATE TABLE state.triple (
    shard int NOT NULL,
    app int NOT NULL,
    day date NOT NULL,
    first_day date NOT NULL,
    previous_day date, -- the user's active day before; null: none
    people bigint NOT NULL
);
CREATE INDEX triple_day ON state.triple (shard, app, day);

CREATE TABLE state.day_sum (
    shard int NOT NULL,
    app int NOT NULL,
    day date NOT NULL,
    people bigint NOT NULL,
    events bigint NOT NULL, -- each person's clamped
    views bigint NOT NULL,
    viewers bigint NOT NULL, -- people with a view
    visitors bigint NOT NULL,
    visitor_events bigint NOT NULL,
    PRIMARY KEY (shard, app, day)
);

CREATE TABLE state.session_sum (
    shard int NOT NULL,
    app int NOT NULL,
    day date NOT NULL, -- on which the sessions start
    people bigint NOT NULL,
    sessions bigint NOT NULL,
    engaged bigint NOT NULL,
    engaged_people bigint NOT NULL, -- with such a session; likewise below
    single_event bigint NOT NULL,
    single_event_people bigint NOT NULL,
    duration_ms bigint NOT NULL,
    engaged_ms bigint NOT NULL,
    events bigint NOT NULL,
    durations bigint[] NOT NULL, -- histogram: [1] below 1 s, then doubling
    duration_people bigint[] NOT NULL,
    PRIMARY KEY (shard, app, day)
);

GRANT USAGE ON SCHEMA state TO throng_state, throng_release;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA state TO throng_state;
GRANT SELECT ON state.progress, state.triple, state.day_sum, state.session_sum TO throng_release;

RESET ROLE;
