-- What an app declares beyond its events: dimensions, features, segments, goals, funnels, measures, outcomes, entities,
-- paths. What is of persons here goes when the period that it is counted in is sealed.
SET ROLE throng_owner;

-- marks: bit i of 0 … 31: feature i used; 32 + i: segment i; 64 + 64 d + c: class c of dimension d met. Null: none.
ALTER TABLE state.person_day ADD marks bit(576);
-- A day's rows are written again by each flush: half of a page is left for their next versions.
ALTER TABLE state.person_day SET (fillfactor = 50);
ALTER TABLE state.visitor_day SET (fillfactor = 50);

ALTER TABLE state.fragment
    ADD goal_bits bigint NOT NULL DEFAULT 0, -- bit i: goal i reached; 62, 63: the events that start and complete
    ADD entry_ms int,                        -- after start_ms: its first event with a class of the entry dimension
    ADD entry smallint,
    ADD exit_ms int,                         -- its last one with a class of the exit dimension
    ADD exit smallint;

-- A person's week or month, folded from its closed days and sessions.
CREATE TABLE state.person_period (
    shard int NOT NULL,
    app int NOT NULL,
    usr bytea NOT NULL CHECK (octet_length(usr) = 16),
    interval text NOT NULL CHECK (interval IN ('week', 'month')),
    period date NOT NULL, -- its first day
    marks bit(576),
    sessions int NOT NULL DEFAULT 0, -- that started in it
    PRIMARY KEY (shard, app, usr, interval, period)
);

-- A person's events that are steps of a funnel (track: its position; value: bit mask of steps) or that have a class of a
-- path (track: 64 + its position; value: the class).
CREATE TABLE state.step (
    shard int NOT NULL,
    app int NOT NULL,
    usr bytea NOT NULL CHECK (octet_length(usr) = 16),
    track smallint NOT NULL,
    at_ms bigint NOT NULL,
    value int NOT NULL
);
CREATE INDEX step_usr ON state.step (shard, app, usr, track, at_ms);

-- A person's day of a measure, by the bin of the value.
CREATE TABLE state.person_measure (
    shard int NOT NULL,
    app int NOT NULL,
    usr bytea NOT NULL CHECK (octet_length(usr) = 16),
    day date NOT NULL,
    measure smallint NOT NULL,
    bin smallint NOT NULL,
    count bigint NOT NULL,
    sum bigint NOT NULL,     -- steps above the least value
    most bigint NOT NULL,
    last_ms bigint NOT NULL, -- of the last one in time; of several at once the largest
    last bigint NOT NULL,
    PRIMARY KEY (shard, app, day, usr, measure, bin)
) WITH (fillfactor = 50);

-- A person's month of a measure that an outcome is made of.
CREATE TABLE state.person_outcome (
    shard int NOT NULL,
    app int NOT NULL,
    usr bytea NOT NULL CHECK (octet_length(usr) = 16),
    month date NOT NULL,
    measure smallint NOT NULL,
    count bigint NOT NULL,
    sum bigint NOT NULL,
    most bigint NOT NULL,
    last_ms bigint NOT NULL,
    last bigint NOT NULL,
    PRIMARY KEY (shard, app, usr, month, measure)
);

-- The entities that a person's day touched.
CREATE TABLE state.person_entity (
    shard int NOT NULL,
    app int NOT NULL,
    usr bytea NOT NULL CHECK (octet_length(usr) = 16),
    day date NOT NULL,
    class smallint NOT NULL, -- position in the app's entities
    entity bigint NOT NULL,  -- the first 8 bytes of its pseudonym
    PRIMARY KEY (shard, app, day, usr, class, entity)
);

-- The entities of closed days and of the weeks and months that they lie in, until these are released.
CREATE TABLE state.entity (
    shard int NOT NULL,
    app int NOT NULL,
    class smallint NOT NULL,
    interval text NOT NULL CHECK (interval IN ('day', 'week', 'month')),
    period date NOT NULL,
    entity bigint NOT NULL,
    PRIMARY KEY (shard, app, interval, period, class, entity)
);

-- Exact sums of declared things, made when a day closes; they name nobody. Numbers of people are written for each interval;
-- of others only the days', of which weeks and months are sums.
CREATE TABLE state.cell (
    shard int NOT NULL,
    app int NOT NULL,
    due date NOT NULL,    -- the day whose closing made it, and with which it is released
    number text NOT NULL, -- a metric of families.def
    interval text NOT NULL CHECK (interval IN ('day', 'week', 'month')),
    period date NOT NULL, -- its first day
    item smallint NOT NULL,
    n int NOT NULL, -- class, step, bin, tier …; else -1
    value bigint NOT NULL,
    people bigint NOT NULL
);
CREATE INDEX cell_due ON state.cell (shard, app, due);

-- How many different entities the periods that end on these days had, over all shards: throng_release learns no name.
CREATE FUNCTION state.count_entities(of_app int, shards int[], first date, last date)
RETURNS TABLE (due date, "interval" text, item smallint, value bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT closes, e.interval, e.class, count(DISTINCT e.entity)
    FROM state.entity AS e
    CROSS JOIN LATERAL (SELECT CASE e.interval WHEN 'day' THEN e.period WHEN 'week' THEN e.period + 6
        ELSE (e.period + interval '1 month')::date - 1 END AS closes) AS c
    WHERE e.shard = ANY (shards) AND e.app = of_app AND e.period BETWEEN first - 31 AND last AND closes BETWEEN first AND last
    GROUP BY closes, e.interval, e.class
$$;

-- The declared thing that a released number is about: a feature, a dimension, a funnel …; '' where there is none.
ALTER TABLE release.value ADD item text NOT NULL DEFAULT '';
ALTER TABLE release.value DROP CONSTRAINT value_pkey;
ALTER TABLE release.value ADD PRIMARY KEY (app, metric, item, interval, period, n);
-- Funnels end after windows of their own: each is a release by itself.
ALTER TABLE release.release ADD item text NOT NULL DEFAULT '';
ALTER TABLE release.release DROP CONSTRAINT release_population_app_family_interval_period_key;
ALTER TABLE release.release ADD UNIQUE (population, app, family, item, interval, period);

GRANT SELECT, INSERT, UPDATE, DELETE ON state.person_period, state.step, state.person_measure, state.person_outcome,
    state.person_entity, state.entity, state.cell TO throng_state;
GRANT SELECT ON state.cell TO throng_release;
REVOKE ALL ON FUNCTION state.count_entities(int, int[], date, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION state.count_entities(int, int[], date, date) TO throng_release;

RESET ROLE;
