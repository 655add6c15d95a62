//! What one request asked of the policies and what they said, as its record keeps it: so that the decision can be followed,
//! asked again later, and held against what other policies would have said.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use chartgate_protocol::fhir::labels::Labels;
use chartgate_protocol::fhir::name::ResourceType;
use serde::{Deserialize, Serialize};

use super::caller::Facts;
use super::decide::{
    Counsel, Decision, Denial, DenyReason, LastCounsel, Pdp, Question, RecordAction, any_of,
};
use super::relation::Relation;

/// The policies that decide, and those that are only asked what they would.
#[derive(Clone, Debug)]
pub struct PolicySets {
    /// Those in force.
    pub in_force: Arc<Pdp>,
    /// Those on trial, if any.
    pub shadow: Option<Arc<Pdp>>,
}

/// A question as a record keeps it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Asked {
    /// About records that stand to the caller in one of these ways: the first yes is the answer.
    Records {
        /// What is to be done.
        action: RecordAction,
        /// The FHIR type.
        #[serde(rename = "type")]
        resource_type: ResourceType,
        /// How they can stand.
        relations: Vec<Relation>,
        /// How they have to be handled.
        #[serde(default, skip_serializing_if = "Labels::is_empty")]
        labels: Labels,
    },
    /// About an endpoint of an `http` route.
    Endpoint {
        /// The route's name.
        route: String,
        /// The HTTP method.
        method: String,
        /// The path as the route's rule writes it.
        path: String,
    },
}

/// Yes or no.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Yes.
    Allow,
    /// No.
    Deny,
}

/// An answer as a record keeps it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Yes or no.
    pub outcome: Effect,
    /// The policies that decided; none where nothing permitted it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// Why not, as the stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is kept from the caller, as `@mask` says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<String>,
}

/// A question and what was said to it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// What was asked.
    pub asked: Asked,
    /// What was said.
    pub answer: Answer,
    /// What the policies on trial would have said, where that comes to something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Answer>,
}

/// How another answer comes to something else.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Change {
    /// What was allowed is denied.
    Denied,
    /// What was denied is allowed.
    Allowed,
    /// It is allowed as before, but another part of it is kept.
    Masked,
}

/// All that one request asked.
#[derive(Debug, Default)]
pub struct Account(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    sets: Option<(String, Option<String>)>,
    said: Vec<Arc<Said>>,
    was_cut: bool,
    grounds: Grounds,
}

/// What decisions of a request were founded on besides policies.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Grounds {
    /// By what patients are in the caller's care: `table`, or the resource that proves it.
    pub care: BTreeSet<String>,
    /// Which look-ups failed, so that nobody was in their care by them.
    pub care_failed: BTreeSet<String>,
    /// The Consents that forbid it, or might, and why they could not be read.
    pub consent: BTreeSet<String>,
    /// Whether there were more of either than are kept.
    pub were_cut: bool,
}

/// What an account comes to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Summary {
    /// The revision of the policies that decided.
    pub policy_set: String,
    /// That of those on trial.
    pub shadow_set: Option<String>,
    /// Every question once.
    pub said: Vec<Arc<Said>>,
    /// Whether there were more questions than are kept.
    pub was_cut: bool,
}

/// So many different questions are kept of one request.
const KEPT: usize = 256;

/// Whoever is asked for one caller: the policies in force, and with them those on trial.
#[derive(Clone, Debug)]
pub struct Advice {
    sets: PolicySets,
    counsel: Arc<Counsel>,
    shadow: Option<Arc<Counsel>>,
}

impl Advice {
    /// For callers with these facts, who took that counsel last.
    #[must_use]
    pub fn new(sets: PolicySets, facts: &Facts, last: &LastCounsel) -> Self {
        let counsel = sets.in_force.counsel_again(facts, last);
        let shadow = sets.shadow.as_ref().map(|pdp| pdp.counsel(facts));
        Self { sets, counsel, shadow }
    }

    /// The policies in force.
    #[must_use]
    pub fn in_force(&self) -> &Pdp {
        &self.sets.in_force
    }

    /// Asks what would be decided, or what follows from a decision that was taken, such as what is kept of a record: of that no
    /// account is kept.
    pub fn would(
        &self,
        action: RecordAction,
        resource_type: ResourceType,
        relation: Relation,
        labels: &Labels,
    ) -> Decision {
        let Self { sets, counsel, shadow: _ } = self;
        sets.in_force.decide_remembering(counsel, action, resource_type, relation, labels)
    }

