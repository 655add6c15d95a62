-- Links by e-mail for people who lost their password, or what they show beside it. counter: the name that was typed, blinded,
-- whether or not it is anybody's; user_name: null where nothing is sent. lost: password, factors. due_at: when it is to be sent
-- next. digest: of the link, once it is on its way.
CREATE TABLE recoveries (
    id         TEXT PRIMARY KEY,
    counter    TEXT NOT NULL,
    user_name  TEXT,
    lost       TEXT NOT NULL,
    asked_at   BIGINT NOT NULL,
    due_at     BIGINT,
    attempts   BIGINT NOT NULL DEFAULT 0,
    digest     TEXT,
    used_at    BIGINT
);
CREATE INDEX recoveries_by_counter ON recoveries (counter);
CREATE INDEX recoveries_by_digest ON recoveries (digest);
CREATE INDEX recoveries_due ON recoveries (due_at);
-- What a half sign-in began with, where that was a link: alone, with-password.
ALTER TABLE half_sign_ins ADD COLUMN by_link TEXT;
