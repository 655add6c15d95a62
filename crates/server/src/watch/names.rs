//! Family names of patients, to compare them with that of whoever looked at their record: asked for of the route's FHIR server,
//! long after the answer left, and remembered in memory alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chartgate_access::ids::PatientId;
use chartgate_audit::reader::Entry;
use chartgate_audit::record::{Event, Outcome};
use chartgate_audit::watch::{FamilyName, Names, People, Watch};
use chartgate_values::{Clock, Phi, Timestamp};
use moka::sync::Cache;

use super::{Stuck, Watcher};
use crate::directory::LiveDirectory;

/// So many patients' names are remembered,
const PATIENTS: u64 = 50_000;
/// for so long.
const LIFE: Duration = Duration::from_hours(24);
/// For so many patients is asked at once.
const AT_ONCE: usize = 50;

type Key = (String, Phi<String>);

/// What is known of names.
pub(super) struct FamilyNames {
    directory: Arc<LiveDirectory>,
    clock: Arc<dyn Clock>,
    kept: Cache<Key, (Timestamp, Arc<[FamilyName]>)>,
}

impl FamilyNames {
    pub(super) fn new(directory: Arc<LiveDirectory>, clock: Arc<dyn Clock>) -> Self {
        Self { directory, clock, kept: Cache::new(PATIENTS) }
    }

    fn known(&self, key: &Key) -> Option<Arc<[FamilyName]>> {
        let (as_of, names) = self.kept.get(key)?;
        let now = self.clock.now();
        (as_of <= now && now.since(as_of) < LIFE).then_some(names)
    }
}

impl Watcher {
    /// The family names that it takes to see these records. That they are asked for is on record first.
    pub(super) async fn names_for(
        &self,
        watch: &Watch,
        entries: &[Entry],
        people: &People,
    ) -> Result<Names, Stuck> {
        let wanted: BTreeSet<Key> =
            entries.iter().flat_map(|entry| watch.wants(&entry.record, people)).collect();
        let mut names = Names::new();
        let mut unknown = BTreeMap::<String, Vec<PatientId>>::new();
        for key in wanted {
            match self.names.known(&key) {
                Some(known) => drop(names.insert(key, known.to_vec())),
                None => {
                    let (route, patient) = key;
                    unknown.entry(route).or_default().extend(patient.expose().parse::<PatientId>().ok());
                }
            }
        }
        for (route, patients) in unknown {
            for some in patients.chunks(AT_ONCE) {
                let some: BTreeSet<PatientId> = some.iter().cloned().collect();
                for (patient, found) in self.ask(&route, &some).await? {
                    let key = (route.clone(), Phi::new(patient.to_string()));
                    self.names.kept.insert(key.clone(), (self.clock.now(), found.clone().into()));
                    names.insert(key, found);
                }
            }
        }
        Ok(names)
    }

    async fn ask(
        &self,
        route: &str,
        patients: &BTreeSet<PatientId>,
    ) -> Result<BTreeMap<PatientId, Vec<FamilyName>>, Stuck> {
        let directory = self.names.directory.current();
        let directory = directory.ok_or_else(|| Stuck::Names("the gateway is not running".to_owned()))?;
        let mut record = self.record(Event::WatchNames, Outcome::Allow);
        record.route = Some(route.to_owned());
        record.patients = patients.iter().map(|patient| Phi::new(patient.to_string())).collect();
        let _ = self.journal.append(&record, ()).await?;
        let found = directory.family_names(route, patients).await.map_err(Stuck::Names)?;
        // Who is not there has no name, and is not asked for again at once.
        let named = patients.iter().map(|patient| {
            let texts = found.get(patient).into_iter().flatten();
            (patient.clone(), texts.filter_map(|text| FamilyName::new(text.expose())).collect())
        });
        Ok(named.collect())
    }
}
