-- Differential privacy: what a month of an app may cost and has cost, what was refused for it, and how far releasing came.
SET ROLE throng_owner;

-- Frozen when the first release that a month of an app's data can change is made. A month that is released without noise
-- has rows too, without a cost: it is never called protected later. Apps go; this stays.
CREATE TABLE release.plan (
    population text NOT NULL,
    month date NOT NULL CHECK (extract(day FROM month) = 1), -- of the app's own calendar
    app int NOT NULL,
    family text NOT NULL,
    definition int NOT NULL, -- the version in force then: of what it declares this month's releases are
    preset text NOT NULL,
    k int NOT NULL,
    clamp bigint,            -- the first three null: no noise. What one person may be in a cell, in the family's things
    l2 bigint,               -- largest squared L2 distance, in clamps, in everything that the month can change
    sigma2 text,             -- exact rational, in squares of the clamp
    rho numeric(24, 12),     -- what that costs
    rho_total numeric(24, 12), -- what all families of the month may cost
    leaf uuid NOT NULL REFERENCES audit.outbox (id),
    PRIMARY KEY (population, month, app, family),
    CHECK ((rho IS NULL) = (sigma2 IS NULL) AND (rho IS NULL) = (l2 IS NULL) AND (rho IS NULL) = (clamp IS NULL)
        AND (rho IS NULL) = (rho_total IS NULL))
);

-- Debits: a family's whole cost of a month, at once. A planned family without one was over the budget: it is not released.
CREATE TABLE release.ledger (
    population text NOT NULL,
    month date NOT NULL,
    app int NOT NULL,
    family text NOT NULL,
    rho numeric(24, 12) NOT NULL CHECK (rho > 0),
    leaf uuid NOT NULL REFERENCES audit.outbox (id),
    PRIMARY KEY (population, month, app, family),
    FOREIGN KEY (population, month, app, family) REFERENCES release.plan
);

-- The last word on the budget: no transaction leaves a month with more debits than its plan's total.
CREATE FUNCTION release.check_budget() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.population || ' ' || NEW.month || ' ' || NEW.app, 9));
    IF (SELECT sum(l.rho) FROM release.ledger AS l WHERE l.population = NEW.population AND l.month = NEW.month AND l.app = NEW.app)
        > (SELECT min(p.rho_total) FROM release.plan AS p WHERE p.population = NEW.population AND p.month = NEW.month AND p.app = NEW.app)
    THEN
        RAISE EXCEPTION 'the month has no budget for this' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION release.check_budget() FROM PUBLIC;
CREATE TRIGGER budget AFTER INSERT ON release.ledger FOR EACH ROW EXECUTE FUNCTION release.check_budget();

-- Plans and debits are made once.
CREATE FUNCTION release.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what was released, planned or spent does not change' USING ERRCODE = 'insufficient_privilege';
END $$;
REVOKE ALL ON FUNCTION release.refuse_change() FROM PUBLIC;
CREATE TRIGGER frozen BEFORE UPDATE OR DELETE ON release.plan FOR EACH ROW EXECUTE FUNCTION release.refuse_change();
CREATE TRIGGER frozen BEFORE UPDATE OR DELETE ON release.ledger FOR EACH ROW EXECUTE FUNCTION release.refuse_change();
CREATE TRIGGER kept BEFORE TRUNCATE ON release.plan FOR EACH STATEMENT EXECUTE FUNCTION release.refuse_change();
CREATE TRIGGER kept BEFORE TRUNCATE ON release.ledger FOR EACH STATEMENT EXECUTE FUNCTION release.refuse_change();
REVOKE TRUNCATE ON release.plan, release.ledger FROM throng_owner;

-- What was due and is not released, ever.
CREATE TABLE release.refused (
    leaf uuid PRIMARY KEY REFERENCES audit.outbox (id),
    population text NOT NULL,
    app int NOT NULL,
    family text NOT NULL,
    item text NOT NULL,
    interval text NOT NULL,
    period date NOT NULL,
    reason text NOT NULL CHECK (reason IN ('not_reserved')),
    sealed_at timestamptz NOT NULL,
    UNIQUE (population, app, family, item, interval, period)
);

-- How many releases there are and a hash over their leaves in that order. The release daemon keeps a copy outside the
-- database: a restored database, which lacks some, is noticed.
CREATE TABLE release.head (
    "only" boolean PRIMARY KEY DEFAULT true CHECK ("only"),
    count bigint NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32)
);
INSERT INTO release.head (count, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

ALTER TABLE release.release
    ADD place bigint UNIQUE, -- 1, 2, …; null: released before places were given
    ADD hash bytea CHECK (octet_length(hash) = 32); -- SHA-256 of the hash before and of the leaf's bytes
-- Where a number's noise is another than its release's.
ALTER TABLE release.value ADD sigma2 text;

-- Until now everything was released without noise. Those months stay what they are called.
INSERT INTO release.plan (population, month, app, family, definition, preset, k, leaf)
    SELECT DISTINCT ON (population, m.month, app, family) population, m.month, app, family, definition, preset, k, leaf
    FROM release.release
    CROSS JOIN LATERAL (SELECT date_trunc('month', CASE interval WHEN 'week' THEN period + 6 ELSE period END::timestamp)::date
        AS month) AS m
    ORDER BY population, m.month, app, family, definition DESC, period DESC, leaf;

GRANT SELECT, INSERT ON release.plan, release.ledger, release.refused TO throng_release;
GRANT SELECT, UPDATE (count, hash) ON release.head TO throng_release;
GRANT SELECT ON release.plan, release.ledger, release.refused, release.head TO throng_read;

RESET ROLE;
