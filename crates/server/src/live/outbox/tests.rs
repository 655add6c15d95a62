use std::path::{Path, PathBuf};

use chartgate_audit::record::{Event, Outcome};
use chartgate_values::seal::MasterKey;
use chartgate_values::{FixedClock, Phi, Secret};

use super::*;
use crate::config::{Audit, Durability};
use crate::log::Log;

/// An outbox over a store and a log of their own, in a folder that goes with it.
struct Scratch {
    outbox: Outbox,
    log: Option<Log>,
    path: PathBuf,
}

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("chartgate-outbox-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        let (outbox, log) = open(&path);
        Self { outbox, log: Some(log), path }
    }

    /// Opens both again, as the next start does.
    fn reopen(&mut self) {
        self.stop_log();
        self.outbox.store.close();
        let (outbox, log) = open(&self.path);
        (self.outbox, self.log) = (outbox, Some(log));
    }

    /// From here on nothing can be written in the log.
    fn stop_log(&mut self) {
        if let Some(log) = self.log.take() {
            log.stop();
        }
    }

    fn rows(&self) -> Vec<StoredRecords> {
        self.outbox.store.read(|sql| sql.kept_records()).map_err(|e: StoreError| e).unwrap()
    }

    /// Puts records into the outbox, as a change does that nobody told of.
    fn keep(&self, id: &str, records: &[Record]) {
        let kept = sealed(&self.outbox.seal, (id.to_owned(), 0), records).unwrap();
        let keep = move |sql: &Sql<'_>| sql.keep_records(&kept);
        self.outbox.store.write_blocking(keep).map_err(|e: StoreError| e).unwrap();
    }

    /// What the log has of this event.
    fn told(&self, event: Event) -> Vec<Record> {
        let entries = self.outbox.log.reader.entries(0).map(|entry| entry.unwrap().record);
        entries.filter(|record| record.event == event).collect()
    }

    /// Commits a change that this record tells of, and waits until the outbox is empty.
    async fn commit(&self, record: Record) {
        self.outbox.commit(|_, _| Ok::<_, ChangeError>(Change::told_by((), [record]))).await.unwrap();
        while !self.rows().is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.stop_log();
        self.outbox.store.close();
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn open(path: &Path) -> (Outbox, Log) {
    let clock: Arc<dyn Clock> = Arc::new(FixedClock::at(Timestamp::from_unix(1_800_000_000)));
    let store = Arc::new(Store::open(&path.join("db")).unwrap());
    let config = Audit {
        dir: path.join("log"),
        index: path.join("index.db"),
        durability: Durability::Fsync,
        retention: std::time::Duration::ZERO,
        reserve: 0,
        exports: Arc::from([]),
        witnesses: Arc::from([]),
        witness_quorum: 0,
    };
    let (seed, master) = (Secret::new([1; 32]), MasterKey::from_bytes([7; 32]));
    let (of_log, at) = (Arc::clone(&store), Arc::clone(&clock));
    let log = Log::start(&config, "gate.test/audit", &seed, &master, of_log, at).unwrap();
    let cut_offs = LiveCutOffs::load(Arc::clone(&store), Arc::clone(&clock)).unwrap();
    let outbox = Outbox {
        store,
        cut_offs: Arc::new(cut_offs),
        journal: log.journal.clone(),
        log: Arc::clone(&log.reading),
        seal: Arc::new(master.derive(PURPOSE).unwrap()),
        clock,
        under_way: Arc::default(),
    };
    (outbox, log)
}

fn removed(phone: &str) -> Record {
    let mut record = Record::new(Event::FactorRemoved, Outcome::Allow, Timestamp::EPOCH);
    record.resource = Some(Phi::new(phone.to_owned()));
    record
}

#[tokio::test]
async fn a_change_is_told_once_with_its_time_and_what_a_crash_left_of_it_is_found_in_the_log() {
    let scratch = Scratch::new("told");
    scratch.commit(removed("one")).await;
    let told = scratch.told(Event::FactorRemoved);
    assert_eq!(told, [Record { time: scratch.outbox.clock.now(), ..removed("one") }]);
    // The process died after the first was appended, and before the second was.
    let untold = Record { resource: Some(Phi::new("two".to_owned())), ..told[0].clone() };
    scratch.keep("left", &[told[0].clone(), untold.clone()]);
    assert_eq!(scratch.outbox.tell_left().unwrap(), 1);
    assert!(scratch.rows().is_empty());
    let mut told = scratch.told(Event::FactorRemoved);
    assert_eq!(told.len(), 2);
    let late = told[1].detail.remove("recorded_at").unwrap();
    assert_eq!(late.expose(), &scratch.outbox.clock.now().to_string());
    assert_eq!(told[1], untold);
    // Or after that, and before anything was removed.
    scratch.keep("left again", &told);
    assert_eq!(scratch.outbox.tell_left().unwrap(), 0);
    assert!(scratch.rows().is_empty());
    // Of two that are alike, each has its own.
    scratch.keep("alike", &[untold.clone(), untold]);
    assert_eq!(scratch.outbox.tell_left().unwrap(), 1);
}

#[tokio::test]
async fn what_comes_to_nothing_is_not_told() {
    let scratch = Scratch::new("nothing");
    let act = |_: &Sql<'_>, _| Err::<Change<()>, ChangeError>(StoreError::Damaged.into());
    scratch.outbox.commit(act).await.unwrap_err();
    // The record cannot be stored: then nothing is changed either.
    let too_long = Record { session: Some("x".repeat(1 << 16)), ..removed("long") };
    let change = |sql: &Sql<'_>, at| {
        sql.add_login_failure("counter", at)?;
        Ok::<_, ChangeError>(Change::told_by((), [too_long]))
    };
    scratch.outbox.commit(change).await.unwrap_err();
    let counted = scratch.outbox.store.read(|sql| sql.login_failures("counter"));
    assert_eq!(counted.map_err(|e: StoreError| e).unwrap().count, 0);
    assert_eq!(scratch.outbox.tell_left().unwrap(), 0);
    assert!(scratch.told(Event::FactorRemoved).is_empty());
}

