-- What was found in the log, until somebody has said what they make of it and beyond. What tells of patients, and the note,
-- are sealed.
CREATE TABLE watch_findings (
    id           TEXT PRIMARY KEY,
    rule         TEXT NOT NULL,
    at           BIGINT NOT NULL,
    -- Whose act it was, if anybody's who is known.
    subject      TEXT,
    finding      BLOB NOT NULL,
    closed_at    BIGINT,
    closed_by    TEXT,
    disposition  TEXT,
    note         BLOB
);
CREATE INDEX watch_findings_by_time ON watch_findings (closed_at, at);
-- Who has to be told of a finding, by each way that there is, and what came of it.
CREATE TABLE watch_notices (
    finding   TEXT NOT NULL,
    way       TEXT NOT NULL,
    attempts  BIGINT NOT NULL,
    due_at    BIGINT,
    told_at   BIGINT,
    failure   TEXT,
    PRIMARY KEY (finding, way)
);
CREATE INDEX watch_notices_by_due ON watch_notices (due_at);
-- What is known of people to compare it with what they do: their family name, their own record. Sealed.
CREATE TABLE watch_people (
    name   TEXT PRIMARY KEY,
    known  BLOB NOT NULL
);
