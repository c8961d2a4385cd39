-- What an operator wrote beside the numbers: a deployment, a campaign. Shown with charts; nothing is counted of it.
SET ROLE throng_owner;

CREATE TABLE config.annotation (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    app int NOT NULL REFERENCES config.app,
    day date NOT NULL,
    text text NOT NULL CHECK (char_length(text) BETWEEN 1 AND 200 AND text !~ '[[:cntrl:]]'),
    written_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX annotation_day ON config.annotation (app, day);
GRANT SELECT ON config.annotation TO throng_read;

RESET ROLE;
