-- Devices that wait for their person. The user code is gone once it was typed. state: waiting, approved, denied, redeemed.
CREATE TABLE device_authorizations (
    digest            TEXT PRIMARY KEY,
    user_code_digest  TEXT UNIQUE,
    content           TEXT NOT NULL,
    state             TEXT NOT NULL,
    expires_at        BIGINT NOT NULL
);
CREATE INDEX device_authorizations_by_expiry ON device_authorizations (expires_at);
-- Requests of the form before this one; their people begin again.
DELETE FROM pending_authorizations;
