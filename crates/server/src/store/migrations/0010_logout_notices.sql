-- Clients that have to be told that a session ended, until they were.
CREATE TABLE logout_notices (
    client_id   TEXT NOT NULL,
    session     TEXT NOT NULL,
    subject     TEXT NOT NULL,
    attempts    BIGINT NOT NULL,
    due_at      BIGINT NOT NULL,
    PRIMARY KEY (client_id, session)
);
CREATE INDEX logout_notices_by_due ON logout_notices (due_at);
