-- The tokens of a grant are looked for only while they were not used: an index of those alone stays small, where one of all
-- grew with every refresh. With it goes the reference, for which the index of all was kept: a token without its grant is worth
-- nothing, and is forgotten when it has expired.
CREATE TABLE refresh_tokens_kept (
    digest             TEXT PRIMARY KEY,
    grant_id           TEXT NOT NULL,
    client_id          TEXT NOT NULL,
    expires_at         BIGINT NOT NULL,
    consumed_at        BIGINT,
    revoked_at         BIGINT,
    successor          TEXT,
    access_token       TEXT NOT NULL,
    access_expires_at  BIGINT NOT NULL,
    cnf                TEXT
);
INSERT INTO refresh_tokens_kept
    SELECT digest, grant_id, client_id, expires_at, consumed_at, revoked_at, successor, access_token, access_expires_at, cnf
    FROM refresh_tokens;
DROP TABLE refresh_tokens;
ALTER TABLE refresh_tokens_kept RENAME TO refresh_tokens;
CREATE INDEX refresh_tokens_by_grant ON refresh_tokens (grant_id) WHERE consumed_at IS NULL;
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);
