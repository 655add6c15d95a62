-- A question is put once it is on record that it was asked, and answered once what was decided is: until then nobody sees it, and
-- nobody decides it again. decided: yes, no.
ALTER TABLE sign_in_approvals ADD COLUMN put BIGINT NOT NULL DEFAULT 1;
ALTER TABLE sign_in_approvals ADD COLUMN decided TEXT;
ALTER TABLE backchannel_requests ADD COLUMN put BIGINT NOT NULL DEFAULT 1;
ALTER TABLE backchannel_requests ADD COLUMN decided TEXT;
