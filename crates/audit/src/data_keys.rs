//! The keys that seal what entries say of patients: one a month, wrapped under the master key; and the one that marks what is
//! written to the journal.
//!
//! Destroying a month's key file makes that month's sealed parts unreadable for good, in the log and in every copy
//! of it but backups that have the file, while all hashes stay as they are.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chartgate_values::mac::MarkingKey;
use chartgate_values::seal::{MasterKey, SealError, SealingKey};
use chartgate_values::{Entropy, Secret, Timestamp};
use serde::{Deserialize, Serialize};

use crate::storage::{Object, Objects};

mod data_key;

pub use data_key::DataKey;

/// A month, as `2026-11`.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Month(String);

impl Month {
    /// The month of a time, in UTC.
    #[must_use]
    pub fn of(time: Timestamp) -> Self {
        Self(time.year_month())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its first moment.
    #[must_use]
    pub fn start(&self) -> Timestamp {
        // INVARIANT: a month's text was a month when it was made, so this is a day.
        format!("{self}-01T00:00:00Z").parse().unwrap_or(Timestamp::MAX)
    }

    /// The first moment that is not in it.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        let (year, month) = self.0.split_once('-').unwrap_or_default();
        let number = |text: &str| text.parse::<u16>().unwrap_or_default();
        let (year, month) = match number(month) {
            12.. => (number(year).saturating_add(1), 1),
            month => (number(year), month.saturating_add(1)),
        };
        // INVARIANT: a month's text was a month when it was made, so this is a day.
        format!("{year:04}-{month:02}-01T00:00:00Z").parse().unwrap_or(Timestamp::MAX)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no month.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a month of the form 2026-11")]
pub struct ParseMonthError;

impl FromStr for Month {
    type Err = ParseMonthError;

    fn from_str(text: &str) -> Result<Self, ParseMonthError> {
        let first_day: Timestamp = format!("{text}-01T00:00:00Z").parse().map_err(|_| ParseMonthError)?;
        let month = Self::of(first_day);
        if month.0 == text { Ok(month) } else { Err(ParseMonthError) }
    }
}

/// The keys of a log that its folder alone does not give.
pub struct DataKeys {
    objects: Arc<dyn Objects>,
    wrapping: SealingKey,
    journal: MarkingKey,
    /// Mostly read: who only looks a key up keeps nobody waiting, however long it is held up itself.
    known: RwLock<KnownKeys>,
}

#[derive(Default)]
struct KnownKeys {
    by_month: HashMap<Month, Known>,
    /// The one that sealed last, and the times for which it does.
    latest: Option<(Range<Timestamp>, Arc<DataKey>)>,
}

/// A key in memory, and whether its file is written.
struct Known {
    key: Arc<DataKey>,
    unsaved: Option<Object>,
}

/// A data key that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DataKeyError {
    /// Its file cannot be read.
    #[error("cannot read the data key of {month}: {source}")]
    Unreadable {
        /// The key's month.
        month: Month,
        /// What the disk says.
        source: io::Error,
    },
    /// Its file is not ours, was altered, or is wrapped under another master key.
    #[error("the data key of {0} does not open under this master key")]
    DoesNotOpen(Month),
}

impl DataKeys {
    /// The keys in the log's folder, wrapped under `master`.
    ///
    /// # Errors
    /// [`SealError`] if the library refuses to derive what is needed of it, which it does not.
    pub fn new(objects: Arc<dyn Objects>, master: &MasterKey) -> Result<Self, SealError> {
        let wrapping = master.derive("audit data keys")?;
        let journal = master.marking("audit journal")?;
        Ok(Self { objects, wrapping, journal, known: RwLock::default() })
    }

    /// The key by which the log knows again what it wrote and no checkpoint covers yet.
    pub(crate) fn journal(&self) -> &MarkingKey {
        &self.journal
    }

    /// The key that seals in a month. Draws one if the month has none yet; the commit loop makes it
    /// durable before anything that it sealed.
    ///
    /// # Errors
    /// [`DataKeyError`] if the month has a key that cannot be had: never is a second one made over it.
    pub fn for_sealing(
        &self,
        month: &Month,
        entropy: &mut dyn Entropy,
    ) -> Result<Arc<DataKey>, DataKeyError> {
        self.sealing_in(&mut self.change_known(), month, entropy)
    }