    /// Asks about records that stand to the caller in one of these ways, and keeps account of it. What the policies on trial
    /// would say changes nothing of the answer.
    pub fn ask(
        &self,
        account: &Account,
        action: RecordAction,
        resource_type: ResourceType,
        relations: &[Relation],
        labels: &Labels,
    ) -> Decision {
        let consult =
            |pdp: &Pdp, counsel: &Counsel| {
                any_of(relations.iter().map(|relation| {
                    pdp.decide_remembering(counsel, action, resource_type, *relation, labels)
                }))
            };
        let decision = consult(&self.sets.in_force, &self.counsel);
        let is_same = |asked: &Asked| match asked {
            Asked::Records { action: a, resource_type: t, relations: r, labels: l } => {
                (*a, *t, r.as_slice(), l) == (action, resource_type, relations, labels)
            }
            Asked::Endpoint { .. } => false,
        };
        account.note(&self.sets, is_same, || {
            let shadow = self.sets.shadow.as_ref().zip(self.shadow.as_ref());
            let shadow = shadow.map(|(pdp, counsel)| consult(pdp, counsel));
            let say = || {
                let (relations, labels) = (relations.to_vec(), labels.clone());
                let asked = Asked::Records { action, resource_type, relations, labels };
                Said::of(asked, &decision, shadow.as_ref())
            };
            // Those on trial can change while those in force stand.
            match labels.is_empty() && shadow.is_none() {
                true => self.counsel.tell(|said| is_same(&said.asked), say),
                false => Arc::new(say()),
            }
        });
        decision
    }
}

impl PolicySets {
    /// Asks about an endpoint, and keeps account of it.
    pub fn ask_endpoint(
        &self,
        account: &Account,
        facts: &Facts,
        (route, method, path): (&str, &str, &str),
    ) -> Decision {
        let question = Question::Endpoint { route, method, path };
        let decision = self.in_force.decide(facts, &question);
        account.note(
            self,
            |_| false,
            || {
                let shadow = self.shadow.as_ref().map(|pdp| pdp.decide(facts, &question));
                let [route, method, path] = [route, method, path].map(str::to_owned);
                Arc::new(Said::of(Asked::Endpoint { route, method, path }, &decision, shadow.as_ref()))
            },
        );
        decision
    }
}

impl Account {
    fn note(&self, sets: &PolicySets, is_same: impl Fn(&Asked) -> bool, said: impl FnOnce() -> Arc<Said>) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.sets.is_none() {
            let shadow = sets.shadow.as_ref().map(|pdp| pdp.revision().to_owned());
            told.sets = Some((sets.in_force.revision().to_owned(), shadow));
        }
        if told.said.iter().any(|said| is_same(&said.asked)) {
            return;
        }
        match told.said.len() < KEPT {
            true => told.said.push(said()),
            false => told.was_cut = true,
        }
    }

    /// Notes by what a patient whose record is within reach is in the caller's care.
    pub fn relies_on(&self, relations: impl IntoIterator<Item = String>) {
        let grounds = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner).grounds;
        grounds.were_cut |= keep(&mut grounds.care, relations);
    }

    /// Notes which look-ups failed that could have put somebody into the caller's care.
    pub fn lacks(&self, failed: impl IntoIterator<Item = String>) {
        let grounds = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner).grounds;
        grounds.were_cut |= keep(&mut grounds.care_failed, failed);
    }

    /// Notes which Consents keep a record from the caller, whether or not policies heed them.
    pub fn is_kept_by(&self, consents: impl IntoIterator<Item = String>) {
        let grounds = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner).grounds;
        grounds.were_cut |= keep(&mut grounds.consent, consents);
    }

    /// What it was founded on so far.
    #[must_use]
    pub fn grounds(&self) -> Grounds {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).grounds.clone()
    }

    /// What it comes to so far; `None` if the policies were asked nothing.
    ///
    /// That a type is within reach goes without saying where a record of it without labels is: whatever policies say yes to
    /// the record say yes to the type.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (policy_set, shadow_set) = told.sets.clone()?;
        let tells_more = |one: &&Arc<Said>| !told.said.iter().any(|other| one.goes_without(other));
        let said = told.said.iter().filter(tells_more).cloned().collect();
        Some(Summary { policy_set, shadow_set, said, was_cut: told.was_cut })
    }
}

/// Keeps as many as are kept, and says whether there were more.
fn keep(kept: &mut BTreeSet<String>, more: impl IntoIterator<Item = String>) -> bool {
    let mut were_cut = false;
    for one in more {
        match kept.len() < KEPT {
            true => {
                kept.insert(one);
            }
            false => were_cut |= !kept.contains(&one),
        }
    }
    were_cut
}

