-- Requests to sign out that wait for their browser.
CREATE TABLE logout_requests (
    digest      TEXT PRIMARY KEY,
    request     TEXT NOT NULL,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX logout_requests_by_expiry ON logout_requests (expires_at);
