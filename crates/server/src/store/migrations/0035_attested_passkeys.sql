-- What the maker of an authenticator attested when a passkey was made: the model that keeps it, and the root that vouched for
-- it, by its digest and by what it calls itself. All three or none.
ALTER TABLE passkeys ADD COLUMN attested_model TEXT;
ALTER TABLE passkeys ADD COLUMN attested_root TEXT;
ALTER TABLE passkeys ADD COLUMN attested_by TEXT;
-- Whether what came first of a half sign-in was a passkey, and no password.
ALTER TABLE half_sign_ins ADD COLUMN by_passkey BIGINT NOT NULL DEFAULT 0;
