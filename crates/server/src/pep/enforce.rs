//! What the caller may: scopes first, then policy, for the type and for each record of it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use chartgate_access::ids::{ClientId, PatientId};
use chartgate_access::pdp::account::{Account, Advice, PolicySets};
use chartgate_access::pdp::caller::{Caller, CallerKind};
use chartgate_access::pdp::decide::{Decision, Denial, DenyReason, NO_LABELS, RecordAction};
use chartgate_access::pdp::relation::{Belongs, Relation};
use chartgate_access::pdp::scope::{Constrained, Reach, Which, Within};
use chartgate_access::permit::Allowed;
use chartgate_protocol::fhir::consent::{Act, Asked, Asker, Record, Says};
use chartgate_protocol::fhir::labels::{Labels, labels_of};
use chartgate_protocol::fhir::mask::{Mask, Pseudonyms};
use chartgate_protocol::fhir::membership::{Ownership, ownership};
use chartgate_protocol::fhir::name::{ResourceId, ResourceType};
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::json::Node;
use chartgate_protocol::smart::scope::Permission;

use crate::pep::fhir::Said;

mod care;

pub(super) use care::{Asking, Care, Known};

/// Decides about the records of one request.
///
/// Who is in the caller's care is looked up only where the care table does not say so. What depends on it is
/// [`RecordDenied::Open`] until [`Enforcer::catch_up`] has looked, and then decided anew.
pub(super) struct Enforcer<'a> {
    advice: Advice,
    /// What the record will tell of it.
    account: Arc<Account>,
    caller: &'a Caller,
    care: Arc<Care<'a>>,
    own: Option<PatientId>,
    open: Mutex<Open>,
}

/// Patients for whom decisions were left open.
#[derive(Default)]
struct Open {
    /// Until it is known whether they are in care,
    care: BTreeSet<PatientId>,
    /// and what they have forbidden.
    consents: BTreeSet<PatientId>,
}

/// The most labels that a record can have: more are no labels but a burden, and are remembered for each caller.
const MOST_LABELS: usize = 64;

/// Why a type is out of reach: the answer would be the same for every instance.
#[derive(Debug)]
pub(super) enum TypeDenied {
    /// No scope reaches it.
    Scope,
    /// No policy permits it.
    Policy(Denial),
}

/// Why one record is out of reach.
#[derive(Debug)]
pub(super) enum RecordDenied {
    /// It lies outside what the scopes reach.
    OutsideScope,
    /// It was not looked up yet how it stands to the caller.
    Open,
    /// Policy says no.
    Policy(Denial),
    /// Policy says no for what its patient has forbidden, or may have.
    Consent(Denial, Said),
    /// What these policies keep of it cannot be kept: it would have to be altered in a way that it does not bear, or it was
    /// asked for by a name that the caller is not to know.
    Mask(Vec<String>),
}

impl<'a> Enforcer<'a> {
    pub(super) fn new(sets: PolicySets, account: Arc<Account>, caller: &'a Caller, care: Care<'a>) -> Self {
        let own = caller.fhir_user.as_ref().and_then(|f| f.patient());
        let (advice, care) = (Advice::new(sets, &caller.facts), Arc::new(care));
        Self { advice, account, caller, care, own, open: Mutex::default() }
    }

    /// The same for an entry of a batch, which has an account of its own.
    pub(super) fn entry(&self, account: Arc<Account>) -> Self {
        let Self { advice, account: _, caller, care, own, open: _ } = self;
        let (advice, care, own) = (advice.clone(), Arc::clone(care), own.clone());
        Self { advice, account, caller, care, own, open: Mutex::default() }
    }

    /// Looks up what decisions since the last look were left open for; then they are taken anew.
    pub(super) async fn catch_up(&self) -> Known {
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        if open.care.is_empty() && open.consents.is_empty() {
            return Known::AsBefore;
        }
        if !open.care.is_empty() {
            // Another entry of the same batch may have looked meanwhile.
            let _: Known = self.care.look_up(&open.care).await;
        }
        if !open.consents.is_empty() {
            self.care.look_at_consents(&open.consents).await;
        }
        Known::More
    }

    /// Whether what patients have forbidden is looked at.
    pub(super) fn looks_at_consents(&self) -> bool {
        self.care.consents_are_looked_at().is_some()
    }

