-- What the person of a use was told of it on their phones, and what they said to that. question: its name there; nothing where
-- they had no phone. decided: yes, it was they; no, it was not. It is answered once that is on record.
ALTER TABLE emergency_uses ADD COLUMN question TEXT;
ALTER TABLE emergency_uses ADD COLUMN asked_from TEXT;
ALTER TABLE emergency_uses ADD COLUMN decided TEXT;
ALTER TABLE emergency_uses ADD COLUMN answered_at BIGINT;
CREATE UNIQUE INDEX emergency_uses_by_question ON emergency_uses (question);
