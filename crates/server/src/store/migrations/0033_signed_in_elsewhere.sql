-- With which provider's word a session began, by its issuer, and whether that said when its person had signed in there.
ALTER TABLE sessions ADD COLUMN issuer TEXT;
ALTER TABLE sessions ADD COLUMN auth_time_said BIGINT NOT NULL DEFAULT 1;
-- Half sign-ins live for ten minutes: those that do not know it begin again.
DELETE FROM half_sign_ins WHERE provider IS NOT NULL;
ALTER TABLE half_sign_ins ADD COLUMN issuer TEXT;
ALTER TABLE half_sign_ins ADD COLUMN auth_time_said BIGINT NOT NULL DEFAULT 1;
