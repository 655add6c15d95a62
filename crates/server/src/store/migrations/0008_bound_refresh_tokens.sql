-- What the access token beside a refresh token is bound to (`cnf`, as JSON).
ALTER TABLE refresh_tokens ADD COLUMN cnf TEXT;