impl Said {
    fn of(asked: Asked, decision: &Decision, shadow: Option<&Decision>) -> Self {
        let answer = asked.answer(decision);
        let shadow =
            shadow.map(|decision| asked.answer(decision)).filter(|shadow| answer.change(shadow).is_some());
        Self { asked, answer, shadow }
    }

    /// Whether it follows from what was said to another question.
    fn goes_without(&self, other: &Self) -> bool {
        let (
            Asked::Records { action, resource_type, relations, labels },
            Asked::Records { action: a, resource_type: t, relations: r, labels: l },
        ) = (&self.asked, &other.asked)
        else {
            return false;
        };
        let are_allowed = (self.answer.outcome, other.answer.outcome) == (Effect::Allow, Effect::Allow);
        let is_of_the_type = relations.len() > 1 && labels.is_empty() && (action, resource_type) == (a, t);
        let is_about_one = matches!(r.as_slice(), [one] if relations.contains(one)) && l.is_empty();
        are_allowed && is_of_the_type && is_about_one
    }
}

impl Asked {
    /// Asks the same of other policies.
    pub fn again(&self, pdp: &Pdp, facts: &Facts) -> Answer {
        let decision = match self {
            Self::Records { action, resource_type, relations, labels } => {
                let (action, resource_type) = (*action, resource_type.as_str());
                any_of(relations.iter().map(|relation| {
                    pdp.decide(
                        facts,
                        &Question::Record { action, resource_type, relation: *relation, labels },
                    )
                }))
            }
            Self::Endpoint { route, method, path } => {
                pdp.decide(facts, &Question::Endpoint { route, method, path })
            }
        };
        self.answer(&decision)
    }

    /// Whether a type is within reach at all says nothing of what is kept of a record of it.
    fn answer(&self, decision: &Decision) -> Answer {
        let answer = Answer::of(decision);
        match self {
            Self::Records { relations, .. } if relations.len() > 1 => Answer { mask: None, ..answer },
            Self::Records { .. } | Self::Endpoint { .. } => answer,
        }
    }
}

impl std::fmt::Display for Asked {
    /// In words, for people.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Records { action, resource_type, relations, labels } => {
                let relations: Vec<&str> = relations.iter().map(|relation| relation.as_str()).collect();
                write!(f, "{} {resource_type} ({})", action.as_str(), relations.join(" or "))?;
                if labels.is_empty() {
                    return Ok(());
                }
                let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
                write!(f, " labelled {}", labels.join(", "))
            }
            Self::Endpoint { route, method, path } => write!(f, "{method} {path} of {route}"),
        }
    }
}

impl Answer {
    fn of(decision: &Decision) -> Self {
        match decision {
            Decision::Allow(allowance) => Self {
                outcome: Effect::Allow,
                policies: allowance.policies().to_vec(),
                reason: None,
                mask: allowance.mask().map(ToString::to_string),
            },
            Decision::Deny(Denial { policies, reason }) => Self {
                outcome: Effect::Deny,
                policies: policies.clone(),
                reason: Some(reason.as_str().to_owned()),
                mask: None,
            },
        }
    }

    /// How the other answer comes to something else than this one; `None` if it does not, whichever policies say so.
    #[must_use]
    pub fn change(&self, other: &Self) -> Option<Change> {
        match (self.outcome, other.outcome) {
            (Effect::Allow, Effect::Deny) => Some(Change::Denied),
            (Effect::Deny, Effect::Allow) => Some(Change::Allowed),
            (Effect::Allow, Effect::Allow) => (self.mask != other.mask).then_some(Change::Masked),
            (Effect::Deny, Effect::Deny) => None,
        }
    }
}

impl std::fmt::Display for Answer {
    /// In words, for people.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.outcome {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        })?;
        match (&self.reason, self.policies.as_slice()) {
            (Some(reason), []) if reason != DenyReason::NotPermitted.as_str() => write!(f, " ({reason})")?,
            (_, []) => f.write_str(", for no policy permits it")?,
            (_, policies) => write!(f, " by {}", policies.join(", "))?,
        }
        match &self.mask {
            Some(mask) => write!(f, " with the mask {mask}"),
            None => Ok(()),
        }
    }
}

impl Change {
    /// The name that reports use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Allowed => "allowed",
            Self::Masked => "masked-otherwise",
        }
    }
}

#[cfg(test)]
mod tests;
