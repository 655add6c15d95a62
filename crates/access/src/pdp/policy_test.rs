//! Policy tests as data: who, what, and the decision that has to come out.

use std::collections::BTreeSet;

use chartgate_protocol::fhir::labels::Labels;
use chartgate_protocol::fhir::name::ResourceType;
use serde::Deserialize;

use super::caller::{CallerKind, Facts};
use super::decide::{Decision, Pdp, Question, RecordAction};
use super::relation::Relation;
use crate::ids::{ClientId, Role, Subject};

/// A file of tests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyTests {
    /// The policy whose tests these are, or a title.
    pub about: String,
    /// The tests.
    pub tests: Vec<PolicyTest>,
}

/// One request and the decision expected of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyTest {
    /// What it shows, as a sentence.
    pub name: String,
    /// `user` (default) or `client`.
    #[serde(default)]
    pub kind: Kind,
    /// The caller's roles.
    pub roles: BTreeSet<Role>,
    /// Every one of these actions is asked.
    pub actions: Vec<Action>,
    /// On every one of these FHIR types.
    #[serde(default)]
    pub resource_types: Vec<ResourceType>,
    /// In every one of these relations.
    #[serde(default)]
    pub relations: Vec<RelationName>,
    /// With these labels, all at once.
    #[serde(default)]
    pub labels: Labels,
    /// For `call`: the endpoint.
    pub endpoint: Option<Endpoint>,
    /// `purpose_of_use`.
    pub purpose_of_use: Option<String>,
    /// `acr`.
    pub acr: Option<String>,
    /// `amr`.
    #[serde(default)]
    pub amr: BTreeSet<String>,
    /// What has to come out, each time.
    pub expect: Expected,
    /// The policies that have to be named, if given.
    pub policies: Option<Vec<String>>,
    /// What has to be kept of the record, as `@mask` says it, if given; nothing is `""`.
    pub mask: Option<String>,
}

/// A kind of caller.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A person.
    #[default]
    User,
    /// A program.
    Client,
}

/// An action by its name in the schema.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// FHIR read.
    Read,
    /// FHIR search.
    Search,
    /// FHIR create.
    Create,
    /// FHIR update.
    Update,
    /// FHIR delete.
    Delete,
    /// A call on an `http` route.
    Call,
}

/// A relation by its name.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RelationName {
    /// See [`Relation::Nobody`].
    Nobody,
    /// See [`Relation::Own`].
    Own,
    /// See [`Relation::Panel`].
    Panel,
    /// See [`Relation::Emergency`].
    Emergency,
    /// See [`Relation::Other`].
    Other,
}

/// An endpoint of an `http` route.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The route.
    pub route: String,
    /// The method.
    pub method: String,
    /// The path as the rule writes it.
    pub path: String,
}

/// The decision expected.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    /// Yes.
    Allow,
    /// No.
    Deny,
}

/// How a test came out.
#[derive(Debug, Eq, PartialEq)]
#[must_use = "a failed test is reported"]
pub enum Outcome {
    /// As expected, in this many questions.
    Passed(usize),
    /// Otherwise, or nothing was asked: a sentence for each question that came out wrong.
    Failed(Vec<String>),
}

impl PolicyTest {
    /// Asks everything that the test names.
    pub fn run(&self, pdp: &Pdp) -> Outcome {
        let Some(facts) = self.facts() else {
            return Outcome::Failed(vec!["the caller cannot be built".into()]);
        };
        let mut failures: Vec<String> = self.passed_over().map(str::to_owned).into_iter().collect();
        let mut asked: usize = 0;
        for (what, question) in self.questions() {
            asked = asked.saturating_add(1);
            let (got, policies, mask) = match pdp.decide(&facts, &question) {
                Decision::Allow(yes) => {
                    let mask = yes.mask().map(ToString::to_string).unwrap_or_default();
                    (Expected::Allow, yes.policies().to_vec(), mask)
                }
                Decision::Deny(no) => (Expected::Deny, no.policies, String::new()),
            };
            if got != self.expect {
                failures.push(format!("{what}: {got:?} by {policies:?}"));
            } else if self.policies.as_ref().is_some_and(|expected| *expected != policies) {
                failures.push(format!("{what}: decided by {policies:?}"));
            } else if self.mask.as_ref().is_some_and(|expected| *expected != mask) {
                failures.push(format!("{what}: under the mask `{mask}`"));
            }
        }
        if asked == 0 {
            failures.push("the test asks nothing".to_owned());
        }
        if failures.is_empty() { Outcome::Passed(asked) } else { Outcome::Failed(failures) }
    }

