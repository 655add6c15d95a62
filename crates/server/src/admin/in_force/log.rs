//! The log: where it goes on to, who cosigns it, and whether they have it.

use chartgate_values::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::{Administrator, CommandError};
use crate::config::{Config, Durability, Receiver};
use crate::witnesses::WitnessInForce;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Log {
    pub(crate) records: u64,
    pub(crate) is_synced: bool,
    pub(crate) retention: u64,
    pub(crate) holds: usize,
    pub(crate) exports: Vec<ExportInForce>,
    pub(crate) witnesses: Vec<WitnessInForce>,
    pub(crate) quorum: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ExportInForce {
    pub(crate) name: String,
    pub(crate) kind: String,
    /// How its objects are kept from being altered, where the receiver does that.
    pub(crate) lock: Option<String>,
    /// How far it is, as `chartgate audit exports` tells it.
    pub(crate) told: Value,
}

impl Administrator {
    pub(super) fn log(&self, config: &Config) -> Result<Log, CommandError> {
        let holds = self.store.read(|sql| sql.holds())?;
        let now = self.clock.now();
        let size = self.reading.reader.checkpoint().ok().map(|checkpoint| checkpoint.size());
        let exports = config.audit.exports.iter().map(|export| ExportInForce {
            name: export.name.clone(),
            kind: export.receiver.kind().to_owned(),
            lock: match &export.receiver {
                Receiver::S3(receiver) => receiver.lock.map(|(lock, _)| lock.as_str().to_owned()),
                _ => None,
            },
            told: self.exports.get(&export.name).map(|export| export.told(now, size)).unwrap_or_default(),
        });
        Ok(Log {
            records: self.journal.durable(),
            is_synced: config.audit.durability == Durability::Fsync,
            retention: config.audit.retention.as_secs(),
            holds: holds.iter().filter(|hold| hold.released_at.is_none()).count(),
            exports: exports.collect(),
            witnesses: self.witnesses(size.unwrap_or_default())?,
            quorum: config.audit.witness_quorum,
        })
    }

    fn witnesses(&self, size: u64) -> Result<Vec<WitnessInForce>, CommandError> {
        let witness = |own: WitnessInForce| {
            Ok(WitnessInForce { waiting_since: self.waits_since(own.cosigned..size)?, ..own })
        };
        self.witnesses.told().map(witness).collect()
    }

    /// When the first of these records was made.
    pub(super) fn waits_since(
        &self,
        records: std::ops::Range<u64>,
    ) -> Result<Option<Timestamp>, CommandError> {
        if records.is_empty() {
            return Ok(None);
        }
        let first = self.reading.reader.entry(records.start);
        let first = first.map_err(|error| CommandError::Invalid(format!("the log: {error}")))?;
        Ok(first.map(|entry| entry.record.time))
    }
}
