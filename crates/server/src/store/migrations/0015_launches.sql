-- Launches that an EHR began, until their application comes with the handle.
CREATE TABLE launches (
    digest      TEXT PRIMARY KEY,
    client_id   TEXT NOT NULL,
    launch      TEXT NOT NULL,
    expires_at  BIGINT NOT NULL
);
