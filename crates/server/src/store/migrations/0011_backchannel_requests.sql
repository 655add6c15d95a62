-- Questions to people who sit elsewhere. state: waiting, approved, denied, redeemed.
CREATE TABLE backchannel_requests (
    auth_req_id  TEXT PRIMARY KEY,
    subject      TEXT NOT NULL,
    content      TEXT NOT NULL,
    state        TEXT NOT NULL,
    expires_at   BIGINT NOT NULL
);
CREATE INDEX backchannel_requests_by_subject ON backchannel_requests (subject, state);
CREATE INDEX backchannel_requests_by_expiry ON backchannel_requests (expires_at);
