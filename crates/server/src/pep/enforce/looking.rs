//! What decisions depend on besides policies: how a record stands to the caller, whether its
//! patients are minors, and what they have forbidden. Where
//! that is not known yet, the decision is left open until it was looked for.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use chartgate_access::ids::PatientId;
use chartgate_access::pdp::decide::{Decision, NO_LABELS};
use chartgate_access::pdp::relation::{Belongs, Relation};
use chartgate_protocol::fhir::consent::{Asked, Record, Says};
use chartgate_protocol::fhir::labels::Labels;
use chartgate_protocol::fhir::membership::{Ownership, ownership};
use chartgate_protocol::fhir::name::{ResourceId, ResourceType};
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::smart::scope::Permission;

use super::{Enforcer, Known, RecordDenied, record_action};
use crate::pep::fhir::{Age, MINOR, MINOR_UNKNOWN, Said, act, asker};

/// Patients for whom decisions were left open.
#[derive(Default)]
pub(super) struct Open {
    /// Until it is known whether they are in care,
    pub(super) care: BTreeSet<PatientId>,
    /// which of them are minors,
    pub(super) ages: BTreeSet<PatientId>,
    /// and what they have forbidden.
    pub(super) consents: BTreeSet<PatientId>,
}

/// How a record stands to the caller.
pub(super) struct Stands {
    pub(super) relation: Relation,
    /// By what its patients are in the caller's care, where that is to be told.
    pub(super) by: Vec<String>,
}

