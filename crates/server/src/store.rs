//! What has to be remembered besides the log: people, clients, sessions, grants, keys, cut-offs, the care table.
//!
//! One thread writes. It takes all that wait into one transaction, each in a savepoint of its own, and answers after
//! the commit, which is durable (`synchronous = FULL`): so many writers share one sync, and what was answered
//! survives a crash. Readers have connections of their own and never wait for the writer.

pub(crate) mod audit_exports;
pub(crate) mod backchannel_requests;
pub(crate) mod care;
pub(crate) mod checkpoint;
pub(crate) mod client_documents;
pub(crate) mod clients;
pub(crate) mod codes;
pub(crate) mod consents;
pub(crate) mod cut_offs;
pub(crate) mod deeds;
pub(crate) mod device_authorizations;
pub(crate) mod emergency;
pub(crate) mod enrolments;
pub(crate) mod exchanged_tokens;
pub(crate) mod exports;
pub(crate) mod grants;
pub(crate) mod half_sign_ins;
pub(crate) mod invitations;
pub(crate) mod keys;
pub(crate) mod known;
mod launches;
pub(crate) mod legal_holds;
pub(crate) mod login_failures;
pub(crate) mod logout_notices;
pub(crate) mod logout_requests;
mod migrations;
pub(crate) mod outbox;
pub(crate) mod own_word;
pub(crate) mod passkeys;
pub(crate) mod pending;
pub(crate) mod phones;
pub(crate) mod provider_links;
pub(crate) mod provider_sessions;
pub(crate) mod pushed_requests;
pub(crate) mod questions;
pub(crate) mod recoveries;
pub(crate) mod refresh_tokens;
pub(crate) mod registered;
pub(crate) mod registrations;
pub(crate) mod restores;
pub(crate) mod second_factors;
pub(crate) mod sessions;
pub(crate) mod sign_in_approvals;
mod sql;
pub(crate) mod status_lists;
pub(crate) mod subjects;
mod tidy;
pub(crate) mod told_changes;
pub(crate) mod used_assertions;
pub(crate) mod users;
pub(crate) mod waiting;
pub(crate) mod watch;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tokio::sync::oneshot;

