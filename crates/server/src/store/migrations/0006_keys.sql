-- Keys whose public half outlives the private one. The installation makes new ones at its next start; tokens of the
-- old ones end with them.
DROP TABLE signing_keys;
CREATE TABLE keys (
    kid             TEXT PRIMARY KEY,
    algorithm       TEXT NOT NULL,
    public_key      TEXT NOT NULL,
    private_key     BLOB,
    published_at    BIGINT NOT NULL,
    active_at       BIGINT,
    retired_at      BIGINT,
    compromised_at  BIGINT
);
