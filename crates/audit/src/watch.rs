//! What of the log somebody should look at: rules over records, each a [`Finding`] when it is met.
//! Information system activity review, 45 CFR 164.308(a)(1)(ii)(D).
//!
//! [`Watch`] sees records in their order and knows nothing but them, [`Rules`] and what is known of people: what it has
//! to know of what was before, records of the last [`Watch::counts_back`] and findings of the last [`Watch::looks_back`], it
//! can be shown again at any time. So whoever runs it keeps a place in the log and
//! no more.
//!
//! A finding is of one rule and one [subject](Finding::of), and stands for what they do until [`Finding::until`]: within that
//! time there is no second one. It is named after the record that showed it, so that there is none twice however often the
//! record is looked at.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Duration;

use chartgate_values::{Phi, Timestamp, network_of};

use crate::reader::Entry;
use crate::record::{Event, Outcome, Record};

mod finding;
mod hours;
mod names;
mod rules;
mod touched;
mod unwanted;
mod window;

pub use finding::{Disposition, Finding, FindingId, NotAFinding, Rule};
pub use hours::{Days, Hours, NotAnOffset, Offset, TimeOfDay};
pub use names::FamilyName;
pub use rules::{BulkReads, FailedSignIns, Listed, Repeated, Rules, UnwantedApprovals};
use window::Window;

/// What is known of people beside the log: by their subject.
pub type People = BTreeMap<String, Known>;

/// What is known of a person.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Known {
    /// Their family name.
    pub family_name: Option<FamilyName>,
    /// The patient who they are themselves.
    pub own_record: Option<Phi<String>>,
}

/// Family names of patients, by route and id; nobody's, where none is known.
pub type Names = HashMap<(String, Phi<String>), Vec<FamilyName>>;

/// Which rules a [`Watch`] has: those of names have to ask for them, and must hold up nothing else.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lane {
    /// All that the log itself shows.
    Acts,
    /// The same family name.
    Names,
}

/// Sees records, and says when a rule is met.
#[derive(Debug)]
pub struct Watch {
    rules: Rules,
    lane: Lane,
    /// Different patients that somebody read.
    read: HashMap<String, Window<Phi<String>>>,
    /// Failed sign-ins: of an account, from an address, and all.
    failed: HashMap<Failing, Window<u64>>,
    /// Different accounts that were tried from an address.
    tried: HashMap<Phi<String>, Window<String>>,
    /// Questions that somebody did not approve, by who was asked and by whom.
    unapproved: HashMap<String, Window<u64>>,
    /// What there is a finding for already.
    known: HashMap<(Rule, Phi<String>), Vec<Span>>,
    /// The names of findings, and until when each is known.
    named: HashMap<FindingId, Timestamp>,
    seen: u32,
}

/// Of what failed sign-ins are counted.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Failing {
    Account(String),
    Address(Phi<String>),
    All,
}

/// From one time until before another.
type Span = (Timestamp, Timestamp);

/// How often what is over is forgotten.
const FORGETS_EVERY: u32 = 4096;

impl Watch {
    /// With these rules, as if nothing had happened yet.
    #[must_use]
    pub fn new(rules: Rules, lane: Lane) -> Self {
        Self {
            rules,
            lane,
            read: HashMap::new(),
            failed: HashMap::new(),
            tried: HashMap::new(),
            unapproved: HashMap::new(),
            known: HashMap::new(),
            named: HashMap::new(),
            seen: 0,
        }
    }

    /// Of how long before now it has to know the findings when it goes on anew.
    #[must_use]
    pub fn looks_back(&self) -> Duration {
        self.rules.longest()
    }

    /// Of how long before now it counts what happened: the rest of what it looks back at are findings.
    #[must_use]
    pub fn counts_back(&self) -> Duration {
        match self.lane {
            Lane::Acts => self.rules.counted(),
            Lane::Names => Duration::ZERO,
        }
    }

    /// Notes a finding that there is, whoever made it.
    pub fn know(&mut self, finding: &Finding) {
        for subject in finding.subjects() {
            self.known.entry((finding.rule, subject)).or_default().push((finding.at, finding.until));
        }
        self.named.insert(finding.id.clone(), finding.until);
    }

