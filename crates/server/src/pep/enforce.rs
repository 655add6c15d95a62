//! What the caller may: scopes first, then policy, for the type and for each record of it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use chartgate_access::ids::{ClientId, PatientId};
use chartgate_access::pdp::account::{Account, Advice, PolicySets};
use chartgate_access::pdp::caller::{Caller, CallerKind};
use chartgate_access::pdp::decide::{Decision, Denial, DenyReason, RecordAction};
use chartgate_access::pdp::relation::{Belongs, Relation};
use chartgate_access::pdp::scope::{Constrained, Reach, Which, Within};
use chartgate_access::permit::Allowed;
use chartgate_protocol::fhir::consent::Record;
use chartgate_protocol::fhir::labels::{Labels, labels_of};
use chartgate_protocol::fhir::mask::{Mask, Pseudonyms};
use chartgate_protocol::fhir::membership::{Ownership, ownership};
use chartgate_protocol::fhir::name::ResourceType;
use chartgate_protocol::fhir::version::FhirVersion;
use chartgate_protocol::json::Node;
use chartgate_protocol::smart::scope::Permission;

use crate::pep::authenticate::Authenticated;
use crate::pep::fhir::Said;

mod care;
mod looking;

pub(super) use care::{Asking, Care, Known};
use looking::{Open, Stands};

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
    /// Of which FHIR the records are.
    version: FhirVersion,
    open: Mutex<Open>,
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
    pub(super) fn new(
        sets: PolicySets,
        account: Arc<Account>,
        authenticated: &'a Authenticated,
        care: Care<'a>,
    ) -> Self {
        let Authenticated { caller, last_counsel, .. } = authenticated;
        let own = caller.fhir_user.as_ref().and_then(|f| f.patient());
        let version = care.version();
        let (advice, care) = (Advice::new(sets, &caller.facts, last_counsel), Arc::new(care));
        Self { advice, account, caller, care, own, version, open: Mutex::default() }
    }

    /// The same for an entry of a batch, which has an account of its own.
    pub(super) fn entry(&self, account: Arc<Account>) -> Self {
        let Self { advice, account: _, caller, care, own, version, open: _ } = self;
        let (advice, care, own) = (advice.clone(), Arc::clone(care), own.clone());
        Self { advice, account, caller, care, own, version: *version, open: Mutex::default() }
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
        let ownership = ownership(self.version, resource_type);
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
        let ages = self.ages(permission, resource_type, (belongs, relation), &mut labels)?;
        let action = record_action(permission);
        // How old its patient is says nothing of how sensitive a record is, so Consents see the record's own labels.
        let record = Record { resource_type, content, labels: &labels };
        let said = self.consented(permission, record, (belongs, relation), &ages)?;
        labels.extend(ages);
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
        let relations = self.relations_of(ownership(self.version, resource_type));
        relations.filter_map(|relation| self.mask(permission, resource_type, relation)).collect()
    }

    fn mask(
        &self,
        permission: Permission,
        resource_type: ResourceType,
        relation: Relation,
    ) -> Option<Arc<Mask>> {
        let labels = self.at_best(permission, resource_type, &[relation]);
        match self.advice.would(record_action(permission), resource_type, relation, &labels) {
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

    /// Whether a record is found as that of a patient whom the caller names or has in their care, and would not be among those
    /// of everybody: whatever it is called then, it tells whose it is.
    pub(super) fn is_of_known_patients(
        &self,
        permission: Permission,
        resource_type: ResourceType,
        content: &Node<'_>,
    ) -> bool {
        let finds_others = || {
            let labels = self.at_best(permission, resource_type, &[Relation::Other]);
            let action = record_action(permission);
            matches!(self.advice.would(action, resource_type, Relation::Other, &labels), Decision::Allow(_))
        };
        match ownership(self.version, resource_type) {
            Ownership::Patients => {
                self.is_patient_scoped(permission, resource_type, content) == Naming::OthersAreWithheld
                    || !finds_others()
            }
            Ownership::Nobodys | Ownership::Unknown => false,
        }
    }

    /// Whether policy lets records of a type leave under other names than their own.
    pub(super) fn renames(&self, permission: Permission, resource_type: ResourceType) -> bool {
        self.masks(permission, resource_type).iter().any(|mask| mask.renames())
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
        let all = match ownership(self.version, resource_type) {
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

    fn may(&self, permission: Permission, resource_type: ResourceType, relation: Relation) -> bool {
        matches!(self.ask(permission, resource_type, &[relation]), Decision::Allow(_))
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
        let labels = self.at_best(permission, resource_type, relations);
        self.advice.ask(&self.account, record_action(permission), resource_type, relations, &labels)
    }
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
