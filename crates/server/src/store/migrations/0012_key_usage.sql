-- What a key is for: sig or enc.
ALTER TABLE keys ADD COLUMN usage TEXT NOT NULL DEFAULT 'sig';