    /// Sees the next record. What it finds is not known to it before it is told ([`Watch::know`]): so a record that was seen
    /// before can be shown again, to go on from where it was.
    pub fn see(&mut self, entry: &Entry, people: &People, names: &Names) -> Vec<Finding> {
        self.seen = self.seen.wrapping_add(1);
        if self.seen.is_multiple_of(FORGETS_EVERY) {
            self.forget(entry.record.time);
        }
        match (self.lane, entry.record.event) {
            (_, Event::WatchFinding) => {
                if let Ok(finding) = Finding::of_record(&entry.record) {
                    self.know(&finding);
                }
                Vec::new()
            }
            (Lane::Acts, Event::LoginFailed) => self.see_failure(entry),
            (
                Lane::Acts,
                Event::ApprovalRequested
                | Event::ApprovalReported
                | Event::ApprovalDenied
                | Event::ApprovalLapsed
                | Event::EmergencyDisowned,
            ) => self.see_unwanted(entry),
            (Lane::Acts, Event::Access | Event::EmergencyRequested | Event::EmergencyGranted) => {
                self.see_access(entry, people)
            }
            (Lane::Names, Event::Access) => self.see_names(entry, people, names).into_iter().collect(),
            (_, _) => Vec::new(),
        }
    }

    /// Whose family names it takes to see a record.
    #[must_use]
    pub fn wants(&self, record: &Record, people: &People) -> Vec<(String, Phi<String>)> {
        if self.lane == Lane::Acts {
            return Vec::new();
        }
        let Some((_, patients)) = self.comparable(record, people) else { return Vec::new() };
        let route = record.route.clone().unwrap_or_default();
        patients.into_iter().map(|patient| (route.clone(), patient)).collect()
    }

    fn see_access(&mut self, entry: &Entry, people: &People) -> Vec<Finding> {
        let record = &entry.record;
        let mut found = Vec::new();
        if is_choosing(record) {
            return found;
        }
        for (rule, listed) in [(Rule::Canary, self.rules.canary.clone()), (Rule::Vip, self.rules.vip.clone())]
        {
            let Some(listed) = listed else { continue };
            let touched = touched::of(record, &listed.patients);
            let touched = touched.into_iter().filter(|patient| !is_their_own(record, patient));
            found.extend(self.about_patients(entry, rule, listed.again_after, touched.collect()));
        }
        let Some(actor) = actor(record).filter(|_| is_released(record)) else { return found };
        if let Some(rule) = &self.rules.self_access {
            let again_after = rule.again_after;
            let own: Vec<_> =
                record.patients_given().filter(|p| is_self_access(record, p, people)).cloned().collect();
            found.extend(self.about_patients(entry, Rule::SelfAccess, again_after, own));
        }
        if let Some(again_after) = self.rules.is_off_hours(record) {
            found.extend(self.about(entry, Rule::OffHours, again_after, &actor, (vec![entry.index], None)));
        }
        found.extend(self.see_bulk(entry, &actor));
        found
    }

    fn see_bulk(&mut self, entry: &Entry, actor: &str) -> Option<Finding> {
        let rule = self.rules.bulk_reads.as_ref().filter(|rule| !rule.except.contains(actor))?;
        let (most, within) = (rule.patients, rule.within);
        let window = self.read.entry(actor.to_owned()).or_insert_with(|| Window::new(most, within));
        let mut reached = None;
        for patient in entry.record.patients_given() {
            reached = window.add(patient.clone(), entry.record.time, entry.index).or(reached);
        }
        let reached = reached?;
        let records: BTreeSet<u64> = reached.iter().map(|(_, index)| *index).collect();
        let patients = reached.into_iter().map(|(patient, _)| patient).collect();
        let mut found =
            self.about(entry, Rule::BulkRead, within, actor, (records.into_iter().collect(), Some(most)))?;
        found.patients = patients;
        Some(found)
    }

