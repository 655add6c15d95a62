//! Who is in whose care by what the upstream says: asked with the gateway's own credential, for one person at a time, and
//! remembered for a short while.
//!
//! What comes back is looked at resource by resource: one that does not itself name the person and a patient, and is not in
//! force, makes no relation, whatever it was found by. What cannot be asked or read makes none either, and is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chartgate_access::ids::{FhirUser, PatientId};
use chartgate_access::pdp::caller::{Caller, CallerKind};
use chartgate_protocol::fhir::bundle::{Links, Released};
use chartgate_protocol::fhir::care::{Source, holder_of_role};
use chartgate_protocol::fhir::interaction::Interaction;
use chartgate_protocol::fhir::name::ResourceType;
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::fhir::searchset::{Companions, Disposition, Searchset, Sought};
use chartgate_protocol::form::Form;
use chartgate_protocol::json::Node;
use chartgate_values::{Clock, Timestamp};
use futures_util::future::{FutureExt as _, join_all};
use http::StatusCode;
use moka::sync::Cache;
use tokio::sync::Mutex as AsyncMutex;

use super::upstream::FhirUpstream;
use super::written::Writing;
use crate::config::{CareFrom, CareRoles, CareTable};
use crate::pep::Gateway;
use crate::pep::enforce::{Asking, Care};
use crate::pep::respond::UpstreamFault;

mod people;

/// What is known of who is in whose care, and how more is found out.
pub(super) struct CareRelations {
    from: CareFrom,
    kept: Cache<Reference, Arc<AsyncMutex<Option<Arc<Relations>>>>>,
    /// How many writes went by that may have changed something.
    writes: Arc<AtomicU64>,
}

/// The patients in somebody's care by what the upstream says, each with the resource that proves it.
#[derive(Debug)]
pub(in crate::pep) struct Relations {
    proofs: BTreeMap<PatientId, Reference>,
    failed: BTreeSet<String>,
    as_of: Timestamp,
    writes: u64,
}

/// What a look at the relations is for.
#[derive(Clone, Copy, Debug)]
pub(in crate::pep) enum Looking<'a> {
    /// All that there are.
    AtAll,
    /// These patients, and with them somebody of whom nothing is known.
    For(&'a BTreeSet<PatientId>),
}

/// So many people's relations are remembered.
const PEOPLE: u64 = 10_000;
/// So many patients are taken for one person.
const PATIENTS: usize = 10_000;
/// So many pages of one search are looked at.
const PAGES: usize = 25;
/// How many are asked for a page.
const A_PAGE: &str = "200";
/// That somebody is not in care, and that it could not be told, is believed so long.
const NEGATIVE: Duration = Duration::from_secs(10);

impl CareRelations {
    pub(super) fn new(from: CareFrom, writes: Arc<AtomicU64>) -> Self {
        Self { from, kept: Cache::new(PEOPLE), writes }
    }

    /// The same for what may have written anything.
    pub(super) fn writing_anything(&self) -> Writing<'_> {
        Writing(&self.writes)
    }

    /// What is done when writes are over, however they end: what was known before may be no more so.
    pub(super) fn writing<'i>(
        &self,
        writes: impl IntoIterator<Item = &'i Interaction>,
    ) -> Option<Writing<'_>> {
        let makes_relations = |write: &Interaction| {
            let name = write.written_type().map_or("", ResourceType::as_str);
            name == "PractitionerRole" || Source::ALL.iter().any(|source| source.as_str() == name)
        };
        writes.into_iter().any(makes_relations).then_some(Writing(&self.writes))
    }

    fn is_good(&self, known: &Relations, looking: Looking<'_>, now: Timestamp) -> bool {
        let age = now.since(known.as_of);
        let is_new = age < NEGATIVE.min(self.from.cache);
        let lacks = match looking {
            Looking::AtAll => false,
            Looking::For(patients) => {
                patients.is_empty() || patients.iter().any(|patient| !known.proofs.contains_key(patient))
            }
        };
        known.writes == self.writes.load(Ordering::SeqCst)
            && known.as_of <= now
            && age < self.from.cache
            && (is_new || (!lacks && known.failed.is_empty()))
    }
}

impl Relations {
    /// The resource that puts a patient into the person's care.
    pub(in crate::pep) fn by(&self, patient: &PatientId) -> Option<&Reference> {
        self.proofs.get(patient)
    }

    /// All patients in the person's care.
    pub(in crate::pep) fn patients(&self) -> impl Iterator<Item = &PatientId> {
        self.proofs.keys()
    }

    /// Which look-ups failed, and why.
    pub(in crate::pep) fn failed(&self) -> &BTreeSet<String> {
        &self.failed
    }
}

