//! Asking Cedar, and remembering what it said.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use cedar_policy::{AuthorizationError, Authorizer, Decision as CedarDecision};
use chartgate_protocol::fhir::labels::Labels;
use chartgate_protocol::fhir::mask::Mask;
use chartgate_protocol::fhir::name::ResourceType;
use moka::sync::Cache;
use serde::{Deserialize, Serialize};

use super::account::Said;
use super::caller::Facts;
use super::policy_set::Policies;
use super::relation::Relation;
use super::request::Asked;
use crate::ids::Role;
use crate::permit::Allowed;

/// What may be done to a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordAction {
    /// FHIR read and vread.
    Read,
    /// FHIR search.
    Search,
    /// FHIR create.
    Create,
    /// FHIR update.
    Update,
    /// FHIR delete.
    Delete,
}

/// A question to the policies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Question<'a> {
    /// May the caller do this to records of this type that stand so to them?
    Record {
        /// What.
        action: RecordAction,
        /// The FHIR type.
        resource_type: &'a str,
        /// How the record stands to the caller.
        relation: Relation,
        /// How it has to be handled.
        labels: &'a Labels,
    },
    /// May the caller call this endpoint of an `http` route?
    Endpoint {
        /// The route's name.
        route: &'a str,
        /// The HTTP method.
        method: &'a str,
        /// The path as the route's rule writes it, such as `/orders/{id}`.
        path: &'a str,
    },
}

/// The answer.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "a decision is carried out and recorded"]
pub enum Decision {
    /// Yes.
    Allow(Allowance),
    /// No.
    Deny(Denial),
}

/// A yes, from which alone an [`Allowed`] action is made.
///
/// ```compile_fail,E0451
/// let _ = chartgate_access::pdp::decide::Allowance { policies: [].into(), mask: None };
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Allowance {
    policies: Arc<[String]>,
    mask: Option<Arc<Mask>>,
}

/// A no.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Denial {
    /// The policies that forbade it; none where nothing permitted it.
    pub policies: Vec<String>,
    /// Why, as a stable code for the record.
    pub reason: DenyReason,
}

/// Why the answer is no.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DenyReason {
    /// No policy permits it.
    NotPermitted,
    /// A policy forbids it.
    Forbidden,
    /// A policy could not be evaluated, or the question could not be asked.
    PolicyError,
}

impl RecordAction {
    /// The name that policies use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Search => "search",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

impl DenyReason {
    /// The code that records show.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotPermitted => "not-permitted",
            Self::Forbidden => "forbidden",
            Self::PolicyError => "policy-error",
        }
    }
}

impl Allowance {
    /// The ids of the policies that said yes.
    #[must_use]
    pub fn policies(&self) -> &[String] {
        &self.policies
    }

    /// What has to be kept from the caller; `None` if nothing.
    #[must_use]
    pub fn mask(&self) -> Option<&Arc<Mask>> {
        self.mask.as_ref()
    }

    /// Carries the yes over to the action that was asked about.
    pub fn allow<A>(self, action: A) -> Allowed<A> {
        Allowed::new(action, self.policies)
    }
}

/// The first yes of several answers; without one, the most telling no. Asked of every relation that the records of a
/// type can have, a no means that the type is out of reach: the answer is the same for every instance, and may say so.
pub fn any_of(answers: impl IntoIterator<Item = Decision>) -> Decision {
    let mut denial = Denial { policies: Vec::new(), reason: DenyReason::NotPermitted };
    for answer in answers {
        match answer {
            Decision::Allow(allowance) => return Decision::Allow(allowance),
            Decision::Deny(no) if denial.reason == DenyReason::NotPermitted => denial = no,
            Decision::Deny(_) => {}
        }
    }
    Decision::Deny(denial)
}

/// One caller's dealings with one revision of the policies: what was decided for equal facts, so that each question is
/// asked once.
#[derive(Debug)]
pub struct Counsel {
    /// Of the policies.
    revision: Arc<str>,
    facts: Facts,
    decided: RwLock<HashMap<RecordQuestion, Decision>>,
    /// The same of records that have labels.
    labelled: RwLock<HashMap<(RecordQuestion, Labels), Decision>>,
    /// What records tell of questions about what has no labels, each told once.
    told: RwLock<Vec<Arc<Said>>>,
}

/// The counsel that a caller took last: who comes again has it at hand.
#[derive(Debug, Default)]
pub struct LastCounsel(Mutex<Option<Arc<Counsel>>>);

impl Counsel {
    /// What records tell of a question about records without labels, put into words once.
    pub(super) fn tell(&self, is_same: impl Fn(&Said) -> bool, say: impl FnOnce() -> Said) -> Arc<Said> {
        let told = self.told.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(said) = told.iter().find(|said| is_same(said)) {
            return Arc::clone(said);
        }
        drop(told);
        let said = Arc::new(say());
        let mut told = self.told.write().unwrap_or_else(PoisonError::into_inner);
        if told.len() < TOLD {
            told.push(Arc::clone(&said));
        }
        said
    }
}

/// So many are told for each caller: as many as are found faster than told.
const TOLD: usize = 16;

/// What may be done to records of a type that stand so to the caller.
type RecordQuestion = (RecordAction, ResourceType, Relation);

/// So many questions about labelled records are remembered for each caller: labels come from outside.
const LABELLED: usize = 512;

/// What has no labels.
pub static NO_LABELS: Labels = Labels::new();

/// So many callers' decisions are remembered, for as long as these policies stand.
const REMEMBERED: u64 = 20_000;

