-- That this is a backup's copy: whoever is the first to run it ends all that it had issued, and says so. One row, which goes
-- with that. It lies in the file itself, so that it does not matter how the file came where it is.
CREATE TABLE backup_mark (
    only_row     BIGINT PRIMARY KEY CHECK (only_row = 1),
    -- When the backup was begun, and the record of the log that says so.
    made_at      BIGINT NOT NULL,
    begun        BIGINT NOT NULL,
    -- What `restore` knew besides, if that put it back: the digest of the backup's manifest, how many records of the log are
    -- in it, how many the log had at least, and who did it.
    backup       TEXT,
    size         BIGINT,
    known        BIGINT,
    restored_by  TEXT
);

ALTER TABLE restores RENAME TO restores_before;
CREATE TABLE restores (
    number       BIGINT PRIMARY KEY,
    made_at      BIGINT NOT NULL,
    begun        BIGINT NOT NULL,
    backup       TEXT,
    size         BIGINT,
    known        BIGINT,
    restored_by  TEXT,
    -- When it was first run: nothing that was issued up to then is believed, by whomever.
    restored_at  BIGINT NOT NULL,
    -- How much that ended.
    sessions     BIGINT NOT NULL,
    grants       BIGINT NOT NULL,
    keys         BIGINT NOT NULL,
    links        BIGINT NOT NULL,
    recorded_at  BIGINT,
    -- When an operator said that the holds on the log that were placed since the backup stand again.
    holds_at     BIGINT
);
INSERT INTO restores (number, made_at, begun, backup, size, known, restored_by, restored_at, sessions, grants, keys, links, recorded_at)
SELECT (SELECT COUNT(*) FROM restores_before AS earlier WHERE earlier.restored_at < r.restored_at), made_at, size, backup, size, known,
    restored_by, restored_at, 0, 0, 0, 0, recorded_at
FROM restores_before AS r;
DROP TABLE restores_before;
