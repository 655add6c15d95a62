-- Authorization requests that clients pushed and that wait for their browser.
CREATE TABLE pushed_requests (
    digest      TEXT PRIMARY KEY,
    client_id   TEXT NOT NULL,
    request     TEXT NOT NULL,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX pushed_requests_by_expiry ON pushed_requests (expires_at);
