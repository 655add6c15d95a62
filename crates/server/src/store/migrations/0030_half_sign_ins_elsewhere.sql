-- A sign-in may begin at an identity provider: which, and when somebody showed there who they are.
ALTER TABLE half_sign_ins ADD COLUMN provider TEXT;
ALTER TABLE half_sign_ins ADD COLUMN auth_time BIGINT;
