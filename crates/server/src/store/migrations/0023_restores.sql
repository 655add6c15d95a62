-- That this store was restored from a backup: what was issued before is at an end, by whomever, and the log says so before
-- anything is served.
CREATE TABLE restores (
    -- The digest of the backup's manifest.
    backup       TEXT NOT NULL,
    -- When the backup was begun, and how many records of the log are in it.
    made_at      BIGINT NOT NULL,
    size         BIGINT NOT NULL,
    -- How many the log had at least, as far as whoever restored it knew.
    known        BIGINT,
    restored_by  TEXT NOT NULL,
    restored_at  BIGINT NOT NULL,
    recorded_at  BIGINT,
    PRIMARY KEY (backup, restored_at)
);
