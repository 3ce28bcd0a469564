-- Shares: declarations, their states and steps, who read them, what was written. Each statement may be run again.
CREATE TABLE IF NOT EXISTS ops.share (
    name text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    recipient text,
    uscc text,
    purpose text,                        -- code of share_purpose
    basis jsonb,
    attribute text,                      -- unconditional, conditional
    resource text,                       -- the published view: schema.relation
    columns text[],
    rows jsonb,                          -- the filters, as declared
    persons text,                        -- none, pseudonym, identified
    valid_from date,
    valid_until date,                    -- both days included, Asia/Shanghai
    serve jsonb,
    file_hash text NOT NULL,             -- SHA-256 of the declaration
    state text NOT NULL CHECK (
        state IN ('declared', 'approved', 'open', 'expired', 'refused', 'revoked', 'changed')
    ),
    codes text[] NOT NULL DEFAULT '{}',  -- S_ codes of the last check
    admdvs text,                         -- of the recipient
    declaration jsonb,                   -- the whole declaration
    PRIMARY KEY (name, version)
);

-- No two versions of a share are served at the same time.
CREATE UNIQUE INDEX IF NOT EXISTS share_open ON ops.share (name) WHERE state = 'open';

-- What happened to a share. Rows are only added.
CREATE TABLE IF NOT EXISTS ops.share_step (
    step_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    step text NOT NULL CHECK (
        step IN ('declared', 'approved', 'opened', 'published', 'written', 'expired', 'revoked', 'changed', 'refused')
    ),
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    by text NOT NULL,
    document text,                       -- of an approval
    detail jsonb NOT NULL DEFAULT '{}'
);

CREATE INDEX IF NOT EXISTS share_step_share ON ops.share_step (name, version);

-- The logins of a share: roles of the database. They are never dropped; an ended one may no longer log in.
CREATE TABLE IF NOT EXISTS ops.share_login (
    login text PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    version integer NOT NULL,            -- that it was made for
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by text NOT NULL,
    ended_at timestamptz
);

-- The view of a share chooses its rows itself, so its logins see the whole country of the relation behind it.
INSERT INTO ops.login_division (login, divisions)
SELECT login, '{100000}' FROM ops.share_login WHERE ended_at IS NULL
ON CONFLICT (login) DO NOTHING;

-- Who read a share: once a login and day.
CREATE TABLE IF NOT EXISTS ops.share_access (
    name text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    login text NOT NULL,
    day date NOT NULL,                   -- Asia/Shanghai
    client inet,
    PRIMARY KEY (name, version, login, day)
);

CREATE TABLE IF NOT EXISTS ops.share_extract (
    name text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    publication integer NOT NULL,
    path text NOT NULL,                  -- folder below the outbox
    rows bigint NOT NULL,
    persons bigint NOT NULL,             -- distinct persons; 0 where the resource has none
    bytes bigint NOT NULL,               -- of the data file
    sha256 text NOT NULL,
    sm3 text NOT NULL,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    fetched_at timestamptz,
    removed_at timestamptz,
    PRIMARY KEY (name, version, publication)
);

-- Whose rows an extract has, so that a person's data can be called back.
CREATE TABLE IF NOT EXISTS ops.share_extract_person (
    name text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    publication integer NOT NULL,
    person_key uuid NOT NULL,
    PRIMARY KEY (person_key, name, version, publication)
);

-- The rows of marts with suppressed cells as shares show them: a month stays as it was given out until the next revision.
CREATE TABLE IF NOT EXISTS ops.share_release (
    resource text NOT NULL,
    month date NOT NULL,                 -- first day; of a yearly mart the first day of the year
    publication integer NOT NULL,        -- that the month was taken from
    replaced_by integer,                 -- the revision that put other rows in their place; null: these are shown
    content jsonb NOT NULL               -- the whole row
);

CREATE INDEX IF NOT EXISTS share_release_shown ON ops.share_release (resource, month) WHERE replaced_by IS NULL;

-- The publications that replaced all months of the shares.
CREATE TABLE IF NOT EXISTS ops.share_revision (
    due date PRIMARY KEY,                -- the day of the calendar from which a revision was due
    publication integer NOT NULL
);

-- Notices of shares that end soon, each given once.
CREATE TABLE IF NOT EXISTS ops.share_notice (
    name text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    days integer NOT NULL,               -- before the end
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, version, days)
);

-- What a publication consists of, from dbt's manifest: the lineage and the columns of each published relation.
CREATE TABLE IF NOT EXISTS ops.publication_relation (
    publication_id integer NOT NULL,
    relation text NOT NULL,              -- schema.name
    description text NOT NULL,
    sources text[] NOT NULL,             -- sources of deliveries that it draws on, directly or not
    feeds text[] NOT NULL,               -- the same, as source.feed
    upstream text[] NOT NULL,            -- published relations that it draws on
    keys text[] NOT NULL,                -- its key columns
    columns jsonb NOT NULL,              -- [{name, type, description, classification}] in order
    PRIMARY KEY (publication_id, relation)
);

