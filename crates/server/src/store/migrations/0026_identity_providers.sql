-- Whose account at an identity provider is whose here. By issuer and subject alone; nothing else that a provider says names anybody.
CREATE TABLE provider_links (
    issuer        TEXT NOT NULL,
    subject       TEXT NOT NULL,
    user_name     TEXT NOT NULL,
    linked_at     BIGINT NOT NULL,
    last_used_at  BIGINT,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX provider_links_by_user ON provider_links (user_name, linked_at);
-- Sign-ins that went to a provider and have not come back. Digests, each for one browser and good once.
CREATE TABLE provider_sign_ins (
    digest      TEXT PRIMARY KEY,
    browser     TEXT NOT NULL,
    issuer      TEXT NOT NULL,
    -- Whether two factors were asked for there.
    two_factors BIGINT NOT NULL,
    -- What the person goes on with: the name and value of a hidden field of our forms.
    then_name   TEXT,
    then_value  TEXT,
    -- The digest of the one-time link that the account is to be linked by.
    enrolment   TEXT,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX provider_sign_ins_by_expiry ON provider_sign_ins (expires_at);