/// The person as FHIR knows them, if they are one who can care for patients.
fn carer(user: &FhirUser) -> Option<Reference> {
    let reference: Reference = user.as_str().parse().ok()?;
    ["Practitioner", "PractitionerRole"].contains(&reference.resource_type.as_str()).then_some(reference)
}

/// Who is in the care of a caller: known by the table, and to be asked for.
pub(super) fn of<'a>(gateway: &'a Gateway, upstream: &'a FhirUpstream, caller: &Caller) -> Care<'a> {
    let Caller { facts, fhir_user, .. } = caller;
    let table = match upstream.care.from.table {
        CareTable::Counts => gateway.care.of(&facts.subject),
        CareTable::Ignored => Arc::default(),
    };
    let person = match facts.kind {
        CallerKind::Person if !upstream.care.from.sources.is_empty() => fhir_user.as_ref().and_then(carer),
        CallerKind::Person | CallerKind::Workload => None,
    };
    Care::new(table, Asking { upstream, person, clock: &*gateway.clock })
}

impl FhirUpstream {
    /// Who is in the care of a person. One look-up at a time for each person; others wait for what it finds.
    pub(in crate::pep) async fn relations(
        &self,
        person: &Reference,
        looking: Looking<'_>,
        clock: &dyn Clock,
    ) -> Arc<Relations> {
        let place = self.care.kept.get_with(person.clone(), Arc::default);
        let mut kept = place.lock().await;
        if let Some(known) = kept.as_ref().filter(|known| self.care.is_good(known, looking, clock.now())) {
            return Arc::clone(known);
        }
        // Dated before it is asked, so that what changes meanwhile is not believed for longer.
        let found = Arc::new(self.look_up(person, clock.now()).await);
        *kept = Some(Arc::clone(&found));
        found
    }

