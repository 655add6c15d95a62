-- A token that came of an exchange ends with the actor's token too, and with what that one names: its person, session and
-- grant, which for the subject's token are the new token's own.
CREATE TABLE exchanged_of (
    jti         TEXT NOT NULL,
    parent      TEXT NOT NULL,
    client_id   TEXT NOT NULL,
    kid         TEXT NOT NULL,
    subject     TEXT,
    session     TEXT,
    grant_id    TEXT,
    expires_at  BIGINT NOT NULL,
    PRIMARY KEY (jti, parent)
);
INSERT INTO exchanged_of (jti, parent, client_id, kid, expires_at)
    SELECT jti, parent, client_id, kid, expires_at FROM exchanged_tokens;
DROP TABLE exchanged_tokens;
ALTER TABLE exchanged_of RENAME TO exchanged_tokens;
CREATE INDEX exchanged_tokens_by_parent ON exchanged_tokens (parent);
CREATE INDEX exchanged_tokens_by_client ON exchanged_tokens (client_id);
CREATE INDEX exchanged_tokens_by_subject ON exchanged_tokens (subject);
CREATE INDEX exchanged_tokens_by_expiry ON exchanged_tokens (expires_at);
