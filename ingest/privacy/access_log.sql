-- The access log of the vault. It runs as the role vault_log, which owns everything here and cannot log in; the owner of
-- the warehouse and the roles of readers can only call the functions. Each statement can be run again.
CREATE TABLE IF NOT EXISTS audit.setting (name text PRIMARY KEY, value text NOT NULL);

CREATE TABLE IF NOT EXISTS audit.purpose (code text PRIMARY KEY, label_en text NOT NULL, label_zh text NOT NULL);

-- Rows are only added. Each has the hash of the row before it, so that a row that was removed or changed shows.
CREATE TABLE IF NOT EXISTS audit.entry (
    entry_id bigint PRIMARY KEY,         -- 1, 2, 3 … without a gap
    event text NOT NULL CHECK (event IN ('request', 'opening', 'share', 'limit', 'erasure')),
    at timestamptz NOT NULL,
    login text NOT NULL,                 -- session_user
    os_user text,                        -- as the program claims it
    client inet,                         -- null: the same machine, by a socket
    person_key uuid,
    case_number text,
    purpose text,
    note text,
    is_emergency boolean NOT NULL,
    request_id bigint UNIQUE,            -- of an opening: the request that it used up
    written_by xid8 NOT NULL,            -- the transaction
    previous bytea NOT NULL,             -- hash of the entry before; empty for the first
    hash bytea NOT NULL
);

-- In earlier versions there were fewer events.
ALTER TABLE audit.entry DROP CONSTRAINT IF EXISTS entry_event_check;
ALTER TABLE audit.entry ADD CONSTRAINT entry_event_check
CHECK (event IN ('request', 'opening', 'share', 'limit', 'erasure'));

CREATE INDEX IF NOT EXISTS entry_login ON audit.entry (login, event, at);

COMMENT ON SCHEMA audit IS 'The access log of the vault; rows are only added. 保密库访问日志，只增不改。';
COMMENT ON TABLE audit.entry IS
'Requests and openings of the vault, chained by hashes. 保密库的申请与开启记录，以散列值链接。';
COMMENT ON TABLE audit.purpose IS 'The purposes for which a person may be opened. 允许开启个人信息的用途。';
COMMENT ON TABLE audit.setting IS 'Version of this schema. 本模式的版本。';

-- Also the owner of the log and a superuser have to switch this off before they can change a row.
CREATE OR REPLACE FUNCTION audit.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'the access log is only added to' USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE OR REPLACE TRIGGER only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.entry
FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();

-- The hash of an entry: SHA-256 of the hash before it and of all its other columns as JSON.
CREATE OR REPLACE FUNCTION audit.digest(e audit.entry) RETURNS bytea
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT sha256(e.previous || convert_to(jsonb_build_array(
        e.entry_id, e.event, extract(epoch FROM e.at), e.login, e.os_user, host(e.client), e.person_key, e.case_number,
        e.purpose, e.note, e.is_emergency, e.request_id, e.written_by::text
    )::text, 'UTF8'))
$$;

-- Adds an entry; its time, login, client, transaction and hashes are set here. One writer at a time, until its commit.
CREATE OR REPLACE FUNCTION audit.append(e audit.entry) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    last record;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'open persons in a read committed transaction: an older snapshot may miss a record';
    END IF;
    LOCK TABLE audit.entry IN SHARE ROW EXCLUSIVE MODE;
    SELECT n.entry_id, n.hash INTO last FROM audit.entry AS n ORDER BY n.entry_id DESC LIMIT 1;
    e.entry_id := coalesce(last.entry_id, 0) + 1;
    e.previous := coalesce(last.hash, '');
    e.at := clock_timestamp();
    e.login := session_user;
    e.client := inet_client_addr();
    e.is_emergency := coalesce(e.is_emergency, false);
    e.written_by := pg_current_xact_id();
    e.hash := audit.digest(e);
    INSERT INTO audit.entry SELECT e.*;
    RETURN e.entry_id;
END
$$;

-- How many persons a login may open on a day: the last limit that the log has, else 50.
CREATE OR REPLACE FUNCTION audit.openings_per_day() RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((SELECT note::integer FROM audit.entry WHERE event = 'limit' ORDER BY entry_id DESC LIMIT 1), 50)
$$;

