-- What people show beside their password. The secret is sealed for its row. A step of time is good once: the last one that was
-- used is remembered.
CREATE TABLE second_factors (
    id            TEXT PRIMARY KEY,
    user_name     TEXT NOT NULL,
    kind          TEXT NOT NULL,
    label         TEXT NOT NULL,
    secret        BLOB NOT NULL,
    last_step     BIGINT NOT NULL,
    added_at      BIGINT NOT NULL,
    last_used_at  BIGINT
);
CREATE INDEX second_factors_by_user ON second_factors (user_name, added_at);
-- Codes for when they cannot. Digests; a row that was used stays, to be counted.
CREATE TABLE recovery_codes (
    digest     TEXT PRIMARY KEY,
    user_name  TEXT NOT NULL,
    made_at    BIGINT NOT NULL,
    used_at    BIGINT
);
CREATE INDEX recovery_codes_by_user ON recovery_codes (user_name);
-- Sign-ins of which the password is done and the second factor is not, or has to be enrolled first. They are no sessions: all
-- that they can become is one.
CREATE TABLE half_sign_ins (
    digest      TEXT PRIMARY KEY,
    browser     TEXT NOT NULL,
    user_name   TEXT NOT NULL,
    stage       TEXT NOT NULL,
    -- The secret that is offered, sealed; where one is to be enrolled.
    offered     BLOB,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX half_sign_ins_by_user ON half_sign_ins (user_name);
CREATE INDEX half_sign_ins_by_expiry ON half_sign_ins (expires_at);
-- What people are told of changes to how they sign in.
CREATE TABLE factor_changes (
    user_name  TEXT NOT NULL,
    at         BIGINT NOT NULL,
    change     TEXT NOT NULL
);
CREATE INDEX factor_changes_by_user ON factor_changes (user_name, at);
