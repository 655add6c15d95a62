use std::path::PathBuf;

use chartgate_audit::record::{Outcome, Record};
use chartgate_values::seal::MasterKey;
use chartgate_values::{Clock, FixedClock, Secret};

use super::*;
use crate::config::{Audit, Durability};
use crate::log::Log;
use crate::store::Store;

/// A folder that goes with its value.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn ways_in_that_were_taken_away_meanwhile_are_listed_and_what_leaves_nothing_is_not() {
    let folder = Folder(std::env::temp_dir().join(format!("chartgate-since-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(FixedClock::at(Timestamp::from_unix(1_800_000_000)));
    let store = Arc::new(Store::open(&folder.0.join("db")).unwrap());
    let config = Audit {
        dir: folder.0.join("log"),
        index: folder.0.join("index.db"),
        durability: Durability::Fsync,
        retention: std::time::Duration::ZERO,
        reserve: 0,
        exports: Arc::from([]),
        witnesses: Arc::from([]),
        witness_quorum: 0,
    };
    let (seed, master) = (Secret::new([1; 32]), MasterKey::from_bytes([7; 32]));
    let log = Log::start(&config, "gate.test/audit", &seed, &master, Arc::clone(&store), Arc::clone(&clock))
        .unwrap();
    let key = log.reading.reader.key().clone();
    let mut begun = 0;
    for (event, outcome) in [
        (Event::UserDisabled, Outcome::Allow),
        (Event::BackupBegun, Outcome::Allow),
        (Event::FactorRemoved, Outcome::Allow),
        (Event::Access, Outcome::Allow),
        // Where a passkey is put out of use, its sign-in is denied.
        (Event::FactorSuspected, Outcome::Deny),
        (Event::LoginSucceeded, Outcome::Allow),
        (Event::RecoveryCodesMade, Outcome::Allow),
        // A link in place of the password, which is good no more.
        (Event::EnrolmentIssued, Outcome::Allow),
        (Event::UserDisabled, Outcome::Allow),
    ] {
        let recorded = log.journal.append(&Record::new(event, outcome, clock.now()), ()).await.unwrap();
        if event == Event::BackupBegun {
            begun = recorded.index();
        }
    }
    log.stop();
    store.close();
    let listed = since(&config.dir, &key, begun).unwrap();
    let events: Vec<Event> = listed.iter().map(|act| act.event).collect();
    assert_eq!(
        events,
        [
            Event::FactorRemoved,
            Event::FactorSuspected,
            Event::RecoveryCodesMade,
            Event::EnrolmentIssued,
            Event::UserDisabled
        ]
    );
}
