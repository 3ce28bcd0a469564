-- The vault. Statements run one at a time; each can be run again.
CREATE SCHEMA IF NOT EXISTS vault;

-- Persons: vault.recent has a partition for each newly accepted delivery; vault.folded has the latest record of each
-- person of all deliveries before (``ingest.privacy.vault.compact``). In earlier versions there was one table, person.
DO $$
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = to_regclass('vault.person')) = 'r' THEN
        ALTER TABLE vault.person RENAME TO folded;
    END IF;
END
$$;

CREATE TABLE IF NOT EXISTS vault.folded (
    person_key uuid PRIMARY KEY,
    sealed bytea NOT NULL,               -- encrypted JSON {cert_type, certno, name, mobile, …}
    created timestamptz NOT NULL,        -- of the delivery that it comes from
    delivery_name text COLLATE "C" NOT NULL
);

CREATE TABLE IF NOT EXISTS vault.recent (
    delivery_id integer NOT NULL,
    place bigint NOT NULL,               -- position in its delivery; the last record of a person is used
    person_key uuid NOT NULL,
    sealed bytea NOT NULL
) PARTITION BY LIST (delivery_id);

-- IF NOT EXISTS would lock the table even if the index exists, and may deadlock with an acceptance that attaches to it.
DO $$
BEGIN
    IF to_regclass('vault.recent_person_key') IS NULL THEN
        CREATE INDEX recent_person_key ON vault.recent (person_key);
    END IF;
END
$$;

-- Texts of senders that did not land: free text, names of one-person businesses, keys that are identity numbers. The record
-- is encrypted JSON {column, text}, bound to the person, or to the row where it has none.
CREATE TABLE IF NOT EXISTS vault.text (
    delivery_id integer NOT NULL,
    file_no integer NOT NULL,
    line_number bigint NOT NULL,
    column_name text NOT NULL,           -- <landing table>.<column>
    person_key uuid,
    sealed bytea NOT NULL
) PARTITION BY LIST (delivery_id);

DO $$
BEGIN
    IF to_regclass('vault.text_person_key') IS NULL THEN
        CREATE INDEX text_person_key ON vault.text (person_key);
    END IF;
END
$$;

-- The record of each person from the latest delivery (created, name).
CREATE OR REPLACE VIEW vault.person AS
SELECT DISTINCT ON (p.person_key) p.person_key, p.sealed, p.created, p.delivery_name
FROM (
    SELECT person_key, sealed, created, delivery_name, 0::bigint AS place FROM vault.folded
    UNION ALL
    SELECT r.person_key, r.sealed, a.created, a.name, r.place
    FROM vault.recent AS r INNER JOIN ops.arrival AS a ON r.delivery_id = a.arrival_id
) AS p
ORDER BY p.person_key, p.created DESC, p.delivery_name DESC, p.place DESC;

-- The log is in the schema audit (access_log.sql). In earlier versions it was a table here, which is left as it was.
DO $$
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = to_regclass('vault.access')) = 'r' THEN
        ALTER TABLE vault.access RENAME TO access_before;
    END IF;
END
$$;

-- One row for each person who was asked for, by a case worker or for an extract, with the time of opening.
CREATE OR REPLACE VIEW vault.access AS
SELECT
    r.at, r.login AS who, r.person_key, r.note AS reason, r.entry_id AS access_id, r.case_number, r.purpose, r.os_user,
    r.client, r.is_emergency,
    CASE WHEN r.event = 'share' THEN r.at ELSE o.at END AS opened_at
FROM audit.entry AS r LEFT JOIN audit.entry AS o ON r.entry_id = o.request_id
WHERE r.event IN ('request', 'share');

-- The only access of a case worker to a person's identifiers, in two steps: the request is logged and committed, then the
-- record of that person can be read once, within a minute. The record is encrypted; reading it also needs the key.
DROP FUNCTION IF EXISTS vault.open_person(uuid, text);

DROP FUNCTION IF EXISTS vault.ask_for_person(uuid, text);

CREATE OR REPLACE FUNCTION vault.ask_for_person(
    wanted uuid, case_number text, purpose text, why text DEFAULT NULL, os_user text DEFAULT NULL
) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT audit.request(wanted, case_number, purpose, why, os_user) $$;

-- The same beyond the limit of a day and without a case; whoever watches the log is told.
CREATE OR REPLACE FUNCTION vault.ask_in_emergency(wanted uuid, why text, os_user text DEFAULT NULL) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT audit.request_in_emergency(wanted, why, os_user) $$;

DROP FUNCTION IF EXISTS vault.open_person(bigint);

CREATE OR REPLACE FUNCTION vault.open_person(asked bigint, os_user text DEFAULT NULL) RETURNS bytea
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted uuid := audit.open(asked, os_user);
BEGIN
    RETURN (SELECT sealed FROM vault.person WHERE person_key = wanted);
END
$$;

-- The texts about the person whom the same transaction has opened.
CREATE OR REPLACE FUNCTION vault.open_texts(asked bigint) RETURNS SETOF bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.sealed FROM audit.entry AS e INNER JOIN vault.text AS t ON e.person_key = t.person_key
    WHERE e.request_id = asked AND e.event = 'opening' AND e.login = session_user
        AND e.written_by = pg_current_xact_id()
    ORDER BY t.delivery_id, t.file_no, t.line_number
$$;

REVOKE ALL ON FUNCTION vault.ask_for_person, vault.ask_in_emergency, vault.open_person, vault.open_texts FROM PUBLIC;
