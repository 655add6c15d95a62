-- When somebody was shut out last: disabled, or given another password or factors by whoever helps them. A trusted issuer's word
-- for them from before is none, also when the cut-off is forgotten.
ALTER TABLE users ADD COLUMN shut_out_at BIGINT;
UPDATE users SET shut_out_at = (SELECT at FROM cut_offs WHERE kind = 'subject' AND target = users.name);
