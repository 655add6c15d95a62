-- Where a row of the care table comes from: the same may come from several sources, and each takes back its own alone.
CREATE TABLE care_by_source (
    subject   TEXT NOT NULL,
    patient   TEXT NOT NULL,
    source    TEXT NOT NULL,
    added_at  BIGINT NOT NULL,
    PRIMARY KEY (subject, patient, source)
);
INSERT INTO care_by_source (subject, patient, source, added_at)
    SELECT subject, patient, 'command', added_at FROM care;
DROP TABLE care;
ALTER TABLE care_by_source RENAME TO care;
CREATE INDEX care_of_source ON care (source);
