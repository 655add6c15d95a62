//! What a policy that permits obliges to: what may be seen of a record, as its `@mask("…")` says. 45 CFR 164.502(b).

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy::{Effect, Policy};
use chartgate_protocol::fhir::mask::Mask;

/// The masks of policies, by the policies' ids. A policy without one obliges to nothing.
#[derive(Debug, Default)]
pub(crate) struct Obligations(BTreeMap<String, Mask>);

/// The annotations that mean something here. Any other would be a slip of the pen, and what was meant by it not be done.
const ANNOTATIONS: [&str; 3] = ["id", "mask", "description"];

impl Obligations {
    /// Reads what a policy obliges to.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub(crate) fn read(&mut self, id: &str, policy: &Policy) -> Result<(), String> {
        if let Some((unknown, _)) = policy.annotations().find(|(name, _)| !ANNOTATIONS.contains(name)) {
            return Err(format!(
                "policy `{id}`: there is no annotation @{unknown}; there are @id, @mask and @description"
            ));
        }
        let Some(text) = policy.annotation("mask") else { return Ok(()) };
        if policy.effect() == Effect::Forbid {
            return Err(format!("policy `{id}`: a forbid has no @mask, for nothing leaves by it"));
        }
        if policy.to_string().contains("labels") {
            return Err(format!(
                "policy `{id}`: what a @mask leaves has to be known before a record is found, so its policy cannot ask for labels; \
                 use a forbid"
            ));
        }
        let mask = text.parse::<Mask>().map_err(|error| format!("policy `{id}`: @mask: {error}"))?;
        self.0.insert(id.to_owned(), mask);
        Ok(())
    }

    /// Why a policy beside these cannot be in force: what a mask leaves of a record is looked up before the record is found, so
    /// what permits more of some records for their labels would not be known.
    pub(crate) fn conflict(&self, policy: &Policy) -> Option<String> {
        let permits_by_labels =
            policy.effect() == Effect::Permit && policy.to_string().contains("labels") && !self.0.is_empty();
        permits_by_labels.then(|| {
            format!(
                "policy `{}`: a permit cannot ask for labels where another has a @mask; use a forbid with `unless`",
                policy.id()
            )
        })
    }

    /// What all of these policies together let be seen, each of which is enough by itself.
    pub(crate) fn of(&self, policies: &[String]) -> Option<Arc<Mask>> {
        let masks: Vec<Mask> = policies.iter().map(|id| self.0.get(id).cloned()).collect::<Option<_>>()?;
        let mask = Mask::least_of(&masks);
        (!mask.is_empty()).then(|| Arc::new(mask))
    }
}
