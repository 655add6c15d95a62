//! How an explanation says what it finds.

use std::collections::BTreeSet;

use chartgate_access::ids::{PatientId, Subject};
use chartgate_access::pdp::caller::{Caller, Facts};
use chartgate_access::pdp::decide::{Decision, Denial, DenyReason, Pdp, Question, RecordAction};
use chartgate_access::pdp::relation::Relation;
use chartgate_access::pdp::scope::{Constrained, Reach, Which};
use chartgate_protocol::fhir::labels::Labels;
use chartgate_protocol::fhir::membership::{Ownership, ownership, ownership_in_any};
use chartgate_protocol::fhir::name::ResourceType;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_protocol::smart::scope::Permission;

use super::{Looked, Step};
use crate::admin::CommandError;
use crate::directory::InCare;

/// What came of it, in sentences.
#[derive(Default)]
pub(super) struct Explanation {
    pub(super) because: Vec<String>,
    pub(super) policies: BTreeSet<String>,
}

impl Explanation {
    pub(super) fn say(&mut self, sentence: String) {
        self.because.push(sentence);
    }

    /// Says by what a patient is in care, or why it cannot be told.
    pub(super) fn care(&mut self, in_care: &[(String, InCare)], relation: Relation, patient: &PatientId) {
        for (route, in_care) in in_care {
            match in_care.by.get(patient) {
                Some(by) if relation == Relation::Panel => self.say(match by.as_str() {
                    "table" => format!("on the route `{route}` by the care table"),
                    by => format!("on the route `{route}` by {by}"),
                }),
                Some(_) => {}
                None if relation == Relation::Panel => {
                    self.say(format!("on the route `{route}` they are not in care"));
                }
                None => {}
            }
            for failed in &in_care.failed {
                self.say(format!("on the route `{route}` a look-up of who is in care failed: {failed}"));
            }
        }
    }

    /// What a name means on the routes, and whose such records are there.
    pub(super) fn resource_type(
        &mut self,
        looked: &Looked,
        name: &str,
    ) -> Result<(ResourceType, Ownership), CommandError> {
        let unknown = |versions: &str| {
            CommandError::Invalid(format!("`{name}` is no resource type of FHIR {versions}"))
        };
        let resource_type: ResourceType = name.parse().map_err(|_| unknown("R4, R4B or R5"))?;
        if looked.routes.is_empty() {
            return Ok((resource_type, ownership_in_any(resource_type)));
        }
        let mut known = Vec::new();
        for (route, version) in &looked.routes {
            match ResourceType::of(*version, name) {
                Ok(_) => known.push(ownership(*version, resource_type)),
                Err(_) if looked.routes.len() > 1 => {
                    self.say(format!("on the route `{route}`, of FHIR {version}, there is no {name}"));
                }
                Err(_) => {}
            }
        }
        let versions: BTreeSet<String> =
            looked.routes.iter().map(|(_, version)| version.to_string()).collect();
        let versions: Vec<String> = versions.into_iter().collect();
        let first = known.first().copied().ok_or_else(|| unknown(&versions.join(" or ")))?;
        // The same everywhere, or that of patients where it is on any route.
        let is_patients = known.contains(&Ownership::Patients);
        Ok((resource_type, if is_patients { Ownership::Patients } else { first }))
    }

    /// Says what the patient has forbidden, as far as it can be told without the record, and what policies see of that.
    pub(super) fn consents(
        &mut self,
        looked: &Looked,
        permission: Permission,
        patient: &PatientId,
    ) -> Labels {
        let mut labels = Labels::new();
        for (route, _, said) in looked.consents.iter().filter(|(_, of, _)| *of == permission) {
            let by: Vec<&str> = said.by.iter().map(String::as_str).collect();
            let by = by.join(", ");
            match said.label {
                Some(label) => {
                    self.say(format!("on the route `{route}` {by} gives it the label {label}"));
                    labels.insert(label.to_owned());
                }
                None if said.may_say_more => self.say(format!(
                    "on the route `{route}` {patient} has Consents that may forbid it by what stands in the record"
                )),
                None => self.say(format!("on the route `{route}` no Consent of {patient} forbids it")),
            }
        }
        labels
    }

    /// Says what the patient's age gives the record, and what policies see of that.
    pub(super) fn ages(&mut self, looked: &Looked, patient: &PatientId) -> Labels {
        for (route, labels) in &looked.ages {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            self.say(match labels.as_slice() {
                [] => format!("on the route `{route}` {patient} is no minor"),
                labels => {
                    format!("on the route `{route}` their age gives it the label {}", labels.join(", "))
                }
            });
        }
        looked.ages.iter().flat_map(|(_, labels)| labels).cloned().collect()
    }

    pub(super) fn scopes(
        &mut self,
        caller: &Caller,
        scope: &ScopeSet,
        permission: Permission,
        resource_type: ResourceType,
    ) -> Step {
        if caller.constrained(permission, resource_type.as_str()) != Constrained::No {
            self.say(format!(
                "constraints in `{scope}` let some {resource_type} records through and not others"
            ));
        }
        match caller.reach(permission, resource_type.as_str(), Which::Any) {
            Reach::Nothing => {
                self.say(format!("no scope of `{scope}` reaches {permission:?} of {resource_type}"));
                Step::Ends
            }
            Reach::NamedPatients => {
                self.say(format!("`{scope}` reaches the patients that the token names"));
                Step::Goes
            }
            Reach::Policy => {
                self.say(format!("`{scope}` reaches as far as the policies allow"));
                Step::Goes
            }
        }
    }

    pub(super) fn policy(
        &mut self,
        pdp: &Pdp,
        facts: &Facts,
        question: &Question<'_>,
        relation: Relation,
    ) -> Step {
        let stands = relation.as_str();
        match pdp.decide(facts, question) {
            Decision::Allow(allowance) => {
                self.say(format!("{stands}: permitted by {}", allowance.policies().join(", ")));
                self.policies.extend(allowance.policies().iter().cloned());
                let Some(mask) = allowance.mask() else { return Step::Goes };
                self.say(format!("without what the mask keeps: {mask}"));
                if mask.renames() && !is_search(question) {
                    self.say(
                        "by its own name no record leaves under that mask: it can be found alone".to_owned(),
                    );
                    return Step::Ends;
                }
                Step::Goes
            }
            Decision::Deny(Denial { policies, reason }) => {
                let roles: Vec<&str> = facts.roles.iter().map(|role| role.as_str()).collect();
                self.say(match reason {
                    DenyReason::NotPermitted => {
                        format!("{stands}: no policy permits it to the roles {}", roles.join(", "))
                    }
                    DenyReason::Forbidden => format!("{stands}: forbidden by {}", policies.join(", ")),
                    DenyReason::PolicyError => {
                        format!(
                            "{stands}: denied, for a policy could not be evaluated: {}",
                            policies.join(", ")
                        )
                    }
                });
                self.policies.extend(policies);
                Step::Ends
            }
        }
    }
}

fn is_search(question: &Question<'_>) -> bool {
    matches!(question, Question::Record { action: RecordAction::Search, .. })
}

/// How the patient stands to who asks.
pub(super) fn stands(relation: Relation, patient: &PatientId, subject: &Subject) -> String {
    match relation {
        Relation::Nobody => format!("{patient} is nobody's"),
        Relation::Own => format!("{patient} is {subject} themselves"),
        Relation::Panel => format!("{patient} is in the care of {subject}"),
        Relation::Emergency => format!("{subject} has emergency access to {patient}"),
        Relation::Other => format!("{patient} is not in the care of {subject}"),
    }
}
