//! Policies as operators write them: read, named, validated against the schema, or refused as a whole.

use std::collections::BTreeSet;
use std::str::FromStr;

use cedar_policy::{EntityUid, PolicyId, PolicySet, Schema, ValidationMode, Validator};

use crate::ids::Role;
use crate::obligation::Obligations;

/// A policy file.
#[derive(Clone, Debug)]
pub struct PolicyFile {
    /// For messages.
    pub name: String,
    /// Cedar text.
    pub text: String,
}

/// What is wrong with a policy, and where.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct PolicyError {
    /// The file.
    pub file: String,
    /// What is wrong and what to do.
    pub problem: String,
}

/// Validated policies with the schema that they were validated against.
#[derive(Debug)]
pub struct Policies {
    pub(super) set: PolicySet,
    pub(super) schema: Schema,
    pub(super) obligations: Obligations,
}

impl Policies {
    /// Reads schema and policies. Every policy needs an `@id("…")` of its own, which records name.
    ///
    /// # Errors
    /// Every [`PolicyError`] found, in the order of the files.
    pub fn read(schema: &PolicyFile, files: &[PolicyFile]) -> Result<Self, Vec<PolicyError>> {
        let error = |file: &PolicyFile, problem: String| PolicyError { file: file.name.clone(), problem };
        let (parsed_schema, _) = Schema::from_cedarschema_str(&schema.text)
            .map_err(|e| vec![error(schema, one_line(&format!("the schema does not parse: {e}")))])?;
        let mut set = PolicySet::new();
        let mut obligations = Obligations::default();
        let mut errors = Vec::new();
        for file in files {
            match PolicySet::from_str(&file.text) {
                Ok(parsed) => errors
                    .extend(add(&mut set, &mut obligations, &parsed).into_iter().map(|p| error(file, p))),
                Err(e) => errors.push(error(file, one_line(&format!("does not parse: {e}")))),
            }
        }
        let conflicts = set.policies().filter_map(|policy| obligations.conflict(policy));
        errors.extend(conflicts.map(|problem| PolicyError { file: "policies".to_owned(), problem }));
        let result = Validator::new(parsed_schema.clone()).validate(&set, ValidationMode::Strict);
        for e in result.validation_errors() {
            errors.push(PolicyError {
                file: format!("policy `{}`", e.policy_id()),
                problem: one_line(&e.to_string()),
            });
        }
        if errors.is_empty() { Ok(Self { set, schema: parsed_schema, obligations }) } else { Err(errors) }
    }

    /// A policy as Cedar writes it.
    #[must_use]
    pub fn text(&self, id: &str) -> Option<String> {
        self.set.policy(&PolicyId::new(id)).map(ToString::to_string)
    }

    /// Whether some policy asks how a record has to be handled.
    pub(super) fn asks_for_labels(&self) -> bool {
        self.set.policies().any(|policy| policy.to_string().contains("labels"))
    }

    /// Whether some policy asks through which client it is.
    pub(super) fn asks_for_clients(&self) -> bool {
        self.set.policies().any(|policy| policy.to_string().contains("client"))
    }

    /// Whether some policy names this role.
    pub(super) fn name_role(&self, role: &Role) -> bool {
        let is_it = |entity: EntityUid| {
            entity.type_name().basename() == "Role" && entity.id().unescaped() == role.as_str()
        };
        self.set.policies().any(|policy| policy.entity_literals().into_iter().any(is_it))
    }

    /// The ids of all policies.
    #[must_use]
    pub fn ids(&self) -> BTreeSet<String> {
        self.set.policies().map(|policy| policy.id().to_string()).collect()
    }
}

fn add(set: &mut PolicySet, obligations: &mut Obligations, parsed: &PolicySet) -> Vec<String> {
    let mut problems = Vec::new();
    if parsed.templates().next().is_some() {
        problems.push("has a template; only plain policies are used".to_owned());
    }
    for policy in parsed.policies() {
        match policy.annotation("id").filter(|id| !id.is_empty()) {
            None => problems.push(format!("a policy has no @id(\"…\"): {}", one_line(&policy.to_string()))),
            Some(id) => {
                problems.extend(obligations.read(id, policy).err());
                if set.add(policy.new_id(PolicyId::new(id))).is_err() {
                    problems.push(format!("the policy id `{id}` is used twice"));
                }
            }
        }
    }
    problems
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect()
}