#[tokio::test]
async fn what_is_under_way_is_left_to_whoever_makes_it() {
    let scratch = Scratch::new("way");
    let way = UnderWay::begin(&scratch.outbox.under_way);
    scratch.keep(&way.id, &[removed("one")]);
    assert_eq!(scratch.outbox.tell_left().unwrap(), 0);
    assert_eq!(scratch.rows().len(), 1);
    drop(way);
    scratch.outbox.under_way.left.notified().await;
    assert_eq!(scratch.outbox.tell_left().unwrap(), 1);
}

#[tokio::test]
async fn what_is_not_ours_is_refused_on_record_and_never_told() {
    let scratch = Scratch::new("forged");
    scratch.keep("one", &[removed("one")]);
    let [own] = scratch.rows().try_into().unwrap();
    let mut altered = own.records.clone();
    altered[20] ^= 1;
    let forged = [
        StoredRecords { id: "copied".to_owned(), ..own.clone() },
        StoredRecords { id: "altered".to_owned(), records: altered, ..own.clone() },
        StoredRecords { id: "empty".to_owned(), records: Vec::new(), ..own },
    ];
    let keep = move |sql: &Sql<'_>| {
        sql.drop_records("one")?;
        forged.iter().try_for_each(|one| sql.keep_records(one))
    };
    scratch.outbox.store.write_blocking(keep).map_err(|e: StoreError| e).unwrap();
    let text = "INSERT INTO outbox (id, log_size, records) VALUES ('no row', 'of', 'ours')";
    rusqlite::Connection::open(scratch.path.join("db")).unwrap().execute(text, []).unwrap();
    scratch.keep("ours", &[removed("ours")]);
    assert_eq!(scratch.outbox.tell_left().unwrap(), 1, "nobody else's row keeps ours from being told");
    assert_eq!(scratch.outbox.tell_left().unwrap(), 0, "once");
    assert_eq!(scratch.told(Event::FactorRemoved).len(), 1);
    let refused = scratch.told(Event::Recovered);
    let mut ids: Vec<_> = refused.iter().map(|record| record.resource.as_ref().unwrap().expose()).collect();
    ids.sort();
    assert_eq!(ids, ["altered", "copied", "empty", "no row"]);
    assert!(refused.iter().all(|one| one.decision.reason.as_deref() == Some("outbox-forged")));
}

#[tokio::test]
async fn what_cannot_be_recorded_is_in_force_and_told_after_the_next_start() {
    let mut scratch = Scratch::new("unwritable");
    scratch.stop_log();
    let is_in_force = std::sync::atomic::AtomicBool::new(false);
    let change = |_: &Sql<'_>, _| Ok::<_, ChangeError>(Change::told_by((), [removed("one"), removed("two")]));
    let in_force = |()| {
        is_in_force.store(true, std::sync::atomic::Ordering::SeqCst);
        Ok(())
    };
    let refused = scratch.outbox.commit_and(change, in_force).await.unwrap_err();
    assert!(matches!(refused, ChangeError::Unrecorded(_)), "{refused}");
    assert!(is_in_force.into_inner(), "though it is not on record");
    assert_eq!(scratch.rows().len(), 1);
    scratch.outbox.under_way.left.notified().await;
    assert!(scratch.outbox.tell_left().is_err());
    scratch.reopen();
    assert_eq!(scratch.outbox.tell_left().unwrap(), 2);
    assert_eq!(scratch.told(Event::FactorRemoved).len(), 2);
    assert!(scratch.rows().is_empty());
}
