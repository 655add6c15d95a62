-- Passkeys: public keys, as their authenticators wrote them (COSE). Nothing here is secret.
CREATE TABLE passkeys (
    id               TEXT PRIMARY KEY,
    -- As the authenticator names it, in base64url.
    credential_id    TEXT NOT NULL UNIQUE,
    user_name        TEXT NOT NULL,
    label            TEXT NOT NULL,
    public_key       BLOB NOT NULL,
    -- How often it had signed when it was last used; zero where nobody counts.
    sign_count       BIGINT NOT NULL,
    -- Whether it may be on several devices, which never changes, and whether it is backed up.
    backup_eligible  BIGINT NOT NULL,
    backed_up        BIGINT NOT NULL,
    -- By which ways its authenticator can be reached, as it said: JSON. A hint for browsers.
    transports       TEXT NOT NULL,
    added_at         BIGINT NOT NULL,
    last_used_at     BIGINT,
    -- Since when it is good for nothing, because its counter went back.
    suspected_at     BIGINT
);
CREATE INDEX passkeys_by_user ON passkeys (user_name, added_at);
-- Challenges that were signed. They say themselves when they end; until then this says that they are used up.
CREATE TABLE used_challenges (
    digest      TEXT PRIMARY KEY,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX used_challenges_by_expiry ON used_challenges (expires_at);
