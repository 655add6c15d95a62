-- How far each tool of others has had the log.
CREATE TABLE audit_exports (
    name  TEXT PRIMARY KEY,
    -- The verifier key of the log that it is of.
    log   TEXT NOT NULL,
    -- The first record that it has not had.
    next  BIGINT NOT NULL,
    -- The checkpoint under which the last of those was read that it has had.
    size  BIGINT NOT NULL,
    root  TEXT NOT NULL
);
