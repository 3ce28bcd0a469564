-- What expectations found, of staged deliveries and of builds. Each statement is safe to run again.
CREATE TABLE IF NOT EXISTS ops.validation_result (
    delivery_name text,                  -- of a staged batch
    build text,                          -- of a build's figures
    arrival_id integer,
    suite text NOT NULL,
    expectation text NOT NULL,
    "column" text,
    severity text NOT NULL,
    success boolean NOT NULL,
    observed jsonb,
    run_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX IF NOT EXISTS validation_result_arrival ON ops.validation_result (arrival_id);
