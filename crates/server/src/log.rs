//! The audit log's threads: one commits what is appended, one brings it under checkpoints, one keeps the index.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use chartgate_audit::checkpoint::SignedCheckpoint;
use chartgate_audit::data_keys::DataKeys;
use chartgate_audit::journal::{self, Awaited, CommitEvent, Journal};
use chartgate_audit::note::LogSigner;
use chartgate_audit::open::{OpenError, Opened, Recovered, Setup, open};
use chartgate_audit::reader::Reader;
use chartgate_audit::sequencer::Sequencer;
use chartgate_audit::storage::{CheckpointKeeper, Objects};
use chartgate_values::seal::{MasterKey, SealError};
use chartgate_values::{Clock, DrawnAhead, Secret};
use std::sync::mpsc;

use crate::app::{DataLock, LockError};
use crate::audit_index::{self, LogReading};
use crate::config::{Audit, Durability};
use crate::entropy::SystemEntropy;
use crate::journal_fs::{ObjectFolder, SegmentFolder};
use crate::store::{Store, StoreError};

/// How often new records come under a checkpoint.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
/// Bytes of a journal segment.
const SEGMENT: u64 = 8 << 20;

/// The running log.
pub(crate) struct Log {
    pub(crate) journal: Journal,
    pub(crate) recovered: Recovered,
    pub(crate) reading: Arc<LogReading>,
    pub(crate) data_keys: Arc<DataKeys>,
    /// How many records the index covers.
    pub(crate) indexed: Arc<AtomicU64>,
    stop_index: mpsc::Sender<()>,
    threads: Vec<JoinHandle<()>>,
    _lock: DataLock,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// The folder cannot be used.
    #[error("the log's folder {dir}: {source}")]
    Folder {
        /// Which.
        dir: String,
        /// What the disk says.
        source: io::Error,
    },
    /// Somebody else works on it, from a data folder of its own.
    #[error("the log's folder {dir}: {source}")]
    Lock {
        /// Which.
        dir: String,
        /// Who has it, or why it cannot be had.
        source: LockError,
    },
    /// The master key does not open what it should, or the library refuses.
    #[error("the log's keys: {0}")]
    Keys(String),
    /// The log is damaged, older than what was signed, or another one.
    #[error("the log: {0}")]
    Open(#[from] Box<OpenError>),
    /// No thread.
    #[error("the log's thread: {0}")]
    Thread(#[source] io::Error),
}

impl Log {
    /// Opens the log, recovers what a crash left, and starts its threads.
    ///
    /// # Errors
    /// [`LogError`]: then nothing may be served.
    pub(crate) fn start(
        config: &Audit,
        origin: &str,
        seed: &Secret<[u8; 32]>,
        master: &MasterKey,
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LogError> {
        let folder = |source| LogError::Folder { dir: config.dir.display().to_string(), source };
        std::fs::create_dir_all(&config.dir).map_err(folder)?;
        // The data folder's lock does not keep a second one away whose configuration names the same log: one that was restored
        // or copied.
        let lock = DataLock::take_log(&config.dir)
            .map_err(|source| LogError::Lock { dir: config.dir.display().to_string(), source })?;
        let objects: Arc<dyn Objects> = Arc::new(ObjectFolder::open(&config.dir).map_err(folder)?);
        let segments = Arc::new(SegmentFolder::open(&config.dir).map_err(folder)?);
        let keys = DataKeys::new(Arc::clone(&objects), master).map_err(|e| LogError::Keys(e.to_string()))?;
        let keys = Arc::new(keys);
        let signer = LogSigner::from_seed(origin, seed).map_err(|e| LogError::Keys(e.to_string()))?;
        let key = signer.verifier_key().clone();
        let place = audit_index::Place::new(&config.index, &key, master)
            .map_err(|SealError| LogError::Keys(SealError.to_string()))?;
        let reader = Reader::new(Arc::clone(&objects), segments.clone(), key, Some(Arc::clone(&keys)));
        let data_keys = Arc::clone(&keys);
        let setup = Setup {
            objects,
            segments,
            keeper: Arc::new(Keeper(store)),
            signer,
            keys,
            entropy: Box::new(DrawnAhead::from(SystemEntropy)),
            durability: match config.durability {
                Durability::Fsync => journal::Durability::Fsync,
                Durability::Os => journal::Durability::Os,
            },
            segment_length: SEGMENT,
        };
        let Opened { journal, commit_loop, sequencer, recovered } =
            open(setup, clock.now()).map_err(Box::new)?;
        let commits = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || commit_loop.run(&mut |event| report(&event)))
            .map_err(LogError::Thread)?;
        let sequences = thread::Builder::new()
            .name("sequencer".to_owned())
            .spawn(move || sequence(sequencer, &*clock))
            .map_err(LogError::Thread)?;
        let indexed = Arc::new(AtomicU64::new(0));
        let (stop_index, stopped) = mpsc::channel();
        let (covered, index_keys) = (Arc::clone(&indexed), Arc::clone(&data_keys));
        let reading = Arc::new(LogReading { reader: reader.clone(), place: place.clone() });
        let indexes = thread::Builder::new()
            .name("audit-index".to_owned())
            .spawn(move || audit_index::follow(&place, (&reader, &index_keys), &covered, &stopped))
            .map_err(LogError::Thread)?;
        let threads = vec![commits, sequences, indexes];
        Ok(Self { journal, recovered, reading, data_keys, indexed, stop_index, threads, _lock: lock })
    }

    /// Writes what waits, brings it under a last checkpoint, and ends the threads.
    pub(crate) fn stop(self) {
        self.journal.close();
        let mut threads = self.threads.into_iter();
        if let Some(commits) = threads.next() {
            let _ = commits.join();
        }
        drop(self.stop_index);
        for thread in threads {
            let _ = thread.join();
        }
    }
}

fn report(event: &CommitEvent<'_>) {
    match event {
        CommitEvent::Unwritable(error) => {
            tracing::error!(%error, "the audit log cannot be written: nothing is answered until it can");
        }
        CommitEvent::Writable => tracing::info!("the audit log can be written again"),
    }
}

/// Brings records under checkpoints, until the commit loop has ended: then once more, and that is all.
fn sequence(mut sequencer: Sequencer, clock: &dyn Clock) {
    let mut last = Instant::now();
    loop {
        let awaited = sequencer.wait(CHECKPOINT_EVERY.saturating_sub(last.elapsed()));
        let done = match awaited {
            Awaited::Much => sequencer.absorb(),
            Awaited::Time | Awaited::End => sequencer.sequence_once(clock.now()).map(drop),
        };
        if let Err(error) = done {
            tracing::error!(%error, "no checkpoint: records stay safe in the journal");
        }
        match awaited {
            Awaited::End => return,
            Awaited::Time => last = Instant::now(),
            Awaited::Much => {}
        }
    }
}

/// Keeps the last checkpoint in the store.
struct Keeper(Arc<Store>);

impl CheckpointKeeper for Keeper {
    fn last(&self) -> io::Result<Option<String>> {
        self.0.read(|sql| sql.log_checkpoint()).map_err(|e: StoreError| io::Error::other(e))
    }

    fn advance(&self, old: Option<&SignedCheckpoint>, new: &SignedCheckpoint) -> io::Result<()> {
        let old = old.map(|checkpoint| checkpoint.note().to_owned());
        let new = new.note().to_owned();
        let kept = self.0.write_blocking(move |sql| {
            if sql.log_checkpoint()? != old {
                return Ok(Kept::Another);
            }
            sql.set_log_checkpoint(&new)?;
            Ok::<_, StoreError>(Kept::This)
        });
        match kept.map_err(io::Error::other)? {
            Kept::This => Ok(()),
            Kept::Another => Err(io::Error::new(io::ErrorKind::AlreadyExists, "another checkpoint is kept")),
        }
    }
}

enum Kept {
    This,
    Another,
}
