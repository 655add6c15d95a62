//! A log on a disk in memory, for tests.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use chartgate_values::mac::MarkingKey;
use chartgate_values::seal::MasterKey;
use chartgate_values::{Secret, SeededEntropy, Timestamp};

use crate::data_keys::DataKeys;
use crate::journal::{Durability, Journal};
use crate::leaf::Leaf;
use crate::note::{LogSigner, VerifierKey};
use crate::open::{OpenError, Opened, Recovered, Setup, open};
use crate::record::{Event, Outcome, Record};
use crate::sequencer::Sequencer;
use crate::storage::memory::MemoryDisk;
use crate::tile::{Width, read_entries};

/// The disk, and all else that a log needs.
pub(crate) struct Bench {
    pub(crate) disk: MemoryDisk,
    pub(crate) keeper: MemoryDisk,
    pub(crate) seed: u8,
    pub(crate) durability: Durability,
}

/// A log whose commit loop runs on a thread.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) journal: Journal,
    pub(crate) sequencer: Sequencer,
    pub(crate) recovered: Recovered,
    thread: JoinHandle<()>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let disk = MemoryDisk::new();
        Self { keeper: disk.clone(), disk, seed: 7, durability: Durability::Fsync }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_unix(1_793_836_800)
    }

    pub(crate) fn signer(&self) -> LogSigner {
        LogSigner::from_seed("gate.test/audit", &Secret::new([self.seed; 32])).unwrap()
    }

    pub(crate) fn key(&self) -> VerifierKey {
        self.signer().verifier_key().clone()
    }

    pub(crate) fn keys(&self) -> DataKeys {
        DataKeys::new(Arc::new(self.disk.clone()), &MasterKey::from_bytes([7; 32])).unwrap()
    }

    pub(crate) fn open_parts(&self) -> Result<Opened, OpenError> {
        let setup = Setup {
            objects: Arc::new(self.disk.clone()),
            segments: Arc::new(self.disk.clone()),
            keeper: Arc::new(self.keeper.clone()),
            signer: self.signer(),
            keys: Arc::new(self.keys()),
            entropy: Box::new(SeededEntropy::new(self.disk.operations())),
            durability: self.durability,
            segment_length: 128 * 1024,
        };
        open(setup, self.now())
    }

    pub(crate) fn open(&self) -> Result<Running, OpenError> {
        let Opened { journal, commit_loop, sequencer, recovered } = self.open_parts()?;
        let thread = std::thread::spawn(move || commit_loop.run(&mut |_| {}));
        Ok(Running { journal, sequencer, recovered, thread })
    }

    /// The numbers of the test records under the first `size` entries' bundles.
    pub(crate) fn requests(&self, size: usize) -> Vec<u64> {
        let mut numbers = Vec::new();
        for (index, start) in (0..).zip((0..size).step_by(256)) {
            let width = Width::of(size.saturating_sub(start).min(256)).unwrap();
            for entry in read_entries(&self.disk, index, width).unwrap() {
                let request = Leaf::parse(&entry).unwrap().clear_record().request_id.clone();
                numbers.extend(request.unwrap().parse::<u64>());
            }
        }
        numbers
    }
}

impl Running {
    /// Appends a record, which must succeed, and gives back its index.
    pub(crate) fn append(&self, record: &Record) -> u64 {
        self.journal.append_blocking(record, ()).unwrap().index()
    }

    /// Lets the commit loop finish.
    pub(crate) fn stop(self) {
        self.journal.close();
        self.thread.join().unwrap();
    }
}

/// The key that marks the journal of a [`Bench`].
pub(crate) fn journal_key() -> MarkingKey {
    MasterKey::from_bytes([7; 32]).marking("audit journal").unwrap()
}

/// A test record, told from others by its number.
pub(crate) fn record(number: u64) -> Record {
    Record {
        request_id: Some(number.to_string()),
        resource: Some(chartgate_values::Phi::new(format!("Observation/{number}"))),
        ..Record::new(
            Event::Access,
            Outcome::Allow,
            Timestamp::from_unix(1_793_836_800).plus(Duration::from_millis(number)),
        )
    }
}
