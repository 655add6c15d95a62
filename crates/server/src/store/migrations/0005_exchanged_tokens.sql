-- Access tokens that came of others by exchange: what cuts the one by its name, client or key cuts the other.
CREATE TABLE exchanged_tokens (
    jti         TEXT PRIMARY KEY,
    parent      TEXT NOT NULL,
    client_id   TEXT NOT NULL,
    kid         TEXT NOT NULL,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX exchanged_tokens_by_parent ON exchanged_tokens (parent);
CREATE INDEX exchanged_tokens_by_client ON exchanged_tokens (client_id);
CREATE INDEX exchanged_tokens_by_expiry ON exchanged_tokens (expires_at);