    /// The same for a time, without a search where it is the month of the time before.
    pub(crate) fn for_sealing_at(
        &self,
        time: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<Arc<DataKey>, DataKeyError> {
        if let Some((times, key)) = &self.known().latest
            && times.contains(&time)
        {
            return Ok(Arc::clone(key));
        }
        let (mut known, month) = (self.change_known(), Month::of(time));
        let key = self.sealing_in(&mut known, &month, entropy)?;
        known.latest = Some((month.start()..month.end(), Arc::clone(&key)));
        Ok(key)
    }

    fn sealing_in(
        &self,
        known: &mut KnownKeys,
        month: &Month,
        entropy: &mut dyn Entropy,
    ) -> Result<Arc<DataKey>, DataKeyError> {
        if let Some(known) = known.by_month.get(month) {
            return Ok(Arc::clone(&known.key));
        }
        let (key, unsaved) = match self.read(month)? {
            Some(key) => (key, None),
            None => {
                let bytes = Secret::new(entropy.bytes::<32>());
                let file = self.wrap(month, &bytes, entropy)?;
                (DataKey::new(month.clone(), &bytes), Some(Object { path: path(month), bytes: file }))
            }
        };
        let key = Arc::new(key);
        known.by_month.insert(month.clone(), Known { key: Arc::clone(&key), unsaved });
        Ok(key)
    }

    /// The key that opens what was sealed in a month; none if it was destroyed.
    ///
    /// # Errors
    /// [`DataKeyError`] if it is there and cannot be had.
    pub fn for_opening(&self, month: &Month) -> Result<Option<Arc<DataKey>>, DataKeyError> {
        if let Some(known) = self.known().by_month.get(month) {
            return Ok(Some(Arc::clone(&known.key)));
        }
        let known = &mut self.change_known().by_month;
        if let Some(known) = known.get(month) {
            return Ok(Some(Arc::clone(&known.key)));
        }
        let Some(key) = self.read(month)?.map(Arc::new) else { return Ok(None) };
        known.insert(month.clone(), Known { key: Arc::clone(&key), unsaved: None });
        Ok(Some(key))
    }

    /// Makes new keys durable. Must succeed before anything that they sealed is stored.
    ///
    /// # Errors
    /// What the disk says; the keys stay unsaved then.
    pub(crate) fn save_new(&self) -> io::Result<()> {
        if self.known().by_month.values().all(|known| known.unsaved.is_none()) {
            return Ok(());
        }
        for known in self.change_known().by_month.values_mut() {
            if let Some(file) = &known.unsaved {
                self.objects.put(std::slice::from_ref(file))?;
                known.unsaved = None;
            }
        }
        Ok(())
    }

    /// The months whose keys are there, in their order.
    ///
    /// # Errors
    /// What the disk says.
    pub fn months(&self) -> io::Result<Vec<Month>> {
        let names = self.objects.list("keys")?;
        let month = |name: &String| name.strip_suffix(".json")?.parse().ok();
        let mut months: Vec<Month> = names.iter().filter_map(month).collect();
        months.sort_unstable();
        Ok(months)
    }

    /// Destroys the key of a month.
    ///
    /// # Errors
    /// What the disk says; the key may then still be there.
    pub fn shred(&self, month: &Month) -> io::Result<()> {
        self.objects.remove(&path(month))?;
        let mut known = self.change_known();
        known.by_month.remove(month);
        known.latest = None;
        Ok(())
    }

    fn known(&self) -> RwLockReadGuard<'_, KnownKeys> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_known(&self) -> RwLockWriteGuard<'_, KnownKeys> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, month: &Month) -> Result<Option<DataKey>, DataKeyError> {
        let file = match self.objects.read(&path(month)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(DataKeyError::Unreadable { month: month.clone(), source }),
        };
        let opened = self.unwrap_file(month, &file);
        opened.map(Some).ok_or_else(|| DataKeyError::DoesNotOpen(month.clone()))
    }

    fn unwrap_file(&self, month: &Month, file: &[u8]) -> Option<DataKey> {
        let file: KeyFile = serde_json::from_slice(file).ok().filter(|file: &KeyFile| file.v == VERSION)?;
        let wrapped = URL_SAFE_NO_PAD.decode(file.key).ok()?;
        let bytes = self.wrapping.open(month.as_str().as_bytes(), &wrapped).ok()?;
        let bytes = bytes.expose().as_slice().try_into().ok().map(Secret::new)?;
        Some(DataKey::new(month.clone(), &bytes))
    }

    fn wrap(
        &self,
        month: &Month,
        bytes: &Secret<[u8; 32]>,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<u8>, DataKeyError> {
        let wrapped = self.wrapping.seal(entropy, month.as_str().as_bytes(), bytes.expose());
        let key = wrapped.map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        let file = key.map(|key| KeyFile { key, month: month.to_string(), v: VERSION });
        let json = file.ok().and_then(|file| serde_json::to_vec(&file).ok());
        json.ok_or_else(|| DataKeyError::DoesNotOpen(month.clone()))
    }
}

impl fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<data keys>")
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    key: String,
    month: String,
    v: u8,
}

const VERSION: u8 = 1;

fn path(month: &Month) -> String {
    format!("keys/{month}.json")
}

#[cfg(test)]
mod tests;