    /// What the test names and nothing asks, or what it asks of nothing.
    fn passed_over(&self) -> Option<&'static str> {
        let calls = self.actions.contains(&Action::Call);
        let on_records = self.actions.iter().any(|action| action.on_records().is_some());
        let (types, relations) = (!self.resource_types.is_empty(), !self.relations.is_empty());
        [
            (calls && self.endpoint.is_none(), "`call` is asked of an `endpoint`, which is missing"),
            (
                !calls && self.endpoint.is_some(),
                "the `endpoint` is asked by `call`, which is not among the actions",
            ),
            (
                on_records && !(types && relations),
                "its actions are on `resource_types` in `relations`, which are missing",
            ),
            (
                !on_records && (types || relations),
                "none of its actions is on its `resource_types` in its `relations`",
            ),
        ]
        .into_iter()
        .find_map(|(is_so, why)| is_so.then_some(why))
    }

    fn facts(&self) -> Option<Facts> {
        Some(Facts {
            kind: match self.kind {
                Kind::User => CallerKind::Person,
                Kind::Client => CallerKind::Workload,
            },
            subject: "policy-test".parse::<Subject>().ok()?,
            client_id: "policy-test".parse::<ClientId>().ok()?,
            roles: self.roles.clone(),
            acr: self.acr.clone(),
            amr: self.amr.clone(),
            purpose_of_use: self.purpose_of_use.clone(),
        })
    }

    fn questions(&self) -> Vec<(String, Question<'_>)> {
        let mut questions = Vec::new();
        for action in &self.actions {
            let Some(action) = action.on_records() else {
                questions.extend(self.endpoint.as_ref().map(|e| {
                    let question = Question::Endpoint { route: &e.route, method: &e.method, path: &e.path };
                    (format!("call {} {}", e.method, e.path), question)
                }));
                continue;
            };
            for resource_type in &self.resource_types {
                for relation in &self.relations {
                    let relation = Relation::from(*relation);
                    let what = format!("{} {resource_type} ({})", action.as_str(), relation.as_str());
                    questions.push((
                        what,
                        Question::Record {
                            action,
                            resource_type: resource_type.as_str(),
                            relation,
                            labels: &self.labels,
                        },
                    ));
                }
            }
        }
        questions
    }
}

impl Action {
    fn on_records(self) -> Option<RecordAction> {
        match self {
            Self::Read => Some(RecordAction::Read),
            Self::Search => Some(RecordAction::Search),
            Self::Create => Some(RecordAction::Create),
            Self::Update => Some(RecordAction::Update),
            Self::Delete => Some(RecordAction::Delete),
            Self::Call => None,
        }
    }
}

impl From<RelationName> for Relation {
    fn from(name: RelationName) -> Self {
        match name {
            RelationName::Nobody => Self::Nobody,
            RelationName::Own => Self::Own,
            RelationName::Panel => Self::Panel,
            RelationName::Emergency => Self::Emergency,
            RelationName::Other => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::pdp::policy_set::{Policies, PolicyFile};

    fn outcome(more: &Value) -> Outcome {
        let file = |name: &str, text: &str| PolicyFile { name: name.into(), text: text.into() };
        let schema = file("schema", include_str!("../../../../policies/schema.cedarschema"));
        let policies = Policies::read(&schema, &[]).unwrap();
        let mut test = json!({ "name": "t", "roles": ["nurse"], "expect": "deny" });
        test.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value::<PolicyTest>(test).unwrap().run(&Pdp::new(policies, "test".into()))
    }

    #[test]
    fn a_test_that_asks_less_than_it_names_fails() {
        let endpoint = json!({ "route": "orders", "method": "GET", "path": "/orders" });
        let reads = json!({ "resource_types": ["Observation"], "relations": ["panel"] });
        let with = |actions: Value, endpoint: Option<&Value>| {
            let mut more = reads.clone();
            more["actions"] = actions;
            if let Some(endpoint) = endpoint {
                more["endpoint"] = endpoint.clone();
            }
            outcome(&more)
        };
        assert_eq!(with(json!(["read", "call"]), Some(&endpoint)), Outcome::Passed(2));
        assert_eq!(with(json!(["read"]), None), Outcome::Passed(1));
        for (actions, endpoint, why) in
            [(json!(["read", "call"]), None, "missing"), (json!(["read"]), Some(&endpoint), "not among")]
        {
            let Outcome::Failed(failures) = with(actions, endpoint) else { panic!("{why}") };
            assert!(failures.len() == 1 && failures[0].contains(why), "{failures:?}");
        }
        let call = json!({ "actions": ["call"], "endpoint": endpoint });
        for (change, why) in [
            (json!({ "actions": ["read", "call"], "resource_types": ["Observation"] }), "missing"),
            (json!({ "actions": ["read", "call"], "relations": ["panel"] }), "missing"),
            (json!({ "resource_types": ["Observation"] }), "none of its actions"),
            (json!({ "relations": ["panel"] }), "none of its actions"),
        ] {
            let mut more = call.clone();
            more.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let Outcome::Failed(failures) = outcome(&more) else { panic!("{change}") };
            assert!(failures.iter().any(|failure| failure.contains(why)), "{failures:?}");
        }
    }

    #[test]
    fn a_type_that_fhir_does_not_have_is_an_error() {
        let read = |name: &str| {
            serde_json::from_value::<PolicyTest>(json!({ "name": "t", "roles": [], "actions": ["read"],
                "resource_types": [name], "expect": "deny" }))
            .map(drop)
        };
        assert!(read("Observation").is_ok() && read("ActorDefinition").is_ok(), "of any version");
        assert!(read("Observations").unwrap_err().to_string().contains("not a resource type"));
    }
}