    /// Looks up what a decision about a record might be left open for of which nothing is known: so that what is not there
    /// takes the same calls as what is kept from the caller.
    pub(super) async fn look_up(&self) -> Known {
        match self.catch_up().await {
            Known::More => Known::More,
            Known::AsBefore => self.care.look_up(&BTreeSet::new()).await,
        }
    }

    /// Looks up what a search for records of a type has to be narrowed by.
    pub(super) async fn look_up_for(
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
            || ownership(resource_type) != Ownership::Patients
            || !self.is_policys(permission, resource_type)
            || !self.may(permission, resource_type, Relation::Panel)
            || self.may(permission, resource_type, Relation::Other)
        {
            return;
        }
        let named = named.iter().filter_map(|id| id.as_str().parse().ok()).collect();
        let _: Known = self.care.look_up(&named).await;
    }

    /// Asks whether some record of the type can be within reach.
    ///
    /// # Errors
    /// [`TypeDenied`].
    pub(super) fn type_in_reach<A>(
        &self,
        permission: Permission,
        resource_type: ResourceType,
        action: A,
    ) -> Result<Allowed<A>, TypeDenied> {
        let ownership = ownership(resource_type);
        self.in_reach_as(ownership, permission, resource_type, action)
    }

    /// Asks whether some content can be within reach, which is as much a patient's as the record that protects it.
    ///
    /// # Errors
    /// [`TypeDenied`].
    pub(super) fn content_in_reach<A>(
        &self,
        permission: Permission,
        action: A,
    ) -> Result<Allowed<A>, TypeDenied> {
        self.in_reach_as(Ownership::Patients, permission, ResourceType::BINARY, action)
    }

    fn in_reach_as<A>(
        &self,
        ownership: Ownership,
        permission: Permission,
        resource_type: ResourceType,
        action: A,
    ) -> Result<Allowed<A>, TypeDenied> {
        if self.caller.reach(permission, resource_type.as_str(), Which::Any) == Reach::Nothing {
            return Err(TypeDenied::Scope);
        }
        let relations: Vec<Relation> = self.relations_of(ownership).collect();
        match self.ask(permission, resource_type, &relations) {
            Decision::Allow(allowance) => Ok(allowance.allow(action)),
            Decision::Deny(denial) => Err(TypeDenied::Policy(denial)),
        }
    }

    /// Asks about one record, and names the policies that allow it.
    ///
    /// # Errors
    /// [`RecordDenied`].
    pub(super) fn record_in_reach(
        &self,
        permission: Permission,
        resource_type: ResourceType,
        belongs: &Belongs,
        content: &Node<'_>,
    ) -> Result<Granted, RecordDenied> {
        let which = Which::This(content);
        if self.caller.reaches(permission, resource_type.as_str(), belongs, which) == Within::No {
            return Err(RecordDenied::OutsideScope);
        }
        self.permitted(permission, resource_type, belongs, content)
    }

    /// Asks policy alone about one record, whatever the scopes are.
    ///
    /// # Errors
    /// [`RecordDenied`].
    pub(super) fn permitted(
        &self,
        permission: Permission,
        resource_type: ResourceType,
        belongs: &Belongs,
        content: &Node<'_>,
    ) -> Result<Granted, RecordDenied> {
        let Stands { relation, by } = self.relation(belongs).ok_or(RecordDenied::Open)?;
        // What belongs to nobody is in every directory: labels are of what is some patient's.
        let mut labels = match belongs {
            Belongs::ToNobody => Labels::new(),
            Belongs::To(_) | Belongs::Unknown => labels_of(content),
        };
        if labels.len() > MOST_LABELS {
            let denial = Denial { policies: Vec::new(), reason: DenyReason::PolicyError };
            return Err(RecordDenied::Policy(denial));
        }
        let action = record_action(permission);
        let record = Record { resource_type, content, labels: &labels };
        let said = self.consented(permission, record, belongs, relation)?;
        let label = said.as_ref().and_then(Said::label);
        labels.extend(label.map(str::to_owned));
        self.account.is_kept_by(said.iter().flat_map(|said| said.by.iter().cloned()));
        match self.advice.ask(&self.account, action, resource_type, &[relation], &labels) {
            Decision::Allow(allowance) => {
                self.account.relies_on(by);
                Ok(Granted { policies: allowance.policies().to_vec(), mask: allowance.mask().cloned() })
            }
            Decision::Deny(denial) => {
                if relation == Relation::Other {
                    self.account.lacks(self.care.failed());
                }
                let is_consents = label.is_some_and(|label| {
                    labels.remove(label);
                    let without = self.advice.would(action, resource_type, relation, &labels);
                    matches!(without, Decision::Allow(_))
                });
                match said.filter(|_| is_consents) {
                    Some(said) => Err(RecordDenied::Consent(denial, said)),
                    None => Err(RecordDenied::Policy(denial)),
                }
            }
        }
    }

