-- Bulk exports that clients began and did not give up, until they expire.
CREATE TABLE exports (
    id          TEXT PRIMARY KEY,
    route       TEXT NOT NULL,
    client_id   TEXT NOT NULL,
    job         TEXT NOT NULL,
    -- 1 until it is known what came of it.
    running     BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX exports_by_client ON exports (client_id);
