-- Whether it is on record what a yes was used up by: without that, that it was is. What was used before this is.
ALTER TABLE deeds ADD COLUMN used_on_record BIGINT NOT NULL DEFAULT 0;
UPDATE deeds SET used_on_record = 1 WHERE state = 'used';
-- The passkey that opened the way to what waits, if one did.
ALTER TABLE half_sign_ins ADD COLUMN passkey TEXT;
