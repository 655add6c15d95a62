-- Records of what was changed, kept in the transaction of the change until they are in the log.
CREATE TABLE outbox (
    id          TEXT PRIMARY KEY,
    -- How many records the log had by then.
    log_size    BIGINT NOT NULL,
    -- Sealed.
    records     BLOB NOT NULL,
    -- When it was found not to be ours.
    refused_at  BIGINT
);