-- What the catalogue says of each relation of a publication. Which of them it shows follows from declarations: see the view.
CREATE TABLE IF NOT EXISTS ops.catalogue_resource (
    publication_id integer NOT NULL,
    resource text NOT NULL,
    identifier text NOT NULL,
    label_zh text NOT NULL,
    label_en text NOT NULL,
    description text NOT NULL,           -- in both languages
    subject_areas text[] NOT NULL,       -- the sources that it draws on
    subject_labels text[] NOT NULL,      -- their Chinese titles
    provider_name text NOT NULL,
    provider_code text NOT NULL,
    formats text[] NOT NULL,
    is_offered boolean NOT NULL,         -- named by the seed share_resource
    attribute text,                      -- none: never shared; unconditional, conditional: offered so; null: as declared
    purposes text[] NOT NULL,            -- that it may serve
    basis_kinds text[] NOT NULL,
    serve text[] NOT NULL,               -- view, extract
    is_open boolean NOT NULL,
    frequency text,                      -- ISO 8601 duration
    sources text[] NOT NULL,             -- published relations upstream
    classification text NOT NULL,        -- the highest class of its columns
    PRIMARY KEY (publication_id, resource)
);

-- The catalogue: the resources of the current publication that the seed or a declaration names.
CREATE OR REPLACE VIEW ops.share_catalogue AS
SELECT
    c.resource, c.identifier, c.label_zh, c.label_en, c.description, split_part(c.resource, '.', 1) AS schema_name,
    c.subject_areas, c.subject_labels, c.provider_name, c.provider_code, c.formats,
    coalesce(c.attribute, d.attribute, 'conditional') AS access,
    c.purposes, c.basis_kinds, c.serve, c.is_open, c.frequency, p.published_at, c.sources, c.classification,
    coalesce(d.open_shares, 0) AS open_shares, p.publication_id AS publication
FROM ops.catalogue_resource AS c
INNER JOIN ops.publication AS p ON c.publication_id = p.publication_id AND p.is_current
LEFT JOIN (
    SELECT
        resource,
        -- the strictest that is declared; one that was refused says nothing
        min(attribute) FILTER (WHERE state <> 'refused') AS attribute,
        count(*) FILTER (WHERE state = 'open')::integer AS open_shares
    FROM ops.share GROUP BY resource
) AS d ON c.resource = d.resource
WHERE c.is_offered OR d.resource IS NOT NULL;

-- The columns of the resources in the catalogue.
CREATE OR REPLACE VIEW ops.share_catalogue_item AS
SELECT
    c.resource, i.position::integer AS position, i.name AS column_name, i.title AS label, i.type AS data_type, i.unit,
    i.code_list, i.classification, i.description
FROM ops.share_catalogue AS c
INNER JOIN ops.publication_relation AS r ON c.publication = r.publication_id AND c.resource = r.relation
CROSS JOIN LATERAL ROWS FROM (
    jsonb_to_recordset(r.columns) AS (
        name text, type text, title text, description text, classification text, code_list text, unit text
    )
) WITH ORDINALITY AS i (name, type, title, description, classification, code_list, unit, position);

CREATE SCHEMA IF NOT EXISTS share;

-- Notes that a login read a share today. Where another session of the login is just noting it, its insert would be waited
-- for: given up after a moment, so that nobody waits.
CREATE OR REPLACE FUNCTION share.note_access(share_name text, share_version integer, today date) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '10ms'
AS $$
BEGIN
    IF current_setting('transaction_read_only')::boolean OR EXISTS (
        SELECT FROM ops.share_access
        WHERE name = share_name AND version = share_version AND login = session_user AND day = today
    ) THEN
        RETURN;
    END IF;
    INSERT INTO ops.share_access (name, version, login, day, client)
    VALUES (share_name, share_version, session_user, today, inet_client_addr())
    ON CONFLICT DO NOTHING;
EXCEPTION WHEN lock_not_available THEN
    RETURN;
END
$$;

-- Whether a share is open today. An ended share raises its code, so that its reader sees why instead of no rows.
CREATE OR REPLACE FUNCTION share.gate(share_name text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    today date := (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date;
    found_share record;
    reason text;
BEGIN
    SELECT version, state, codes, valid_from, valid_until INTO found_share FROM ops.share
    WHERE name = share_name
    -- the version that is served, else the one that was
    ORDER BY state = 'open' DESC, state NOT IN ('declared', 'approved') DESC, version DESC LIMIT 1;
    reason := CASE
        WHEN NOT FOUND THEN 'S_APPROVAL: there is no share ' || share_name
        WHEN found_share.state = 'revoked' THEN concat('S_REVOKED: the share ', share_name, ' was revoked on ', (
            SELECT (max(at) AT TIME ZONE 'Asia/Shanghai')::date FROM ops.share_step
            WHERE name = share_name AND version = found_share.version AND step = 'revoked'
        ))
        WHEN found_share.state = 'expired' OR today > found_share.valid_until
            THEN 'S_EXPIRED: the share ' || share_name || ' ended on ' || found_share.valid_until
        WHEN found_share.state = 'changed'
            THEN 'S_CHANGED: the declaration of the share ' || share_name || ' is not the one that was approved'
        WHEN found_share.state = 'refused'
            THEN array_to_string(found_share.codes, ' ') || ': the share ' || share_name || ' is refused'
        WHEN found_share.state <> 'open' THEN 'S_APPROVAL: the share ' || share_name || ' is not open'
        WHEN today < found_share.valid_from
            THEN 'S_VALID: the share ' || share_name || ' begins on ' || found_share.valid_from
    END;
    IF reason IS NOT NULL THEN
        RAISE EXCEPTION '%', reason USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM share.note_access(share_name, found_share.version, today);
    RETURN true;
END
$$;

REVOKE ALL ON FUNCTION share.note_access, share.gate FROM PUBLIC;
