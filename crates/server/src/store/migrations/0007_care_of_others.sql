-- People whom a trusted issuer knows have patients in their care too, and no row among our users.
CREATE TABLE care_of_anybody (
    subject   TEXT NOT NULL,
    patient   TEXT NOT NULL,
    added_at  BIGINT NOT NULL,
    PRIMARY KEY (subject, patient)
);
INSERT INTO care_of_anybody (subject, patient, added_at) SELECT subject, patient, added_at FROM care;
DROP TABLE care;
ALTER TABLE care_of_anybody RENAME TO care;
