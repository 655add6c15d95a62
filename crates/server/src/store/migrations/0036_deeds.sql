-- What somebody may do once another has said yes to it. deed: the digest of who wants to do exactly what. state: waiting,
-- approved, denied, used. decided: yes, no; by whom, and answered once that is on record.
CREATE TABLE deeds (
    id            TEXT PRIMARY KEY,
    asker         TEXT NOT NULL,
    deed          TEXT NOT NULL,
    content       TEXT NOT NULL,
    state         TEXT NOT NULL,
    put           BIGINT NOT NULL,
    decided       TEXT,
    decided_by    TEXT,
    expires_at    BIGINT NOT NULL,
    usable_until  BIGINT NOT NULL,
    -- Since when it is on record that nothing came of it.
    lapsed_at     BIGINT
);
CREATE INDEX deeds_by_asker ON deeds (asker);
CREATE INDEX deeds_by_deed ON deeds (deed);
CREATE INDEX deeds_by_state ON deeds (state, expires_at);