CREATE OR REPLACE FUNCTION audit.set_openings_per_day(openings integer, os_user text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    e audit.entry;
BEGIN
    IF openings IS NULL OR openings < 1 THEN
        RAISE EXCEPTION 'the limit of openings a day is a number above 0';
    END IF;
    LOCK TABLE audit.entry IN SHARE ROW EXCLUSIVE MODE;
    IF openings <> audit.openings_per_day() THEN
        e.event := 'limit';
        e.note := openings;
        e.os_user := os_user;
        PERFORM audit.append(e);
    END IF;
END
$$;

-- Raises an error where this login has as many of these events today (Asia/Shanghai) as it may have openings.
CREATE OR REPLACE FUNCTION audit.require_allowance(kind text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    allowed integer;
    used integer;
BEGIN
    LOCK TABLE audit.entry IN SHARE ROW EXCLUSIVE MODE;
    allowed := audit.openings_per_day();
    SELECT count(*) INTO used FROM audit.entry
    WHERE login = session_user AND event = kind AND NOT is_emergency
        AND at >= date_trunc('day', clock_timestamp() AT TIME ZONE 'Asia/Shanghai') AT TIME ZONE 'Asia/Shanghai';
    IF used >= allowed THEN
        RAISE EXCEPTION '% has opened % persons today, which is the limit: go on tomorrow, or open in an emergency',
            session_user, used USING ERRCODE = 'program_limit_exceeded';
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION audit.request(
    wanted uuid, case_number text, purpose text, note text, os_user text
) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    e audit.entry;
BEGIN
    IF wanted IS NULL THEN
        RAISE EXCEPTION 'name the person: a person_key';
    ELSIF case_number IS NULL OR case_number !~ '\S' THEN
        RAISE EXCEPTION 'name the case: its number is kept with the access';
    ELSIF NOT EXISTS (SELECT FROM audit.purpose AS p WHERE p.code = purpose) THEN
        RAISE EXCEPTION '% is no purpose for which a person may be opened; there are %',
            coalesce(quote_literal(purpose), 'none'), (SELECT string_agg(code, ', ' ORDER BY code) FROM audit.purpose);
    END IF;
    PERFORM audit.require_allowance('request');
    e.event := 'request';
    e.person_key := wanted;
    e.case_number := case_number;
    e.purpose := purpose;
    e.note := note;
    e.os_user := os_user;
    RETURN audit.append(e);
END
$$;

-- A request beyond the limit and without a case. Whoever watches the log is told.
CREATE OR REPLACE FUNCTION audit.request_in_emergency(wanted uuid, note text, os_user text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    e audit.entry;
BEGIN
    IF wanted IS NULL THEN
        RAISE EXCEPTION 'name the person: a person_key';
    ELSIF note IS NULL OR note !~ '\S' THEN
        RAISE EXCEPTION 'say why: the reason is kept with the access';
    END IF;
    e.event := 'request';
    e.is_emergency := true;
    e.person_key := wanted;
    e.note := note;
    e.os_user := os_user;
    RETURN audit.append(e);
END
$$;

-- Uses up a request and returns whom it is about.
CREATE OR REPLACE FUNCTION audit.open(asked bigint, os_user text) RETURNS uuid
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_request audit.entry;
    opened timestamptz;
    e audit.entry;
BEGIN
    LOCK TABLE audit.entry IN SHARE ROW EXCLUSIVE MODE;
    -- an entry of this transaction could still be rolled back
    SELECT * INTO found_request FROM audit.entry
    WHERE entry_id = asked AND event = 'request' AND login = session_user AND written_by <> pg_current_xact_id()
        AND at > clock_timestamp() - interval '1 minute';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'commit a request of your own first (vault.ask_for_person), then open within a minute';
    END IF;
    SELECT at INTO opened FROM audit.entry WHERE request_id = asked;
    IF FOUND THEN
        RAISE EXCEPTION 'request % was opened at %: each opens once', asked, opened;
    END IF;
    IF NOT found_request.is_emergency THEN
        PERFORM audit.require_allowance('opening');
    END IF;
    e.event := 'opening';
    e.person_key := found_request.person_key;
    e.case_number := found_request.case_number;
    e.purpose := found_request.purpose;
    e.is_emergency := found_request.is_emergency;
    e.request_id := asked;
    e.os_user := os_user;
    PERFORM audit.append(e);
    RETURN found_request.person_key;
END
$$;

-- The persons of an extract that names them: an entry each. No limit a day holds; the approval of the share is the case.
CREATE OR REPLACE FUNCTION audit.open_for_share(wanted uuid[], case_number text, note text, os_user text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    e audit.entry;
    person uuid;
    count bigint := 0;
BEGIN
    IF case_number IS NULL OR case_number !~ '\S' THEN
        RAISE EXCEPTION 'name the share and its approval';
    END IF;
    FOREACH person IN ARRAY wanted LOOP
        e.event := 'share';
        e.person_key := person;
        e.case_number := case_number;
        e.note := note;
        e.os_user := os_user;
        PERFORM audit.append(e);
        count := count + 1;
    END LOOP;
    RETURN count;
END
$$;

-- That a person was erased, on which ground; not whom.
CREATE OR REPLACE FUNCTION audit.erasure(case_number text, ground text, os_user text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    e audit.entry;
BEGIN
    IF case_number IS NULL OR case_number !~ '\S' THEN
        RAISE EXCEPTION 'name the case: its number is kept with the erasure';
    END IF;
    e.event := 'erasure';
    e.case_number := case_number;
    e.purpose := ground;
    e.os_user := os_user;
    RETURN audit.append(e);
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA audit FROM PUBLIC;
GRANT USAGE ON SCHEMA audit TO auditor;
GRANT SELECT ON audit.entry, audit.purpose TO auditor;
GRANT EXECUTE ON FUNCTION audit.digest TO auditor;
