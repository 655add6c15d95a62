//! Which intents still lack their outcome, so that a start after a crash need not read the whole log to find them.

use std::collections::{BTreeMap, HashMap};
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chartgate_values::mac::MarkingKey;

use crate::checkpoint::parse_decimal;
use crate::record::{Event, Record};
use crate::storage::{Object, Objects};

/// What a record means for the intent of its request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Mark {
    /// It is one.
    Opens(Act),
    /// It is the outcome of one, if there was one.
    Closes(Act),
    /// Neither.
    Neither,
}

/// A request, or one entry of a batch or transaction.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub(crate) struct Act {
    request_id: String,
    entry: Option<u32>,
}

impl Mark {
    pub(crate) fn of(record: &Record) -> Self {
        let Some(request_id) = &record.request_id else { return Self::Neither };
        let act = || Act { request_id: request_id.clone(), entry: record.entry };
        match record.event {
            Event::AccessIntent => Self::Opens(act()),
            Event::Access => Self::Closes(act()),
            _ => Self::Neither,
        }
    }
}

/// The intents without outcome, by act and by place in the log.
#[derive(Debug, Default)]
pub(crate) struct OpenIntents {
    by_act: HashMap<Act, u64>,
    by_index: BTreeMap<u64, Act>,
}

impl OpenIntents {
    pub(crate) fn note(&mut self, index: u64, mark: Mark) {
        match mark {
            Mark::Opens(act) => {
                if self.by_act.contains_key(&act) {
                    return;
                }
                self.by_act.insert(act.clone(), index);
                self.by_index.insert(index, act);
            }
            // Mostly none is open, and then there is nothing to look up.
            Mark::Closes(_) if self.by_act.is_empty() => {}
            Mark::Closes(act) => {
                if let Some(index) = self.by_act.remove(&act) {
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

/// Where it is remembered how far there is no open intent.
pub(crate) const OPEN_INTENTS: &str = "open-intents";

/// Remembers that no intent before record `from` lacks its outcome.
pub(crate) fn store_open_intents(objects: &dyn Objects, from: u64, key: &MarkingKey) -> io::Result<()> {
    let mark = URL_SAFE_NO_PAD.encode(key.mark(&marked_text(from)));
    objects.put(&[Object { path: OPEN_INTENTS.to_owned(), bytes: format!("{from} {mark}\n").into_bytes() }])
}

/// From which record on to look for intents without outcome. From the first, where nothing is stored that bears our mark: who
/// could write a later one here would have those before it forgotten.
pub(crate) fn stored_open_intents(objects: &dyn Objects, key: &MarkingKey) -> io::Result<u64> {
    match objects.read(OPEN_INTENTS) {
        Ok(bytes) => Ok(parse_open_intents(&bytes, key).unwrap_or(0)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

fn parse_open_intents(bytes: &[u8], key: &MarkingKey) -> Option<u64> {
    let (from, mark) = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?.split_once(' ')?;
    let (from, mark) = (parse_decimal(from)?, URL_SAFE_NO_PAD.decode(mark).ok()?);
    key.check(&marked_text(from), &mark).ok()?;
    Some(from)
}

fn marked_text(from: u64) -> Vec<u8> {
    [b"open intents".as_slice(), &from.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use chartgate_values::Timestamp;

    use super::*;
    use crate::record::Outcome;
    use crate::storage::memory::MemoryDisk;
    use crate::testing::journal_key;

    fn mark(event: Event, entry: Option<u32>) -> Mark {
        let request_id = Some("r".to_owned());
        Mark::of(&Record { request_id, entry, ..Record::new(event, Outcome::Allow, Timestamp::EPOCH) })
    }

    #[test]
    fn each_entry_of_a_batch_closes_its_own_intent() {
        let mut intents = OpenIntents::default();
        let acts = [
            (Event::AccessIntent, Some(0)),
            (Event::AccessIntent, Some(2)),
            (Event::Access, Some(0)),
            (Event::Access, Some(1)),
            (Event::Access, None),
            (Event::Batch, None),
        ];
        for (index, (event, entry)) in (0..).zip(acts) {
            intents.note(index, mark(event, entry));
        }
        assert_eq!(intents.indices().collect::<Vec<_>>(), [1]);
        intents.note(6, mark(Event::Access, Some(2)));
        assert_eq!(intents.indices().next(), None);
    }

    #[test]
    fn what_is_remembered_counts_with_our_mark_alone() {
        let (disk, key) = (MemoryDisk::new(), journal_key());
        assert_eq!(stored_open_intents(&disk, &key).unwrap(), 0);
        store_open_intents(&disk, 1000, &key).unwrap();
        assert_eq!(stored_open_intents(&disk, &key).unwrap(), 1000);
        let stored = String::from_utf8(disk.read(OPEN_INTENTS).unwrap()).unwrap();
        for forged in [
            stored.replace("1000", "1001"),
            "1000\n".to_owned(),
            "1000 \n".to_owned(),
            stored.trim_end().to_owned(),
            format!("0{stored}"),
        ] {
            disk.put(&[Object { path: OPEN_INTENTS.to_owned(), bytes: forged.into_bytes() }]).unwrap();
            assert_eq!(stored_open_intents(&disk, &key).unwrap(), 0);
        }
    }
}
