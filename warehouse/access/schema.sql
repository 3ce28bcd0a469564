-- Which login sees which divisions. The views that readers see compare it with session_user, so that neither SET ROLE nor
-- a view of someone else shows more (``warehouse.access.divisions``). A login without a row sees rows for everyone only.
CREATE TABLE IF NOT EXISTS ops.login_division (
    login name PRIMARY KEY,
    divisions text[] NOT NULL,           -- beginnings of division codes (44, 4401, 440103); 100000: the whole country
    sees_country boolean NOT NULL GENERATED ALWAYS AS (divisions @> '{100000}') STORED
);

-- Logins that were made, changed and removed. Rows are only added.
CREATE TABLE IF NOT EXISTS ops.login_change (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    login name NOT NULL,
    change text NOT NULL CHECK (change IN ('added', 'changed', 'removed')),
    roles text[] NOT NULL,               -- that it has from then on
    divisions text[] NOT NULL,           -- that it sees from then on
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    by text NOT NULL
);
