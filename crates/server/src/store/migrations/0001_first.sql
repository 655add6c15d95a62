-- Names that were ever given, to people and clients alike: never reused.
CREATE TABLE subjects (
    name        TEXT PRIMARY KEY,
    kind        TEXT NOT NULL CHECK (kind IN ('user', 'client')),
    created_at  BIGINT NOT NULL
);

CREATE TABLE users (
    name           TEXT PRIMARY KEY REFERENCES subjects (name),
    enabled        BIGINT NOT NULL,
    roles          TEXT NOT NULL,
    fhir_user      TEXT,
    email          TEXT,
    password_hash  TEXT,
    created_at     BIGINT NOT NULL
);

-- Consecutive failures by canonical name, whether or not it is somebody's.
CREATE TABLE login_failures (
    name     TEXT PRIMARY KEY,
    count    BIGINT NOT NULL,
    last_at  BIGINT NOT NULL
);

-- One-time links to set a password.
CREATE TABLE enrolments (
    digest      TEXT PRIMARY KEY,
    user_name   TEXT NOT NULL REFERENCES users (name),
    expires_at  BIGINT NOT NULL,
    used_at     BIGINT
);

CREATE TABLE clients (
    client_id      TEXT PRIMARY KEY REFERENCES subjects (name),
    settings       TEXT NOT NULL,
    secret_digest  TEXT,
    created_at     BIGINT NOT NULL,
    removed_at     BIGINT
);

CREATE TABLE sessions (
    id             TEXT PRIMARY KEY,
    cookie_digest  TEXT NOT NULL UNIQUE,
    subject        TEXT NOT NULL REFERENCES users (name),
    auth_time      BIGINT NOT NULL,
    last_seen      BIGINT NOT NULL,
    ended_at       BIGINT,
    amr            TEXT NOT NULL
);
CREATE INDEX sessions_by_subject ON sessions (subject);

-- Authorization requests that wait for their person.
CREATE TABLE pending_authorizations (
    digest          TEXT PRIMARY KEY,
    browser_digest  TEXT NOT NULL,
    request         TEXT NOT NULL,
    expires_at      BIGINT NOT NULL
);

CREATE TABLE consents (
    subject    TEXT NOT NULL REFERENCES users (name),
    client_id  TEXT NOT NULL REFERENCES clients (client_id),
    scope      TEXT NOT NULL,
    given_at   BIGINT NOT NULL,
    PRIMARY KEY (subject, client_id)
);

CREATE TABLE grants (
    id          TEXT PRIMARY KEY,
    client_id   TEXT NOT NULL,
    subject     TEXT NOT NULL,
    session     TEXT,
    content     TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    revoked_at  BIGINT
);
CREATE INDEX grants_by_subject ON grants (subject);
CREATE INDEX grants_by_session ON grants (session);

CREATE TABLE codes (
    digest       TEXT PRIMARY KEY,
    grant_id     TEXT NOT NULL,
    subject      TEXT NOT NULL,
    content      TEXT NOT NULL,
    expires_at   BIGINT NOT NULL,
    consumed_at  BIGINT
);

CREATE TABLE refresh_tokens (
    digest             TEXT PRIMARY KEY,
    grant_id           TEXT NOT NULL REFERENCES grants (id),
    client_id          TEXT NOT NULL,
    expires_at         BIGINT NOT NULL,
    consumed_at        BIGINT,
    revoked_at         BIGINT,
    successor          TEXT,
    access_token       TEXT NOT NULL,
    access_expires_at  BIGINT NOT NULL
);
CREATE INDEX refresh_tokens_by_grant ON refresh_tokens (grant_id);

CREATE INDEX codes_by_subject ON codes (subject);
CREATE INDEX codes_by_expiry ON codes (expires_at);
CREATE INDEX pending_by_expiry ON pending_authorizations (expires_at);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);

-- What is no longer believed. kind: subject, session, client, grant, key, token.
CREATE TABLE cut_offs (
    kind        TEXT NOT NULL,
    target      TEXT NOT NULL,
    at          BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (kind, target)
);

-- Client assertions that were used, until they expire.
CREATE TABLE used_assertions (
    client_id   TEXT NOT NULL,
    jti         TEXT NOT NULL,
    expires_at  BIGINT NOT NULL,
    PRIMARY KEY (client_id, jti)
);

CREATE TABLE signing_keys (
    kid          TEXT PRIMARY KEY,
    algorithm    TEXT NOT NULL,
    private_key  BLOB NOT NULL,
    created_at   BIGINT NOT NULL,
    active_at    BIGINT,
    retired_at   BIGINT
);

-- Who may see which patients.
CREATE TABLE care (
    subject   TEXT NOT NULL REFERENCES users (name),
    patient   TEXT NOT NULL,
    added_at  BIGINT NOT NULL,
    PRIMARY KEY (subject, patient)
);

-- The last signed checkpoint of the log: one row.
CREATE TABLE log_checkpoint (
    only_row  BIGINT PRIMARY KEY CHECK (only_row = 1),
    note      TEXT NOT NULL
);