/// The decision point for one revision of the policies. A new revision is a new one, with nothing remembered.
pub struct Pdp {
    revision: Arc<str>,
    asks_for_labels: bool,
    policies: Policies,
    authorizer: Authorizer,
    counsels: Cache<Facts, Arc<Counsel>>,
}

impl std::fmt::Debug for Pdp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pdp").field("policies", &self.policies.ids()).finish_non_exhaustive()
    }
}

impl Pdp {
    /// A decision point over validated policies, whose text has this name.
    #[must_use]
    pub fn new(policies: Policies, revision: String) -> Self {
        let (authorizer, counsels) = (Authorizer::new(), Cache::new(REMEMBERED));
        let (revision, asks_for_labels) = (revision.into(), policies.asks_for_labels());
        Self { revision, asks_for_labels, policies, authorizer, counsels }
    }

    /// The name of the policies' text: another text has another.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The ids of the policies, in their order.
    #[must_use]
    pub fn policy_ids(&self) -> Vec<String> {
        self.policies.ids().into_iter().collect()
    }

    /// Whether some policy names this role: whoever has one that none names has it for nothing.
    #[must_use]
    pub fn names_role(&self, role: &Role) -> bool {
        self.policies.name_role(role)
    }

    /// A policy as Cedar writes it.
    #[must_use]
    pub fn policy_text(&self, id: &str) -> Option<String> {
        self.policies.text(id)
    }

    /// What these policies have said to callers with these facts so far.
    #[must_use]
    pub fn counsel(&self, facts: &Facts) -> Arc<Counsel> {
        match self.counsels.get(facts) {
            Some(counsel) => counsel,
            None => {
                let counsel = Arc::new(Counsel {
                    revision: Arc::clone(&self.revision),
                    facts: facts.clone(),
                    decided: RwLock::default(),
                    labelled: RwLock::default(),
                    told: RwLock::default(),
                });
                self.counsels.insert(facts.clone(), Arc::clone(&counsel));
                counsel
            }
        }
    }

    /// The same, without looking for it where it is the last that the caller took.
    #[must_use]
    pub fn counsel_again(&self, facts: &Facts, last: &LastCounsel) -> Arc<Counsel> {
        let mut last = last.0.lock().unwrap_or_else(PoisonError::into_inner);
        match last.as_ref().filter(|last| last.revision == self.revision && last.facts == *facts) {
            Some(counsel) => Arc::clone(counsel),
            None => Arc::clone(last.insert(self.counsel(facts))),
        }
    }

    /// Asks about records, or remembers what was said. The counsel is to come of this very decision point.
    pub fn decide_remembering(
        &self,
        counsel: &Counsel,
        action: RecordAction,
        resource_type: ResourceType,
        relation: Relation,
        labels: &Labels,
    ) -> Decision {
        if !labels.is_empty() {
            return self.decide_labelled(counsel, (action, resource_type, relation), labels);
        }
        let key = (action, resource_type, relation);
        if let Some(decision) = counsel.decided.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return decision.clone();
        }
        let decision = self.decide(&counsel.facts, &record_question(key, labels));
        counsel.decided.write().unwrap_or_else(PoisonError::into_inner).insert(key, decision.clone());
        decision
    }

    fn decide_labelled(&self, counsel: &Counsel, asked: RecordQuestion, labels: &Labels) -> Decision {
        let key = (asked, labels.clone());
        if let Some(decision) = counsel.labelled.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return decision.clone();
        }
        let decision = self.decide(&counsel.facts, &record_question(asked, labels));
        let mut labelled = counsel.labelled.write().unwrap_or_else(PoisonError::into_inner);
        if labelled.len() < LABELLED {
            labelled.insert(key, decision.clone());
        }
        decision
    }

    /// Whether labels can decide: then of what is found some may be withheld for them.
    #[must_use]
    pub fn asks_for_labels(&self) -> bool {
        self.asks_for_labels
    }

    /// Whether it can matter through which client a person asks.
    #[must_use]
    pub fn asks_for_clients(&self) -> bool {
        self.policies.asks_for_clients()
    }

    /// Asks one question.
    pub fn decide(&self, facts: &Facts, question: &Question<'_>) -> Decision {
        let Ok(asked) = Asked::build(facts, question, &self.policies.schema) else {
            return Decision::Deny(Denial { policies: Vec::new(), reason: DenyReason::PolicyError });
        };
        let response = self.authorizer.is_authorized(&asked.request, &self.policies.set, &asked.entities);
        let mut policies: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
        policies.sort_unstable();
        if response.diagnostics().errors().next().is_some() {
            let failed = |error: &AuthorizationError| match error {
                AuthorizationError::PolicyEvaluationError(error) => error.policy_id().to_string(),
            };
            let policies = response.diagnostics().errors().map(failed).collect();
            return Decision::Deny(Denial { policies, reason: DenyReason::PolicyError });
        }
        match response.decision() {
            CedarDecision::Allow => {
                let mask = self.policies.obligations.of(&policies);
                Decision::Allow(Allowance { policies: policies.into(), mask })
            }
            CedarDecision::Deny if policies.is_empty() => {
                Decision::Deny(Denial { policies, reason: DenyReason::NotPermitted })
            }
            CedarDecision::Deny => Decision::Deny(Denial { policies, reason: DenyReason::Forbidden }),
        }
    }
}

fn record_question((action, resource_type, relation): RecordQuestion, labels: &Labels) -> Question<'_> {
    Question::Record { action, resource_type: resource_type.as_str(), relation, labels }
}

#[cfg(test)]
mod tests;
