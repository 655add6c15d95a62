-- Browsers in which people have shown more than a password. The digest is of what the browser's cookie says, for this one person:
-- two people at one browser have two rows with nothing in common. session: the last that began there.
CREATE TABLE known_browsers (
    id          TEXT PRIMARY KEY,
    user_name   TEXT NOT NULL,
    digest      TEXT NOT NULL,
    session     TEXT NOT NULL,
    agent       TEXT,
    since       BIGINT NOT NULL,
    seen_at     BIGINT NOT NULL,
    UNIQUE (user_name, digest)
);
CREATE INDEX known_browsers_by_sight ON known_browsers (seen_at);
-- Applications that people have let act in their name.
CREATE TABLE used_clients (
    user_name   TEXT NOT NULL,
    client_id   TEXT NOT NULL,
    used_at     BIGINT NOT NULL,
    PRIMARY KEY (user_name, client_id)
);
CREATE INDEX used_clients_by_use ON used_clients (used_at);
-- What they let act before there was this.
INSERT INTO used_clients (user_name, client_id, used_at)
    SELECT subject, client_id, MAX(created_at) FROM grants WHERE revoked_at IS NULL GROUP BY subject, client_id;
