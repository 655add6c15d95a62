-- When a finding came into the queue: one of what was done long ago has not waited since then.
ALTER TABLE watch_findings ADD COLUMN kept_at BIGINT;
UPDATE watch_findings SET kept_at = at;
