-- Initial access tokens: who has one may register clients, so many, and within this policy.
CREATE TABLE invitations (
    id            TEXT PRIMARY KEY,
    digest        TEXT NOT NULL UNIQUE,
    policy        TEXT NOT NULL,
    uses          BIGINT NOT NULL,
    used          BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    withdrawn_at  BIGINT
);

-- Clients that registered themselves by a request: the digest of what they manage their registration with, the invitation
-- that they had, if any, and what they say of themselves that nothing hangs on.
CREATE TABLE registrations (
    client_id     TEXT PRIMARY KEY REFERENCES clients (client_id),
    token_digest  TEXT NOT NULL,
    invitation    TEXT REFERENCES invitations (id),
    about         TEXT NOT NULL,
    created_at    BIGINT NOT NULL,
    changed_at    BIGINT NOT NULL,
    used_at       BIGINT
);
CREATE INDEX registrations_unused ON registrations (created_at) WHERE used_at IS NULL;
CREATE INDEX grants_by_client ON grants (client_id);
