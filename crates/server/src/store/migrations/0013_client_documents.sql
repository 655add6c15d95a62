-- Clients that say under their own address what they are: when they last said it, and until when that is enough. One whose
-- document is no longer good has no row, and is no client until it has one again.
CREATE TABLE client_documents (
    client_id    TEXT PRIMARY KEY REFERENCES clients (client_id),
    fetched_at   BIGINT NOT NULL,
    fresh_until  BIGINT NOT NULL
);