    /// What policy keeps from the caller of one record of a type or another.
    pub(super) fn masks(&self, permission: Permission, resource_type: ResourceType) -> Vec<Arc<Mask>> {
        let relations = self.relations_of(ownership(resource_type));
        relations.filter_map(|relation| self.mask(permission, resource_type, relation)).collect()
    }

    fn mask(
        &self,
        permission: Permission,
        resource_type: ResourceType,
        relation: Relation,
    ) -> Option<Arc<Mask>> {
        match self.advice.recall(record_action(permission), resource_type, relation) {
            Decision::Allow(allowance) => allowance.mask().cloned(),
            Decision::Deny(_) => None,
        }
    }

    /// The names that the caller's client has for what is renamed for it.
    pub(super) fn pseudonyms(&self, key: &[u8; 32]) -> Pseudonyms {
        Pseudonyms::for_client(key, self.caller.facts.client_id.as_str())
    }

    /// The patients whose records alone can be within reach; `None` if others can be too. Searches are narrowed to them
    /// before they go upstream, so that what would be withheld is not fetched.
    pub(super) fn only_patients(
        &self,
        permission: Permission,
        resource_type: ResourceType,
    ) -> Option<BTreeSet<PatientId>> {
        let name = resource_type.as_str();
        if self.caller.reach(permission, name, Which::Any) == Reach::NamedPatients {
            return Some(self.caller.named_patients(permission, name, Which::Any).cloned().collect());
        }
        if self.may(permission, resource_type, Relation::Other) {
            return None;
        }
        let in_care = self.care.patients();
        let panel = !in_care.is_empty() && self.may(permission, resource_type, Relation::Panel);
        let mut patients = if panel { in_care } else { BTreeSet::new() };
        patients.extend(self.own.clone());
        Some(patients)
    }

    /// Whether the token reaches this record by no more than that it names its patients, so that nobody else may even be
    /// named.
    pub(super) fn is_patient_scoped(
        &self,
        permission: Permission,
        resource_type: ResourceType,
        content: &Node<'_>,
    ) -> Naming {
        match self.caller.reach(permission, resource_type.as_str(), Which::This(content)) {
            Reach::NamedPatients | Reach::Nothing => Naming::OthersAreWithheld,
            Reach::Policy => Naming::OthersMayBeNamed,
        }
    }

    /// Whether whose records of a type are within reach is for policy to say, not for the token.
    pub(super) fn is_policys(&self, permission: Permission, resource_type: ResourceType) -> bool {
        self.caller.reach(permission, resource_type.as_str(), Which::Any) == Reach::Policy
    }

    /// The client of the token.
    pub(super) fn client(&self) -> &ClientId {
        &self.caller.facts.client_id
    }

    /// Whether a program asks, for itself.
    pub(super) fn is_program(&self) -> bool {
        self.caller.facts.kind == CallerKind::Workload
    }

    /// Whether records may be withheld for their labels.
    pub(super) fn withholds_by_label(&self) -> bool {
        self.advice.in_force().asks_for_labels()
    }

    /// Whether the caller may find every record of a type, whole.
    pub(super) fn finds_all(&self, resource_type: ResourceType) -> bool {
        let permission = Permission::Search;
        let all = match ownership(resource_type) {
            Ownership::Nobodys => true,
            Ownership::Patients => {
                self.is_policys(permission, resource_type)
                    && self.only_patients(permission, resource_type).is_none()
                    && !self.withholds_by_label()
            }
            Ownership::Unknown => false,
        };
        all && self.type_in_reach(permission, resource_type, ()).is_ok()
            && self.masks(permission, resource_type).is_empty()
            && self.constrained(permission, resource_type) == Constrained::No
    }

    /// Whether records of a type are withheld for what stands in them.
    pub(super) fn constrained(&self, permission: Permission, resource_type: ResourceType) -> Constrained {
        self.caller.constrained(permission, resource_type.as_str())
    }

