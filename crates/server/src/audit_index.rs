//! The index beside the log: where in it a search looks first. It holds keyed digests and places, nothing that anybody could
//! read; it is made anew from the log whenever it is missing, another's, or damaged. It may lag; what it does not cover yet is
//! read from the log itself.
//!
//! For each term ([`chartgate_audit::index`]) and each 65,536 records there is a compressed set of the records that have it.
//! For each bundle of entries there are the first and last time in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use chartgate_audit::data_keys::Month;
use chartgate_audit::index::{IndexKey, Term};
use chartgate_audit::note::VerifierKey;
use chartgate_audit::reader::{Entry, Filter, ReadError, Reader};
use chartgate_values::seal::{MasterKey, SealError};
use roaring::RoaringBitmap;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use crate::private_file;

mod follow;

pub(crate) use follow::follow;

/// How many records a set is of.
const BLOCK: u64 = 1 << 16;
/// How many records a span of time is of.
const BUNDLE: u64 = 256;
/// Of this layout; another is made anew.
const VERSION: i64 = 3;
/// The term of records that could not be read when they were added: they are looked at whatever is asked for.
const UNREADABLE: [u8; 16] = [0xff; 16];

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS state (
        one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, log TEXT NOT NULL, next INTEGER NOT NULL,
        months TEXT NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS postings (
        term BLOB NOT NULL, block INTEGER NOT NULL, records BLOB NOT NULL, PRIMARY KEY (term, block)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS spans (
        bundle INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL
    ) STRICT;";

/// Which log an index is of, and where it lies.
#[derive(Clone)]
pub(crate) struct Place {
    path: PathBuf,
    log: String,
    key: IndexKey,
}

impl Place {
    /// The index at `path`, of the log with this key.
    ///
    /// # Errors
    /// [`SealError`] if the master key gives no secret for it.
    pub(crate) fn new(path: &Path, log: &VerifierKey, master: &MasterKey) -> Result<Self, SealError> {
        let secret = master.secret_for("audit index")?;
        Ok(Self { path: path.to_owned(), log: log.to_string(), key: IndexKey::new(&secret) })
    }
}

/// The index.
pub(crate) struct AuditIndex {
    connection: Connection,
    key: IndexKey,
}

/// What is to be added: where records are, and of which times, but not the records.
#[derive(Default)]
pub(crate) struct Additions {
    postings: HashMap<([u8; 16], u64), RoaringBitmap>,
    spans: BTreeMap<u64, (i64, i64)>,
}

impl Additions {
    /// Notes a record that cannot be read: it may be anybody's, and of any time.
    pub(crate) fn note_unreadable(&mut self, index: u64) {
        let of_block = self.postings.entry((UNREADABLE, index / BLOCK)).or_default();
        of_block.insert(place_in_block(index));
        self.spans.insert(index / BUNDLE, (i64::MIN, i64::MAX));
    }
}

impl AuditIndex {
    /// Opens it to be written, anew if it is missing or another's.
    ///
    /// # Errors
    /// What the database says.
    pub(crate) fn open(place: &Place) -> rusqlite::Result<Self> {
        // What cannot be made one's own cannot be opened either, and that says why.
        let _ = private_file::database(&place.path);
        let connection = Connection::open(&place.path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // A power cut takes what it takes: the log is read again from where the index then ends.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.execute_batch(SCHEMA)?;
        let index = Self { connection, key: place.key.clone() };
        if !index.is_of(place)? {
            index.begin(place)?;
        }
        Ok(index)
    }

    /// Opens it to be searched; none if there is none of this log.
    pub(crate) fn open_to_search(place: &Place) -> Option<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&place.path, flags).ok()?;
        connection.busy_timeout(std::time::Duration::from_secs(2)).ok()?;
        let index = Self { connection, key: place.key.clone() };
        index.is_of(place).ok()?.then_some(index)
    }

    fn is_of(&self, place: &Place) -> rusqlite::Result<bool> {
        let found = self
            .connection
            .query_row("SELECT version, log FROM state", [], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
            })
            .optional()?;
        Ok(found.is_some_and(|(version, log)| version == VERSION && log == place.log))
    }

    fn begin(&self, place: &Place) -> rusqlite::Result<()> {
        let work = self.connection.unchecked_transaction()?;
        work.execute_batch("DELETE FROM postings; DELETE FROM spans; DELETE FROM state;")?;
        work.execute("INSERT INTO state VALUES (1, ?, ?, 0, '')", params![VERSION, place.log])?;
        work.commit()
    }

    /// Whether it says what the log does, given the months whose keys are there: what a month's end took from the log is to be
    /// gone from here as well, and what could not be read while a key was away is to be found again once it is back.
    ///
    /// # Errors
    /// What the database says.
    pub(crate) fn is_of_what_is_there(&self, months: &[Month]) -> rusqlite::Result<bool> {
        let known: String = self.connection.query_row("SELECT months FROM state", [], |row| row.get(0))?;
        let there: Vec<&str> = months.iter().map(Month::as_str).collect();
        let known: Vec<&str> = known.split_whitespace().collect();
        if !known.iter().all(|month| there.contains(month)) {
            return Ok(false);
        }
        if there == known {
            return Ok(true);
        }
        // A month whose key was made ahead begins later than all that is covered.
        let newest = self.newest()?;
        let is_back = |month: &&Month| {
            !known.contains(&month.as_str())
                && newest.is_some_and(|newest| month.start().as_micros() <= newest)
        };
        if months.iter().any(|month| is_back(&month)) {
            return Ok(false);
        }
        self.connection.execute("UPDATE state SET months = ?", [there.join(" ")])?;
        Ok(true)
    }

    /// The newest time of what it covers; none if that is nothing. What could not be read is of any time, and says none.
    fn newest(&self) -> rusqlite::Result<Option<i64>> {
        let text = "SELECT max(last) FROM spans WHERE last < ?";
        self.connection.query_row(text, [i64::MAX], |row| row.get(0))
    }

    /// The first record that it does not cover.
    ///
    /// # Errors
    /// What the database says.
    pub(crate) fn next(&self) -> rusqlite::Result<u64> {
        self.connection.query_row("SELECT next FROM state", [], |row| row.get::<_, i64>(0)).map(unsigned)
    }

    /// Notes where a record is to be found.
    pub(crate) fn note(&self, entry: &Entry, into: &mut Additions) {
        for term in self.key.terms_of(&entry.record) {
            into.postings
                .entry((*term.as_bytes(), entry.index / BLOCK))
                .or_default()
                .insert(place_in_block(entry.index));
        }
        let time = entry.record.time.as_micros();
        let span = into.spans.entry(entry.index / BUNDLE).or_insert((time, time));
        *span = (span.0.min(time), span.1.max(time));
    }

    /// Adds what was noted; from then on it covers all before `next`.
    ///
    /// # Errors
    /// What the database says; then nothing was added.
    pub(crate) fn add(&mut self, additions: Additions, next: u64) -> rusqlite::Result<()> {
        let Additions { postings, spans } = additions;
        let work = self.connection.transaction()?;
        {
            let mut read =
                work.prepare_cached("SELECT records FROM postings WHERE term = ? AND block = ?")?;
            let mut write = work.prepare_cached("INSERT OR REPLACE INTO postings VALUES (?, ?, ?)")?;
            for ((term, block), mut records) in postings {
                let had = read
                    .query_row(params![term, signed(block)], |row| row.get::<_, Vec<u8>>(0))
                    .optional()?;
                if let Some(had) = had {
                    records |= set(&had)?;
                }
                write.execute(params![term, signed(block), bytes(&records)])?;
            }
            let mut span = work.prepare_cached(
                "INSERT INTO spans VALUES (?1, ?2, ?3) ON CONFLICT (bundle) DO UPDATE \
                 SET first = min(first, ?2), last = max(last, ?3)",
            )?;
            for (bundle, (first, last)) in spans {
                span.execute(params![signed(bundle), first, last])?;
            }
            work.execute("UPDATE state SET next = ?", [signed(next)])?;
        }
        work.commit()
    }

    /// Where the records are, of those that it covers, that a filter may admit: in order.
    ///
    /// # Errors
    /// What the database says.
    fn candidates(&self, filter: &Filter) -> rusqlite::Result<Vec<u64>> {
        let next = self.next()?;
        let terms = self.key.terms_asked(filter);
        let mut found: Vec<u64> = match self.having_all(&terms)? {
            None => (0..next).collect(),
            Some(blocks) => blocks
                .into_iter()
                .flat_map(|(block, records)| {
                    let first = block.saturating_mul(BLOCK);
                    records.into_iter().map(move |at| first.saturating_add(u64::from(at)))
                })
                .collect(),
        };
        if filter.since.is_some() || filter.until.is_some() {
            let since = filter.since.map_or(i64::MIN, |time| time.as_micros());
            let until = filter.until.map_or(i64::MAX, |time| time.as_micros());
            let bundles = self.bundles_between(since, until)?;
            found.retain(|index| bundles.contains(&(index / BUNDLE)));
        }
        Ok(found)
    }

    /// The records that have all of these terms, and those of which it cannot be told, by block; `None` if no term is asked
    /// for.
    fn having_all(&self, terms: &[Term]) -> rusqlite::Result<Option<BTreeMap<u64, RoaringBitmap>>> {
        let mut all: Option<BTreeMap<u64, RoaringBitmap>> = None;
        for term in terms {
            let own = self.having(term.as_bytes())?;
            all = Some(match all {
                None => own,
                Some(mut before) => {
                    before.retain(|block, records| match own.get(block) {
                        None => false,
                        Some(own) => {
                            *records &= own;
                            !records.is_empty()
                        }
                    });
                    before
                }
            });
        }
        if let Some(all) = &mut all {
            for (block, records) in self.having(&UNREADABLE)? {
                *all.entry(block).or_default() |= records;
            }
        }
        Ok(all)
    }

    fn having(&self, term: &[u8; 16]) -> rusqlite::Result<BTreeMap<u64, RoaringBitmap>> {
        let mut read =
            self.connection.prepare_cached("SELECT block, records FROM postings WHERE term = ?")?;
        let rows = read.query_map([term], |row| {
            Ok((unsigned(row.get::<_, i64>(0)?), set(&row.get::<_, Vec<u8>>(1)?)?))
        })?;
        rows.collect()
    }

    fn bundles_between(&self, since: i64, until: i64) -> rusqlite::Result<BTreeSet<u64>> {
        let mut spans =
            self.connection.prepare_cached("SELECT bundle FROM spans WHERE last >= ? AND first < ?")?;
        let rows = spans.query_map([since, until], |row| row.get::<_, i64>(0))?;
        rows.map(|bundle| bundle.map(unsigned)).collect()
    }
}

