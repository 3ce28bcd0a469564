-- What is told, once a channel: waiting, sent, or given up. Each statement may be run again.
CREATE TABLE IF NOT EXISTS ops.notification (
    notification_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel text NOT NULL,               -- name of a channel of WAREHOUSE_NOTIFY
    kind text NOT NULL,
    key text NOT NULL,                   -- what it is about; the same thing is told once
    zh text NOT NULL,
    en text NOT NULL,
    details text[] NOT NULL DEFAULT '{}',   -- names and figures, the same in both languages
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts integer NOT NULL DEFAULT 0,
    claimed_at timestamptz,              -- a process is sending it
    error text,                          -- why the last attempt failed
    sent_at timestamptz,
    UNIQUE (channel, kind, key)
);

ALTER TABLE ops.notification DROP CONSTRAINT IF EXISTS notification_kind_check;

ALTER TABLE ops.notification ADD CONSTRAINT notification_kind_check CHECK (
    kind IN ('refused', 'missing', 'failed', 'published', 'share', 'deadline', 'vault', 'set_aside')
);

CREATE INDEX IF NOT EXISTS notification_waiting ON ops.notification (channel) WHERE sent_at IS NULL;