    async fn look_up(&self, person: &Reference, now: Timestamp) -> Relations {
        let writes = self.care.writes.load(Ordering::SeqCst);
        let mut failed = BTreeSet::new();
        let mut selves = BTreeSet::from([person.clone()]);
        if self.care.from.roles == CareRoles::Followed && person.resource_type.as_str() == "Practitioner" {
            let asked = form(&[("practitioner", &person.to_string())]);
            let roles = self.search("PractitionerRole", vec![asked], |role, reference| {
                (holder_of_role(role, now, &self.bases).as_ref() == Some(person)).then(|| reference.clone())
            });
            let (roles, why) = roles.await;
            selves.extend(roles);
            failed.extend(why);
        }
        let names: Vec<String> = selves.iter().map(ToString::to_string).collect();
        let (names, selves) = (names.join(","), &selves);
        let asking = self.care.from.sources.iter().map(|source| {
            let searches = self.searches(*source, Side::Carer(&names), now);
            let proven = move |resource: &Node<'_>, reference: &Reference| {
                let proven = source.proves(resource, self.care.from.margins, now, &self.bases)?;
                (!proven.carers.is_disjoint(selves)).then(|| (proven.patients, reference.clone()))
            };
            self.search(source.as_str(), searches, proven).boxed()
        });
        let mut proofs = BTreeMap::new();
        for (found, why) in join_all(asking.collect::<Vec<_>>()).await {
            failed.extend(why);
            for (patients, proof) in found {
                for patient in patients.iter().filter_map(|id| id.as_str().parse().ok()) {
                    proofs.entry(patient).or_insert_with(|| proof.clone());
                }
            }
        }
        if proofs.len() > PATIENTS {
            failed.insert(format!("more than {PATIENTS} patients"));
            proofs = proofs.into_iter().take(PATIENTS).collect();
        }
        if !failed.is_empty() {
            tracing::warn!(failed = failed.len(), "relations of care cannot be looked up in full");
        }
        Relations { proofs, failed, as_of: now, writes }
    }

    /// Those in whose care a patient is by what the upstream says, each with the resource that proves it; and which look-ups
    /// failed.
    pub(in crate::pep) async fn carers_of(
        &self,
        patient: &PatientId,
        now: Timestamp,
    ) -> (BTreeMap<Reference, Reference>, BTreeSet<String>) {
        let (mut carers, mut failed) = (BTreeMap::new(), BTreeSet::new());
        let name = format!("Patient/{patient}");
        for source in &self.care.from.sources {
            let searches = self.searches(*source, Side::Patient(&name), now);
            let proven = |resource: &Node<'_>, reference: &Reference| {
                let proven = source.proves(resource, self.care.from.margins, now, &self.bases)?;
                let is_theirs = proven.patients.iter().any(|id| id.as_str() == patient.as_str());
                is_theirs.then(|| (proven.carers, reference.clone()))
            };
            let (found, why) = self.search(source.as_str(), searches, proven).await;
            failed.extend(why);
            for (proven, proof) in found {
                for carer in proven {
                    carers.entry(carer).or_insert_with(|| proof.clone());
                }
            }
        }
        let roles: Vec<&str> = carers
            .keys()
            .filter(|carer| carer.resource_type.as_str() == "PractitionerRole")
            .map(|role| role.id.as_str())
            .collect();
        if self.care.from.roles == CareRoles::Followed && !roles.is_empty() {
            let asked = form(&[("_id", &roles.join(","))]);
            let held = |role: &Node<'_>, reference: &Reference| {
                Some((holder_of_role(role, now, &self.bases)?, carers.get(reference)?.clone()))
            };
            let (holders, why) = self.search("PractitionerRole", vec![asked], held).await;
            failed.extend(why);
            for (holder, proof) in holders {
                carers.entry(holder).or_insert(proof);
            }
        }
        (carers, failed)
    }

    /// The searches for what a source may say. They ask for no less than what counts.
    fn searches(&self, source: Source, side: Side<'_>, now: Timestamp) -> Vec<Form> {
        let margins = self.care.from.margins;
        let from = |margin| format!("ge{}", day(now.minus(margin)));
        let asked = |state: &[(&str, &str)]| {
            let (name, value) = match (side, source) {
                (Side::Patient(name), _) => ("patient", name),
                (Side::Carer(names), Source::CareTeam | Source::Encounter) => ("participant", names),
                (Side::Carer(names), Source::Appointment) => ("actor", names),
            };
            form(&[&[(name, value)], state].concat())
        };
        match source {
            Source::CareTeam => vec![asked(&[("status", "active")])],
            Source::Encounter => vec![
                asked(&[("status", &Source::under_way(self.version()).join(","))]),
                asked(&[
                    ("status", &Source::over(self.version()).join(",")),
                    ("date", &from(margins.after_encounter)),
                ]),
            ],
            // One that is longer than a day begins before its end is near.
            Source::Appointment => vec![asked(&[
                ("status", &Source::AGREED.join(",")),
                ("date", &from(margins.around_appointment.saturating_add(DAY))),
                ("date", &format!("le{}", day(now.plus(margins.around_appointment).plus(DAY)))),
            ])],
        }
    }

    /// What the records that searches find prove, as far as they can be read; and why there may be more.
    async fn search<T: Send>(
        &self,
        kind: &str,
        searches: Vec<Form>,
        proven: impl Fn(&Node<'_>, &Reference) -> Option<T> + Send + Sync,
    ) -> (Vec<T>, Option<String>) {
        let mut all = Vec::new();
        let why = |why: &str| Some(format!("{kind}: {why}"));
        let Ok(resource_type) = kind.parse::<ResourceType>() else { return (all, why("unknown")) };
        let sought = Sought::Type(resource_type, Companions::None);
        for form in searches {
            let mut page = self.call("POST", &format!("/{kind}/_search"), Some(form.encode())).await;
            let mut left = PAGES;
            loop {
                let answer = match page {
                    Ok(answer) if answer.status == StatusCode::OK => answer,
                    Ok(answer) => return (all, why(&format!("answered {}", answer.status.as_u16()))),
                    Err(fault) => return (all, why(&fault.to_string())),
                };
                let Ok(searchset) = Searchset::parse(&answer.body, sought, &self.bases) else {
                    return (all, why(&UpstreamFault::Wrong.to_string()));
                };
                let next = searchset.next().cloned();
                let nowhere = Links { own: "", next: None };
                let _: Released<()> = searchset.release(nowhere, &self.bases, |resource, _| {
                    all.extend(proven(resource.value(), resource.reference()));
                    Disposition::Withhold
                });
                let Some(next) = next else { break };
                left = left.saturating_sub(1);
                if left == 0 || all.len() > PATIENTS {
                    return (all, why("more than is looked at"));
                }
                page = self.call("GET", next.as_str(), None).await;
            }
        }
        (all, None)
    }
}

/// By whom is searched.
#[derive(Clone, Copy)]
enum Side<'a> {
    Carer(&'a str),
    Patient(&'a str),
}

const DAY: Duration = Duration::from_hours(24);

/// The day of a moment, in UTC.
fn day(of: Timestamp) -> String {
    of.to_string().chars().take(10).collect()
}

fn form(pairs: &[(&str, &str)]) -> Form {
    let mut form = Form::default();
    pairs.iter().for_each(|(name, value)| form.push(name, value));
    form.push("_count", A_PAGE);
    form
}
