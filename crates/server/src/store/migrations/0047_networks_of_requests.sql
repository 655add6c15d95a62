-- From which network a request came that waits for its person: of one, so many wait at once.
ALTER TABLE pending_authorizations ADD COLUMN network TEXT NOT NULL DEFAULT '';
CREATE INDEX pending_by_network ON pending_authorizations (network, expires_at);
ALTER TABLE logout_requests ADD COLUMN network TEXT NOT NULL DEFAULT '';
CREATE INDEX logout_requests_by_network ON logout_requests (network, expires_at);
