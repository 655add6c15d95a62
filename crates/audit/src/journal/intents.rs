//! Which intents still lack their outcome, so that a start after a crash need not read the whole log to find them.

use std::collections::{BTreeMap, HashMap};
use std::io;

use crate::checkpoint::parse_decimal;
use crate::record::{Event, Record};
use crate::storage::{Object, Objects};

/// What a record means for the intent of its request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Mark {
    /// It is one.
    Opens(String),
    /// It is the outcome of one, if there was one.
    Closes(String),
    /// Neither.
    Neither,
}

impl Mark {
    pub(crate) fn of(record: &Record) -> Self {
        let Some(request_id) = &record.request_id else { return Self::Neither };
        match (record.event, record.entry) {
            (Event::AccessIntent, _) => Self::Opens(request_id.clone()),
            // An entry of a transaction leaves the others open; the transaction's own record ends it.
            (Event::Access, None) | (Event::Batch, _) => Self::Closes(request_id.clone()),
            _ => Self::Neither,
        }
    }
}

/// The intents without outcome, by request and by place in the log.
#[derive(Debug, Default)]
pub(crate) struct OpenIntents {
    by_request: HashMap<String, u64>,
    by_index: BTreeMap<u64, String>,
}

impl OpenIntents {
    pub(crate) fn note(&mut self, index: u64, mark: Mark) {
        match mark {
            Mark::Opens(request) => {
                if self.by_request.contains_key(&request) {
                    return;
                }
                self.by_request.insert(request.clone(), index);
                self.by_index.insert(index, request);
            }
            Mark::Closes(request) => {
                if let Some(index) = self.by_request.remove(&request) {
                    self.by_index.remove(&index);
                }
            }
            Mark::Neither => {}
        }
    }

    /// The places of the open intents, first to last.
    pub(crate) fn indices(&self) -> impl Iterator<Item = u64> {
        self.by_index.keys().copied()
    }
}

const PATH: &str = "open-intents";

/// Remembers that no intent before record `from` lacks its outcome.
pub(crate) fn store_open_intents(objects: &dyn Objects, from: u64) -> io::Result<()> {
    objects.put(&[Object { path: PATH.to_owned(), bytes: format!("{from}\n").into_bytes() }])
}

/// From which record on to look for intents without outcome. From the first, where nothing usable is stored.
pub(crate) fn stored_open_intents(objects: &dyn Objects) -> io::Result<u64> {
    match objects.read(PATH) {
        Ok(bytes) => {
            let text = std::str::from_utf8(&bytes).ok().and_then(|text| text.strip_suffix('\n'));
            Ok(text.and_then(parse_decimal).unwrap_or(0))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}
