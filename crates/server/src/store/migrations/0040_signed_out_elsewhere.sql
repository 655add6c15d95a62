-- What a provider calls the session there with which a session here began, and its ID token, sealed, to sign out there with.
ALTER TABLE sessions ADD COLUMN provider_sid TEXT;
ALTER TABLE sessions ADD COLUMN provider_id_token BLOB;
-- The provider at which this browser is signed in though it vouches for this session no more: somebody showed more here since.
ALTER TABLE sessions ADD COLUMN open_at TEXT;
CREATE INDEX sessions_by_provider ON sessions (issuer, provider_sid) WHERE issuer IS NOT NULL;
ALTER TABLE half_sign_ins ADD COLUMN provider_sid TEXT;
ALTER TABLE half_sign_ins ADD COLUMN provider_id_token BLOB;
-- When that ID token was asked for: what was signed out of there since does not begin here any more.
ALTER TABLE half_sign_ins ADD COLUMN provider_asked_at BIGINT;
-- Half sign-ins live for ten minutes: those that do not know it begin again.
DELETE FROM half_sign_ins WHERE provider IS NOT NULL;
-- What providers said of people who signed out there: each token once.
CREATE TABLE provider_logouts (
    issuer     TEXT NOT NULL,
    jti        TEXT NOT NULL,
    -- The session there, where it was one; the person, where that was said.
    sid        TEXT,
    subject    TEXT,
    heard_at   BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, jti)
);
CREATE INDEX provider_logouts_by_expiry ON provider_logouts (expires_at);
-- Browsers that were sent to a provider to sign out there: where they go on. Digests, each for one browser and good once.
CREATE TABLE provider_sign_outs (
    digest     TEXT PRIMARY KEY,
    browser    TEXT NOT NULL,
    issuer     TEXT NOT NULL,
    target     TEXT,
    expires_at BIGINT NOT NULL
);
CREATE INDEX provider_sign_outs_by_expiry ON provider_sign_outs (expires_at);