/// The log, as it is read while the gateway runs.
pub(crate) struct LogReading {
    pub(crate) reader: Reader,
    pub(crate) place: Place,
}

impl LogReading {
    /// The records that a filter admits. It reads the disk: for a thread that may wait.
    ///
    /// # Errors
    /// [`ReadError`], by the first record that cannot be read.
    pub(crate) fn find(&self, filter: &Filter) -> Result<Vec<Entry>, ReadError> {
        let index = AuditIndex::open_to_search(&self.place);
        search(&self.reader, index.as_ref(), filter).collect()
    }
}

/// Records as they are found.
pub(crate) type Found<'a> = Box<dyn Iterator<Item = Result<Entry, ReadError>> + 'a>;

/// The records that a filter admits, oldest first, with a limit the newest of them: by the index as far as it goes, and read
/// from the log where it does not, or where there is none.
pub(crate) fn search<'a>(reader: &'a Reader, index: Option<&AuditIndex>, filter: &'a Filter) -> Found<'a> {
    let covered = index.map(|index| {
        // Of one state, whatever is added meanwhile.
        let _reading = index.connection.unchecked_transaction()?;
        Ok::<_, rusqlite::Error>((index.next()?, index.candidates(filter)?))
    });
    let (next, candidates) = match covered {
        Some(Ok(covered)) => covered,
        Some(Err(error)) => {
            tracing::warn!(%error, "the audit index cannot be read: the whole log is");
            return reader.search(filter);
        }
        None => return reader.search(filter),
    };
    let behind = reader.matching(next, filter.clone());
    let Some(limit) = filter.limit else {
        return Box::new(reader.pick(candidates.into_iter(), filter).chain(behind));
    };
    let mut newest: Vec<_> = behind.collect();
    newest.reverse();
    let room = limit.saturating_sub(newest.len());
    newest.extend(reader.pick(candidates.into_iter().rev(), filter).take(room));
    newest.truncate(limit);
    Box::new(newest.into_iter().rev())
}

fn place_in_block(index: u64) -> u32 {
    u32::try_from(index % BLOCK).unwrap_or_default()
}

/// Indexes are below 2^53.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn set(bytes: &[u8]) -> rusqlite::Result<RoaringBitmap> {
    RoaringBitmap::deserialize_from(bytes).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, Box::new(error))
    })
}

fn bytes(records: &RoaringBitmap) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(records.serialized_size());
    // INVARIANT: memory takes what is written.
    let _ = records.serialize_into(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests;
