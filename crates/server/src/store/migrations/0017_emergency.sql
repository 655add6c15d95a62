-- Emergency access: each use, until it is reviewed and beyond. Reason in words and note are sealed.
CREATE TABLE emergency_uses (
    id           TEXT PRIMARY KEY,
    subject      TEXT NOT NULL,
    client_id    TEXT NOT NULL,
    patient      TEXT NOT NULL,
    reason       TEXT NOT NULL,
    explanation  BLOB NOT NULL,
    grant_id     TEXT NOT NULL,
    session      TEXT NOT NULL,
    began_at     BIGINT NOT NULL,
    until_at     BIGINT NOT NULL,
    ended_at     BIGINT,
    reviewed_at  BIGINT,
    reviewed_by  TEXT,
    disposition  TEXT,
    note         BLOB
);
CREATE INDEX emergency_uses_by_subject ON emergency_uses (subject, reviewed_at);
CREATE INDEX emergency_uses_by_time ON emergency_uses (began_at);
-- Who has to be told of a use, by each way that there is, and what came of it.
CREATE TABLE emergency_notices (
    use_id    TEXT NOT NULL,
    way       TEXT NOT NULL,
    attempts  BIGINT NOT NULL,
    due_at    BIGINT,
    told_at   BIGINT,
    failure   TEXT,
    PRIMARY KEY (use_id, way)
);
CREATE INDEX emergency_notices_by_due ON emergency_notices (due_at);
