-- Changes to how somebody signs in are told by e-mail too. Those that were made before this are not told now.
ALTER TABLE factor_changes ADD COLUMN due_at BIGINT;
ALTER TABLE factor_changes ADD COLUMN attempts BIGINT NOT NULL DEFAULT 0;
CREATE INDEX factor_changes_by_due ON factor_changes (due_at) WHERE due_at IS NOT NULL;
