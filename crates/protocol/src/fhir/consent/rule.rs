//! A rule of a Consent, and the exceptions to it. consent-definitions.html#Consent.provision.

use super::Says;
use super::condition::{Asked, Condition, Levels, Match};
use crate::fhir::base::BaseUrls;
use crate::json::Node;

/// A rule: what it says, of what, and what is excepted from it.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    effect: Effect,
    /// All of them have to hold; of the alternatives of each, one.
    conditions: Vec<Vec<Condition>>,
    exceptions: Vec<Self>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Effect {
    Denies,
    Permits,
    /// What holds without it.
    Unsaid,
    Unreadable,
}

impl Effect {
    fn levels(self) -> Levels {
        match self {
            Self::Denies => Levels::FromThere,
            Self::Permits => Levels::UpToThere,
            Self::Unsaid | Self::Unreadable => Levels::Untold,
        }
    }
}

impl Rule {
    pub(super) fn read(rule: &Node<'_>, bases: &BaseUrls) -> Self {
        let effect = match (rule, rule.get("type")) {
            _ if rule.get("modifierExtension").is_some() => Effect::Unreadable,
            (Node::Object(_), None) => Effect::Unsaid,
            (_, Some(Node::Text(text))) if text == "deny" => Effect::Denies,
            (_, Some(Node::Text(text))) if text == "permit" => Effect::Permits,
            (_, _) => Effect::Unreadable,
        };
        let exceptions = match rule.get("provision") {
            None => Vec::new(),
            Some(Node::Array(rules)) => rules.iter().map(|rule| Self::read(rule, bases)).collect(),
            Some(other) => vec![Self::read(other, bases)],
        };
        // What alters the meaning of the rest may alter when it holds.
        let is_altered = rule.get("modifierExtension").is_some();
        let conditions = if is_altered { Vec::new() } else { Condition::all_of(rule, bases) };
        Self { effect, conditions, exceptions }
    }

    /// R5's rules: a decision for the time of the Consent, provisions that are exceptions to it, and exceptions to those, each
    /// of the other effect. HL7 FHIR 5.0.0, consent-definitions.html#Consent.decision. `None` if there is no decision.
    pub(super) fn of_decision(consent: &Node<'_>, bases: &BaseUrls) -> Option<Self> {
        let effect = match consent.get("decision")?.as_str()? {
            "deny" => Effect::Denies,
            "permit" => Effect::Permits,
            _ => return None,
        };
        let conditions = Condition::period_of(consent).into_iter().collect();
        Some(Self { effect, conditions, exceptions: Self::excepted(consent, effect, bases) })
    }

    /// The provisions within something of this effect.
    fn excepted(around: &Node<'_>, effect: Effect, bases: &BaseUrls) -> Vec<Self> {
        let effect = match effect {
            Effect::Denies => Effect::Permits,
            Effect::Permits => Effect::Denies,
            Effect::Unsaid | Effect::Unreadable => Effect::Unreadable,
        };
        let one = |rule: &Node<'_>| {
            let is_altered = !matches!(rule, Node::Object(_)) || rule.get("modifierExtension").is_some();
            let own = if is_altered { Effect::Unreadable } else { effect };
            let conditions = if is_altered { Vec::new() } else { Condition::all_of(rule, bases) };
            Self { effect: own, conditions, exceptions: Self::excepted(rule, own, bases) }
        };
        match around.get("provision") {
            None => Vec::new(),
            Some(Node::Array(rules)) => rules.iter().map(one).collect(),
            Some(other) => vec![one(other)],
        }
    }

    /// What it says, where `otherwise` holds without it; `None` if it says nothing of what is asked.
    pub(super) fn says(&self, asked: &Asked<'_>, otherwise: Says) -> Option<Says> {
        let any = |alternatives: &Vec<Condition>| {
            let holds = |condition: &Condition| condition.holds(asked, self.effect.levels());
            alternatives.iter().map(holds).max().unwrap_or(Match::Maybe)
        };
        let matched = self.conditions.iter().map(any).min().unwrap_or(Match::Yes);
        if matched == Match::No {
            return None;
        }
        let unclear = Says::Unclear.max(otherwise);
        let stated = match self.effect {
            Effect::Denies => Says::Denied,
            Effect::Permits => Says::Nothing,
            Effect::Unsaid => otherwise,
            Effect::Unreadable => return Some(unclear),
        };
        // Where several exceptions hold, the strictest counts.
        let excepted = self.exceptions.iter().filter_map(|rule| rule.says(asked, stated)).max();
        match (matched, excepted.unwrap_or(stated)) {
            (Match::Yes, said) | (Match::Partly, said @ (Says::Unclear | Says::Denied)) => Some(said),
            // Perhaps it does not hold, or not for all of the record: then it permits nothing.
            (_, Says::Nothing) => None,
            (_, Says::Unclear | Says::Denied) => Some(unclear),
        }
    }

    /// Whether it might keep anything from anybody.
    pub(super) fn restricts(&self) -> bool {
        match self.effect {
            Effect::Denies | Effect::Unreadable => true,
            Effect::Permits | Effect::Unsaid => self.exceptions.iter().any(Self::restricts),
        }
    }
}
