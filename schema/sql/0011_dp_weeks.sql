-- What one person's week adds to the numbers of sessions where it is bounded by the week: differentially private presets.
SET ROLE throng_owner;

ALTER TABLE state.person_period
    ADD engaged int NOT NULL DEFAULT 0,      -- of its sessions
    ADD first_ms bigint,                     -- the start of the first one; null: nobody asks for it
    ADD first_bin smallint,                  -- its duration's; of several that start at once the smallest
    ADD goal_bits bigint NOT NULL DEFAULT 0; -- bit i: a session reached goal i

RESET ROLE;