impl Enforcer<'_> {
    /// Looks up what decisions since the last look were left open for; then they are taken anew. Each look in a box of its
    /// own, for it is rare and what is common should be small.
    pub(in crate::pep) async fn catch_up(&self) -> Known {
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        if open.care.is_empty() && open.ages.is_empty() && open.consents.is_empty() {
            return Known::AsBefore;
        }
        if !open.care.is_empty() {
            // Another entry of the same batch may have looked meanwhile.
            let _: Known = Box::pin(self.care.look_up(&open.care)).await;
        }
        if !open.ages.is_empty() {
            Box::pin(self.care.look_at_ages(&open.ages)).await;
        }
        if !open.consents.is_empty() {
            Box::pin(self.care.look_at_consents(&open.consents)).await;
        }
        Known::More
    }

    /// Whether something about patients is looked at besides who is in care.
    pub(in crate::pep) fn looks_at_patients(&self) -> bool {
        self.care.consents_are_looked_at().is_some() || self.care.minors_are_labelled()
    }

    /// Looks up what a decision about a record might be left open for of which nothing is known: so that what is not there
    /// takes the same calls as what is kept from the caller.
    pub(in crate::pep) async fn look_up(&self) -> Known {
        match self.catch_up().await {
            Known::More => Known::More,
            Known::AsBefore => Box::pin(self.care.look_up(&BTreeSet::new())).await,
        }
    }

    /// Looks up what a search for records of a type has to be narrowed by.
    pub(in crate::pep) async fn look_up_for(
        &self,
        permission: Permission,
        resource_type: ResourceType,
        named: &BTreeSet<ResourceId>,
    ) {
        let is_theirs = |id: &ResourceId| {
            let id = id.as_str().parse::<PatientId>();
            id.is_ok_and(|id| Some(&id) == self.own.as_ref() || self.care.in_table(&id))
        };
        let is_plain = !named.is_empty() && named.iter().all(is_theirs);
        if is_plain
            || !self.care.is_open()
            || ownership(self.version, resource_type) != Ownership::Patients
            || !self.is_policys(permission, resource_type)
            || !self.may(permission, resource_type, Relation::Panel)
            || self.may(permission, resource_type, Relation::Other)
        {
            return;
        }
        let named = named.iter().filter_map(|id| id.as_str().parse().ok()).collect();
        let _: Known = self.care.look_up(&named).await;
    }

    /// How a record stands to the caller; `None` if that was not looked up yet.
    pub(super) fn relation(&self, belongs: &Belongs) -> Option<Stands> {
        let find = |is_in_care: &dyn Fn(&PatientId) -> bool| {
            Relation::find(belongs, self.own.as_ref(), is_in_care).in_emergency(belongs, self.emergency())
        };
        let patients = match belongs {
            Belongs::To(patients) => patients,
            Belongs::ToNobody | Belongs::Unknown => &BTreeSet::new(),
        };
        let by_table = find(&|patient| self.care.in_table(patient));
        if by_table != Relation::Other || patients.is_empty() {
            let by = if by_table == Relation::Panel { self.care.by(patients) } else { Vec::new() };
            return Some(Stands { relation: by_table, by });
        }
        if self.care.is_open() {
            self.leave_open(|open| open.care.extend(patients.iter().cloned()));
            return None;
        }
        let relation = find(&|patient| self.care.is_in_care(patient));
        let by = if relation == Relation::Panel { self.care.by(patients) } else { Vec::new() };
        Some(Stands { relation, by })
    }

    fn leave_open(&self, note: impl FnOnce(&mut Open)) {
        note(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The labels that the ages of a record's patients give it. No record says so itself, for what a label opens nobody is to
    /// give to it: what it says of it is taken away.
    ///
    /// # Errors
    /// [`RecordDenied::Open`] if they have to be looked at first.
    pub(super) fn ages(
        &self,
        permission: Permission,
        resource_type: ResourceType,
        (belongs, relation): (&Belongs, Relation),
        labels: &mut Labels,
    ) -> Result<Labels, RecordDenied> {
        labels.remove(MINOR);
        labels.remove(MINOR_UNKNOWN);
        if !self.care.minors_are_labelled() {
            return Ok(Labels::new());
        }
        let patients = match belongs {
            Belongs::ToNobody => return Ok(Labels::new()),
            Belongs::Unknown => return Ok(Labels::from([MINOR_UNKNOWN.to_owned()])),
            Belongs::To(patients) => patients,
        };
        let Some(ages) = self.care.ages_of(patients) else {
            let could = |more: &[&str]| {
                let labels =
                    labels.iter().cloned().chain(more.iter().map(|label| (*label).to_owned())).collect();
                let action = record_action(permission);
                matches!(self.advice.would(action, resource_type, relation, &labels), Decision::Allow(_))
            };
            // What is out of reach whatever their ages are needs no look, and takes no other calls than what is not there.
            if could(&[]) || could(&[MINOR]) || could(&[MINOR_UNKNOWN]) || could(&[MINOR, MINOR_UNKNOWN]) {
                self.leave_open(|open| open.ages.extend(patients.iter().cloned()));
                return Err(RecordDenied::Open);
            }
            return Ok(Labels::new());
        };
        Ok(Age::labels(&ages))
    }

    /// The labels that a record of a type can have at best, when policies are asked about the type: none, or where that of a
    /// minor opens what is closed otherwise, that.
    pub(super) fn at_best(
        &self,
        permission: Permission,
        resource_type: ResourceType,
        relations: &[Relation],
    ) -> Labels {
        if !self.care.minors_are_labelled() {
            return Labels::new();
        }
        let minor = Labels::from([MINOR.to_owned()]);
        let action = record_action(permission);
        let opens = |labels: &Labels| {
            relations.iter().any(|relation| {
                let decision = self.advice.would(action, resource_type, *relation, labels);
                matches!(decision, Decision::Allow(_))
            })
        };
        match !opens(&NO_LABELS) && opens(&minor) {
            true => minor,
            false => Labels::new(),
        }
    }

    /// What the Consents of a record's patients say; `None` if that is of no account. Policies see the labels of its patients'
    /// ages besides its own.
    ///
    /// # Errors
    /// [`RecordDenied::Open`] if it has to be looked at first.
    pub(super) fn consented(
        &self,
        permission: Permission,
        record: Record<'_>,
        (belongs, relation): (&Belongs, Relation),
        ages: &Labels,
    ) -> Result<Option<Said>, RecordDenied> {
        let Some(organizations) = self.care.consents_are_looked_at() else { return Ok(None) };
        let patients = match belongs {
            Belongs::ToNobody => return Ok(None),
            Belongs::Unknown => {
                let by = BTreeSet::from(["Consent: whose record it is cannot be told".to_owned()]);
                return Ok(Some(Said { says: Says::Unclear, by }));
            }
            Belongs::To(patients) => patients,
        };
        let Some(all) = self.care.consents_of(patients) else {
            let action = record_action(permission);
            let labels: Labels = record.labels.union(ages).cloned().collect();
            return match self.advice.would(action, record.resource_type, relation, &labels) {
                // What is out of reach anyway needs no look, and takes no other calls than what is not there.
                Decision::Deny(_) => Ok(None),
                Decision::Allow(_) => {
                    self.leave_open(|open| open.consents.extend(patients.iter().cloned()));
                    Err(RecordDenied::Open)
                }
            };
        };
        let who: Option<Reference> =
            self.caller.fhir_user.as_ref().and_then(|user| user.as_str().parse().ok());
        let asker = asker(self.caller, who.as_ref(), organizations);
        let asked = Asked { asker, act: act(permission), record, now: self.care.now() };
        Ok(all.iter().map(|own| own.say(&asked)).reduce(Said::and))
    }
}