use crate::private_file;
use registered::Remembered;
use restores::Mark;
pub(crate) use sql::Sql;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The database says no.
    #[error("database: {0}")]
    Database(#[from] rusqlite::Error),
    /// A row says what it cannot.
    #[error("database is inconsistent: table `{table}`, column `{column}`")]
    Inconsistent {
        /// Where.
        table: &'static str,
        /// And in which column.
        column: &'static str,
    },
    /// The schema is newer than this program.
    #[error("the database has schema {found}, which is newer than this program's {known}")]
    TooNew {
        /// The database's.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The transaction that this write was in could not be committed.
    #[error("commit failed: {0}")]
    Commit(String),
    /// A file name that the database does not take.
    #[error("the file's name is not UTF-8")]
    Name,
    /// Its pages, indexes or references do not fit together.
    #[error("the database is damaged")]
    Damaged,
    /// The writer is gone: the process is going down.
    #[error("store is closed")]
    Closed,
}

type Deliver = Box<dyn FnOnce(Result<(), &rusqlite::Error>) + Send>;
type Job = Box<dyn FnOnce(&Connection) -> Deliver + Send>;

/// The store.
pub(crate) struct Store {
    path: PathBuf,
    writer: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
    readers: Mutex<Vec<Connection>>,
    remembered: Arc<Remembered>,
}

impl Store {
    /// Opens the database, brings its schema up to date and starts the writer.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be opened, is damaged or is newer than this program.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        private_file::database(path).map_err(|e| StoreError::Commit(format!("{}: {e}", path.display())))?;
        let mut connection = Connection::open(path)?;
        configure_writer(&connection)?;
        migrations::run(&mut connection)?;
        let remembered = Arc::<Remembered>::default();
        remembered.watch(&mut connection)?;
        let (sender, receiver) = mpsc::channel();
        let told = Arc::clone(&remembered);
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || write_all(&mut connection, &receiver, &told))
            .map_err(|e| StoreError::Commit(e.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            writer: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
            readers: Mutex::new(Vec::new()),
            remembered,
        })
    }

    /// Runs `act` in the writer's transaction and waits until it is durable.
    ///
    /// # Errors
    /// What `act` says, whose writes are then undone; or why nothing was committed.
    pub(crate) async fn write<T, E, A>(&self, act: A) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        A: FnOnce(&Sql<'_>) -> Result<T, E> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        self.submit(act, move |result| {
            let _ = sender.send(result);
        })?;
        receiver.await.map_err(|_| StoreError::Closed)?
    }

    /// The same, for a thread that may wait.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub(crate) fn write_blocking<T, E, A>(&self, act: A) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        A: FnOnce(&Sql<'_>) -> Result<T, E> + Send + 'static,
    {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.submit(act, move |result| {
            let _ = sender.send(result);
        })?;
        receiver.recv().map_err(|_| StoreError::Closed)?
    }

    /// Reads. Short, indexed reads may run where they are; longer ones belong on a blocking thread.
    ///
    /// # Errors
    /// What `act` says.
    pub(crate) fn read<T, E, A>(&self, act: A) -> Result<T, E>
    where
        E: From<StoreError>,
        A: FnOnce(&Sql<'_>) -> Result<T, E>,
    {
        let pooled = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match pooled {
            Some(connection) => connection,
            None => self.reader().map_err(StoreError::from)?,
        };
        let result = act(&Sql::new(&connection));
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        result
    }

    /// Writes what is committed now into a database file of its own, of which nothing was there: a snapshot, without what was
    /// deleted, while others go on reading and writing. It says of itself that it is a backup's copy before it has its name.
    ///
    /// # Errors
    /// [`StoreError`]. There may be a part of the file then.
    pub(crate) fn copy_to(&self, path: &Path, mark: &Mark) -> Result<(), StoreError> {
        let name = path.to_str().ok_or(StoreError::Name)?;
        // INVARIANT: this connection is not lent to other readers, so that the long read holds up nobody.
        self.reader()?.execute("VACUUM INTO ?1", [name])?;
        let copy = Connection::open(path)?;
        copy.pragma_update(None, "journal_mode", "DELETE")?;
        copy.pragma_update(None, "synchronous", "FULL")?;
        Sql::new(&copy).mark_as_backup(mark)?;
        copy.close().map_err(|(_, error)| error.into())
    }

    /// Whether every page, index and reference of the database is as it should be.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let reader = self.reader()?;
        let found: String = reader.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        let dangling = reader.prepare("PRAGMA foreign_key_check")?.exists([])?;
        if found == "ok" && !dangling { Ok(()) } else { Err(StoreError::Damaged) }
    }

    /// Waits until everything submitted so far is written, and stops the writer.
    pub(crate) fn close(&self) {
        drop(self.writer.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn reader(&self) -> Result<Connection, rusqlite::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        configure(&connection)?;
        Ok(connection)
    }

    fn submit<T, E, A, D>(&self, act: A, deliver: D) -> Result<(), StoreError>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        A: FnOnce(&Sql<'_>) -> Result<T, E> + Send + 'static,
        D: FnOnce(Result<T, E>) + Send + 'static,
    {
        let job: Job = Box::new(move |connection| {
            let outcome = in_savepoint(connection, act);
            Box::new(move |committed| {
                deliver(match committed {
                    Ok(()) => outcome,
                    Err(e) => outcome.and_then(|_| Err(StoreError::Commit(e.to_string()).into())),
                });
            })
        });
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.as_ref().ok_or(StoreError::Closed)?.send(job).map_err(|_| StoreError::Closed)
    }
}

/// How long a reader waits for a checkpoint of the database.
const BUSY: Duration = Duration::from_secs(5);
/// How many statements a connection keeps compiled: all that there are, so that none is compiled twice.
const STATEMENTS: usize = 512;
/// How many writes share a transaction at most.
const BATCH: usize = 256;
/// How many are enough to begin one.
const ENOUGH: usize = 16;
/// How often others have the processor first at most: a commit waits no longer than that, were it a revocation's.
const YIELDS: u32 = 4;
/// Pages in the database's own log after which they are moved to their places. Most are written again meanwhile, and moved once.
const CHECKPOINT: i64 = 4_000;

/// What holds for every connection.
fn configure(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // A plan does not depend on the values that a statement is given: else those that a partial index could bear on are compiled
    // anew for each value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

fn configure_writer(connection: &Connection) -> Result<(), rusqlite::Error> {
    configure(connection)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // CRASH: under NORMAL a power cut may undo the last revocations; FULL costs little, for commits are shared.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT)?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.pragma_update(None, "trusted_schema", "OFF")
}

fn write_all(connection: &mut Connection, jobs: &mpsc::Receiver<Job>, remembered: &Remembered) {
    while let Ok(first) = jobs.recv() {
        let mut waiting = VecDeque::from(gather(first, jobs));
        while !waiting.is_empty() {
            let mut deliveries = Vec::with_capacity(waiting.len());
            let committed = write_together(connection, &mut waiting, &mut deliveries);
            remembered.committed();
            for deliver in deliveries {
                deliver(committed.as_ref().copied());
            }
        }
    }
}

/// One transaction for all that wait, or for as many as it lasts: SQLite ends it by itself where a disk is full or broken, and
/// undoes what was written. Who came before is told that; who waits still has not begun, and comes into the next one.
fn write_together(
    connection: &mut Connection,
    waiting: &mut VecDeque<Job>,
    deliveries: &mut Vec<Deliver>,
) -> Result<(), rusqlite::Error> {
    let transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        Err(error) => {
            // Whoever is dropped without an answer learns that there is none.
            waiting.clear();
            return Err(error);
        }
    };
    while let Some(job) = waiting.pop_front() {
        deliveries.push(job(&transaction));
        if transaction.is_autocommit() {
            break;
        }
    }
    transaction.commit()
}

/// All writes that wait. Whoever is about to write may do so first, as long as some do who wait for this very processor: then
/// one commit serves them all. Where nobody is, yielding returns at once and brings nothing.
fn gather(first: Job, jobs: &mpsc::Receiver<Job>) -> Vec<Job> {
    let mut batch = vec![first];
    for _ in 0..YIELDS {
        thread::yield_now();
        let before = batch.len();
        batch.extend(jobs.try_iter().take(BATCH.saturating_sub(before)));
        if batch.len() == before || batch.len() >= ENOUGH {
            break;
        }
    }
    batch
}

/// Runs one write so that its failure undoes it alone.
fn in_savepoint<T, E, A>(connection: &Connection, act: A) -> Result<T, E>
where
    E: From<StoreError>,
    A: FnOnce(&Sql<'_>) -> Result<T, E>,
{
    let run = |text: &str| connection.prepare_cached(text)?.execute(()).map_err(StoreError::from);
    run("SAVEPOINT one")?;
    let outcome = act(&Sql::new(connection));
    if outcome.is_err() {
        run("ROLLBACK TO one")?;
    }
    run("RELEASE one")?;
    outcome
}

#[cfg(test)]
mod tests;