    fn leave_open(&self, note: impl FnOnce(&mut Open)) {
        note(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What the Consents of a record's patients say; `None` if that is of no account.
    ///
    /// # Errors
    /// [`RecordDenied::Open`] if it has to be looked at first.
    fn consented(
        &self,
        permission: Permission,
        record: Record<'_>,
        belongs: &Belongs,
        relation: Relation,
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
            return match self.advice.would(action, record.resource_type, relation, record.labels) {
                // What is out of reach anyway needs no look, and takes no other calls than what is not there.
                Decision::Deny(_) => Ok(None),
                Decision::Allow(_) => {
                    self.leave_open(|open| open.consents.extend(patients.iter().cloned()));
                    Err(RecordDenied::Open)
                }
            };
        };
        let facts = &self.caller.facts;
        let who: Option<Reference> =
            self.caller.fhir_user.as_ref().and_then(|user| user.as_str().parse().ok());
        let asker = Asker {
            who: who.as_ref(),
            is_program: facts.kind == CallerKind::Workload,
            purpose: facts.purpose_of_use.as_deref(),
            organizations,
        };
        let act = match permission {
            Permission::Read | Permission::Search => Act::View,
            Permission::Create | Permission::Update | Permission::Delete => Act::Change,
        };
        let asked = Asked { asker, act, record, now: self.care.now() };
        Ok(all.iter().map(|own| own.say(&asked)).reduce(Said::and))
    }

    fn may(&self, permission: Permission, resource_type: ResourceType, relation: Relation) -> bool {
        matches!(self.ask(permission, resource_type, &[relation]), Decision::Allow(_))
    }

    /// How a record stands to the caller; `None` if that was not looked up yet.
    fn relation(&self, belongs: &Belongs) -> Option<Stands> {
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

    /// How records that are whose this says can stand to the caller.
    fn relations_of(&self, ownership: Ownership) -> impl Iterator<Item = Relation> {
        let (relations, in_emergency) = match ownership {
            Ownership::Nobodys => (Relation::OF_NOBODY, None),
            Ownership::Patients => (Relation::OF_PATIENTS, self.emergency().map(|_| Relation::Emergency)),
            Ownership::Unknown => (&[] as &[Relation], None),
        };
        relations.iter().copied().chain(in_emergency)
    }

    /// The one patient to whose record the caller has emergency access.
    fn emergency(&self) -> Option<&PatientId> {
        self.caller.details.emergency.as_ref().map(|emergency| &emergency.patient)
    }

    fn ask(&self, permission: Permission, resource_type: ResourceType, relations: &[Relation]) -> Decision {
        self.advice.ask(&self.account, record_action(permission), resource_type, relations, &NO_LABELS)
    }
}

/// How a record stands to the caller.
struct Stands {
    relation: Relation,
    /// By what its patients are in the caller's care, where that is to be told.
    by: Vec<String>,
}

/// A record within reach.
pub(super) struct Granted {
    /// By which policies.
    pub(super) policies: Vec<String>,
    /// What they keep of it.
    pub(super) mask: Option<Arc<Mask>>,
}

/// Whether a record may name patients besides its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Naming {
    OthersMayBeNamed,
    OthersAreWithheld,
}

fn record_action(permission: Permission) -> RecordAction {
    match permission {
        Permission::Create => RecordAction::Create,
        Permission::Read => RecordAction::Read,
        Permission::Update => RecordAction::Update,
        Permission::Delete => RecordAction::Delete,
        Permission::Search => RecordAction::Search,
    }
}

impl RecordDenied {
    /// The policies that said no, and the stable code for the record.
    pub(super) fn reason(&self) -> (Vec<String>, &'static str) {
        match self {
            Self::OutsideScope => (Vec::new(), "outside-scope"),
            Self::Open => (Vec::new(), "relation-not-looked-up"),
            Self::Mask(policies) => (policies.clone(), "mask"),
            Self::Consent(denial, said) => (denial.policies.clone(), said.reason()),
            Self::Policy(denial) => (denial.policies.clone(), denial.reason.as_str()),
        }
    }
}

impl TypeDenied {
    /// The policies that said no, and the stable code for the record.
    pub(super) fn reason(&self) -> (Vec<String>, &'static str) {
        match self {
            Self::Scope => (Vec::new(), "insufficient-scope"),
            Self::Policy(denial) => (denial.policies.clone(), denial.reason.as_str()),
        }
    }
}
