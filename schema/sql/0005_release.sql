-- What may leave. throng_release is the only writer; throng_read sees nothing else of numbers about use.
SET ROLE throng_owner;

CREATE TABLE release.progress (
    app int PRIMARY KEY REFERENCES config.app,
    first_day date NOT NULL,
    activity_through date, -- null: nothing yet
    sessions_through date
);

-- One release: one app, family and period, once for all times, with its audit leaf.
CREATE TABLE release.release (
    leaf uuid PRIMARY KEY REFERENCES audit.outbox (id),
    population text NOT NULL,
    app int NOT NULL REFERENCES config.app,
    family text NOT NULL,
    interval text NOT NULL CHECK (interval IN ('day', 'week', 'month', 'rolling_7', 'rolling_28', 'rolling_30')),
    period date NOT NULL, -- its first day; rolling: its last
    definition int NOT NULL, -- version of the app definition
    preset text NOT NULL,
    protection text NOT NULL CHECK (protection IN ('none', 'threshold', 'dp')),
    mechanism text NOT NULL,
    sigma2 text,          -- exact rational, null without noise
    rho text,
    k int NOT NULL,
    sealed_at timestamptz NOT NULL, -- by the schedule: not the moment
    UNIQUE (population, app, family, interval, period)
);

CREATE TABLE release.value (
    app int NOT NULL REFERENCES config.app,
    metric text NOT NULL,
    metric_version int NOT NULL,
    interval text NOT NULL,
    period date NOT NULL, -- first day of the period (retention: of the cohort); rolling: last day
    n int NOT NULL DEFAULT -1, -- retention: periods after the cohort's; histograms: bin; else -1
    value bigint,         -- null: suppressed
    low bigint,
    high bigint,
    reliability text NOT NULL CHECK (reliability IN ('exact', 'high', 'medium', 'low', 'suppressed')),
    leaf uuid NOT NULL REFERENCES release.release (leaf),
    PRIMARY KEY (app, metric, interval, period, n)
);

GRANT USAGE ON SCHEMA release TO throng_release, throng_read, throng_state;
GRANT SELECT ON release.progress TO throng_state; -- closed sums go once they are released
GRANT SELECT, INSERT, UPDATE ON release.progress TO throng_release;
GRANT SELECT, INSERT ON release.release, release.value TO throng_release;
GRANT SELECT ON ALL TABLES IN SCHEMA release TO throng_read;

RESET ROLE;
