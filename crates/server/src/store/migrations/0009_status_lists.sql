-- Lists in which anybody can look up whether a token was revoked, and the tokens that have a place in them.
CREATE TABLE status_lists (
    id          TEXT PRIMARY KEY,
    used        BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    over_at     BIGINT NOT NULL
);
CREATE TABLE status_list_tokens (
    list       TEXT NOT NULL REFERENCES status_lists (id),
    idx        BIGINT NOT NULL,
    subject    TEXT NOT NULL,
    session    TEXT,
    client_id  TEXT NOT NULL,
    grant_id   TEXT,
    kid        TEXT NOT NULL,
    jti        TEXT NOT NULL,
    issued_at  BIGINT NOT NULL,
    PRIMARY KEY (list, idx)
);
