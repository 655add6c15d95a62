-- Phones on which people answer what they are asked. What it takes to wake one is sealed for its row; without it, it is looked
-- at by itself.
CREATE TABLE phones (
    id             TEXT PRIMARY KEY,
    user_name      TEXT NOT NULL,
    label          TEXT NOT NULL,
    -- Of what the phone shows to be known again.
    digest         TEXT NOT NULL UNIQUE,
    subscription   BLOB,
    added_at       BIGINT NOT NULL,
    last_used_at   BIGINT
);
CREATE INDEX phones_by_user ON phones (user_name, added_at);
-- Sign-ins that wait for a yes on a phone, each with the half sign-in that it is for. The number that one screen shows and the
-- other asks for is sealed. state: waiting, approved, denied, failed, used.
CREATE TABLE sign_in_approvals (
    id           TEXT PRIMARY KEY,
    subject      TEXT NOT NULL,
    half         TEXT NOT NULL,
    number       BLOB NOT NULL,
    content      TEXT NOT NULL,
    state        TEXT NOT NULL,
    expires_at   BIGINT NOT NULL,
    -- Since when it is on record that nobody answered.
    lapsed_at    BIGINT
);
CREATE INDEX sign_in_approvals_by_subject ON sign_in_approvals (subject, state);
CREATE INDEX sign_in_approvals_by_half ON sign_in_approvals (half);
CREATE INDEX sign_in_approvals_by_expiry ON sign_in_approvals (expires_at);
ALTER TABLE backchannel_requests ADD COLUMN lapsed_at BIGINT;
-- The key of messages to phones, sealed. There is one: phones are subscribed with it.
CREATE TABLE vapid_key (
    only_row     BIGINT PRIMARY KEY,
    private_key  BLOB NOT NULL,
    made_at      BIGINT NOT NULL
);
