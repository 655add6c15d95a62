-- What somebody signed in with, in words of ours, so that they know their sessions apart.
ALTER TABLE sessions ADD COLUMN agent TEXT;
