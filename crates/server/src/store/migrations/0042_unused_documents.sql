-- Of clients that say under their own address what they are, it is kept since when they are known and when they were first
-- found to have been used: what nobody uses goes. One whose document is no longer good has no times of it any more, and is no
-- client until it has them again.
CREATE TABLE client_documents_kept (
    client_id    TEXT PRIMARY KEY REFERENCES clients (client_id),
    fetched_at   BIGINT,
    fresh_until  BIGINT,
    added_at     BIGINT NOT NULL,
    used_at      BIGINT
);
INSERT INTO client_documents_kept
    SELECT clients.client_id, fetched_at, fresh_until, created_at,
        CASE WHEN clients.client_id IN (SELECT client_id FROM consents) THEN created_at END
    FROM clients LEFT JOIN client_documents ON client_documents.client_id = clients.client_id
    WHERE clients.client_id LIKE 'https://%' AND removed_at IS NULL;
DROP TABLE client_documents;
ALTER TABLE client_documents_kept RENAME TO client_documents;
CREATE INDEX client_documents_unused ON client_documents (added_at) WHERE used_at IS NULL;
CREATE INDEX consents_by_client ON consents (client_id);
