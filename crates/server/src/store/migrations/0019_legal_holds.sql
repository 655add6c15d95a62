-- While one is in force nothing of the log is ended. A reason names no patient.
CREATE TABLE legal_holds (
    id          TEXT PRIMARY KEY,
    reason      TEXT NOT NULL,
    placed_by   TEXT NOT NULL,
    placed_at   BIGINT NOT NULL,
    released_at BIGINT
);