    fn see_failure(&mut self, entry: &Entry) -> Vec<Finding> {
        let Some(rule) = self.rules.failed_sign_ins else { return Vec::new() };
        let record = &entry.record;
        let account = record.actor.sub.clone();
        // Of IPv6 its network, which says so by its end.
        let address = record.source_ip.as_ref().map(|ip| Phi::new(network_of(*ip.expose()).to_string()));
        let mut found = Vec::new();
        let counted = [
            account.clone().map(|account| (Failing::Account(account), rule.per_account)),
            address.clone().map(|address| (Failing::Address(address), rule.per_address)),
            Some((Failing::All, rule.in_all)),
        ];
        for (of, most) in counted.into_iter().flatten() {
            let window = self.failed.entry(of.clone()).or_insert_with(|| Window::new(most, rule.within));
            let Some(reached) = window.add(entry.index, record.time, entry.index) else { continue };
            let records = reached.into_iter().map(|(_, index)| index).collect();
            let subject = match &of {
                Failing::Account(account) => format!("account {account}"),
                Failing::Address(address) => format!("address {}", address.expose()),
                Failing::All => "all".to_owned(),
            };
            let whose = match of {
                Failing::Account(account) => Some(account),
                Failing::Address(_) | Failing::All => None,
            };
            let about = self.about(entry, Rule::FailedSignIns, rule.within, &subject, (records, Some(most)));
            found.extend(about.map(|about| Finding { user: whose, client: None, ..about }));
        }
        if let (Some(account), Some(address)) = (account, address) {
            let (most, within) = (rule.accounts_per_address, rule.within);
            let window = self.tried.entry(address.clone()).or_insert_with(|| Window::new(most, within));
            if let Some(reached) = window.add(account, record.time, entry.index) {
                let records = reached.into_iter().map(|(_, index)| index).collect();
                let subject = format!("accounts from {}", address.expose());
                let about = self.about(entry, Rule::FailedSignIns, within, &subject, (records, Some(most)));
                found.extend(about.map(|about| Finding { user: None, client: None, ..about }));
            }
        }
        found
    }

    fn see_names(&mut self, entry: &Entry, people: &People, names: &Names) -> Option<Finding> {
        let again_after = self.rules.same_surname?.again_after;
        let record = &entry.record;
        let (own, patients) = self.comparable(record, people)?;
        let route = record.route.clone().unwrap_or_default();
        let has_it = |patient: &Phi<String>| {
            let theirs = names.get(&(route.clone(), patient.clone()));
            theirs.is_some_and(|theirs| theirs.iter().any(|name| name.is_same(own)))
        };
        let same = patients.into_iter().filter(has_it).collect();
        self.about_patients(entry, Rule::SameSurname, again_after, same)
    }

    /// The person's own family name, and the patients whose record it is compared for.
    fn comparable<'p>(
        &self,
        record: &Record,
        people: &'p People,
    ) -> Option<(&'p FamilyName, Vec<Phi<String>>)> {
        let rule = self.rules.same_surname.as_ref()?;
        if record.event != Event::Access
            || !is_released(record)
            || record.patients_given().count() > rule.patients_at_most
        {
            return None;
        }
        let known = people.get(record.actor.sub.as_ref()?)?;
        let own = known.family_name.as_ref()?;
        let others = record
            .patients_given()
            .filter(|patient| known.own_record.as_ref() != Some(*patient) && !is_their_own(record, patient));
        Some((own, others.cloned().collect()))
    }

    /// A finding about those of these patients for whom there is none yet of this person's.
    fn about_patients(
        &self,
        entry: &Entry,
        rule: Rule,
        again_after: Duration,
        patients: Vec<Phi<String>>,
    ) -> Option<Finding> {
        let actor = actor(&entry.record).unwrap_or_else(|| NOBODY.to_owned());
        let mut finding = finding_of(entry, rule, again_after, &actor);
        finding.patients = patients
            .into_iter()
            .filter(|patient| {
                let one = Finding { patients: vec![patient.clone()], ..finding.clone() };
                one.subjects().iter().any(|subject| !self.is_known(rule, subject, entry.record.time))
            })
            .collect();
        // What is known now may show in this record another patient than what was known when it was first seen.
        while !finding.patients.is_empty() && self.named.contains_key(&finding.id) {
            finding.id = finding.id.next()?;
        }
        (!finding.patients.is_empty()).then_some(finding)
    }

    /// A finding about what somebody did, unless there is one.
    fn about(
        &self,
        entry: &Entry,
        rule: Rule,
        again_after: Duration,
        of: &str,
        (records, reached): (Vec<u64>, Option<usize>),
    ) -> Option<Finding> {
        if self.is_known(rule, &Phi::new(of.to_owned()), entry.record.time) {
            return None;
        }
        let mut finding = finding_of(entry, rule, again_after, of);
        finding.records = records;
        finding.reached = reached;
        Some(finding)
    }

    fn is_known(&self, rule: Rule, subject: &Phi<String>, time: Timestamp) -> bool {
        let times = self.known.get(&(rule, subject.clone()));
        times.is_some_and(|times| times.iter().any(|(at, until)| *at <= time && time < *until))
    }

    fn forget(&mut self, now: Timestamp) {
        self.read.retain(|_, window| window.is_of(now));
        self.failed.retain(|_, window| window.is_of(now));
        self.tried.retain(|_, window| window.is_of(now));
        self.unapproved.retain(|_, window| window.is_of(now));
        let longest = self.looks_back();
        self.known.retain(|_, times| {
            times.retain(|(_, until)| until.plus(longest) > now);
            !times.is_empty()
        });
        self.named.retain(|_, until| until.plus(longest) > now);
    }
}

/// How findings call those who did not show who they are.
const NOBODY: &str = "nobody known";

/// Who acts: the person, or the client that acts for itself.
fn actor(record: &Record) -> Option<String> {
    record.actor.sub.clone().or_else(|| record.actor.client_id.clone())
}

/// Whether a record is of an access that gave something of patients.
fn is_released(record: &Record) -> bool {
    record.event == Event::Access
        && record.outcome == Outcome::Allow
        && record.patients_given().next().is_some()
        && !is_choosing(record)
}

/// Whether somebody was shown their own patients to choose one: what they read then counts, and whom they did not choose they
/// did not look for.
fn is_choosing(record: &Record) -> bool {
    record.decision.reason.as_deref().is_some_and(|reason| PICKERS.contains(&reason))
}

/// How accesses of the pages are called on which somebody chooses.
const PICKERS: [&str; 2] = ["patient-picker", "encounter-picker"];

/// Whether a patient acts on their own record as one.
fn is_their_own(record: &Record, patient: &Phi<String>) -> bool {
    let own = record.actor.fhir_user.as_ref().and_then(|own| own.expose().strip_prefix("Patient/"));
    own == Some(patient.expose().as_str()) && record.actor.roles.iter().all(|role| role == PATIENT)
}

/// The role of those who see their own record as patients.
const PATIENT: &str = "patient";

/// Whether somebody reads their own record by what they may for others.
fn is_self_access(record: &Record, patient: &Phi<String>, people: &People) -> bool {
    if is_their_own(record, patient) {
        return false;
    }
    let by_name = record.actor.fhir_user.as_ref().and_then(|own| own.expose().strip_prefix("Patient/"));
    let known = record.actor.sub.as_ref().and_then(|sub| people.get(sub));
    by_name == Some(patient.expose().as_str())
        || known.is_some_and(|known| known.own_record.as_ref() == Some(patient))
}

fn finding_of(entry: &Entry, rule: Rule, again_after: Duration, of: &str) -> Finding {
    let record = &entry.record;
    Finding {
        id: FindingId::new(rule, of, entry.index),
        rule,
        at: record.time,
        until: record.time.plus(again_after),
        user: record.actor.sub.clone(),
        client: record.actor.client_id.clone(),
        of: Phi::new(of.to_owned()),
        patients: Vec::new(),
        records: vec![entry.index],
        reached: None,
        outcome: record.outcome,
    }
}

#[cfg(test)]
mod tests;
