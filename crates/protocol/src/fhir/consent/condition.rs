//! When a rule of a Consent holds: for whom, what, why and when. consent-definitions.html.

use std::collections::BTreeSet;

use super::Now;
use crate::fhir::base::BaseUrls;
use crate::fhir::labels::Labels;
use crate::fhir::name::{ResourceId, ResourceType};
use crate::fhir::period::{Date, Period};
use crate::fhir::reference::{Reference, Target};
use crate::json::Node;
use crate::oauth::purpose_of_use::PurposeOfUse;

/// What is to be done with a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Act {
    /// To look at it.
    View,
    /// To write it.
    Change,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// As FHIR knows them, if it does.
    pub who: Option<&'a Reference>,
    /// Whether it is a program that acts for itself.
    pub is_program: bool,
    /// For what, if that was said.
    pub purpose: Option<&'a str>,
    /// The Organizations of which everybody here is, if that is known.
    pub organizations: Option<&'a BTreeSet<ResourceId>>,
}

/// The record.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// Its type.
    pub resource_type: ResourceType,
    /// Its content.
    pub content: &'a Node<'a>,
    /// How it has to be handled.
    pub labels: &'a Labels,
}

/// What is asked.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// By whom.
    pub asker: Asker<'a>,
    /// What.
    pub act: Act,
    /// With what.
    pub record: Record<'a>,
    /// When.
    pub now: Now,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub(super) enum Match {
    No,
    /// It cannot be told.
    Maybe,
    /// Of a part of the record: enough to keep it, and not to give all of it away.
    Partly,
    Yes,
}

/// Of which records a rule is that names a level of confidentiality.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Levels {
    /// What is forbidden of records of one level is forbidden of those above.
    FromThere,
    /// What is permitted up to one is permitted of those below: consent-definitions.html#Consent.provision.securityLabel.
    UpToThere,
    /// What the rule says is not known.
    Untold,
}

#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// `period`.
    Now(Period),
    /// `actor`.
    Actor(Reference),
    /// `action`.
    Act(BTreeSet<String>),
    /// `securityLabel`.
    Label(String),
    /// `purpose`.
    Purpose(String),
    /// `class`, where it names a type of resource.
    Class(String),
    /// `code`.
    Code(Vec<(Option<String>, String)>),
    /// `dataPeriod`.
    Data(Period),
    /// `data`, a record itself.
    Instance(Reference),
    Unreadable,
}

impl Condition {
    /// All conditions of a rule.
    pub(super) fn all_of(rule: &Node<'_>, bases: &BaseUrls) -> Vec<Vec<Self>> {
        let period = |name, of: fn(Period) -> Self| {
            rule.get(name).map(|period| vec![Period::read(Some(period)).map_or(Self::Unreadable, of)])
        };
        let list = |name, read: &dyn Fn(&Node<'_>) -> Option<Self>| {
            rule.get(name).map(|list| match list {
                Node::Array(items) => items
                    .iter()
                    .map(|item| match item.get("modifierExtension") {
                        None => read(item).unwrap_or(Self::Unreadable),
                        Some(_) => Self::Unreadable,
                    })
                    .collect(),
                Node::Null | Node::Bool(_) | Node::Number | Node::Text(_) | Node::Object(_) => {
                    vec![Self::Unreadable]
                }
            })
        };
        let class = |class: &Node<'_>| {
            let names_a_type = text(class, "system").is_some_and(|system| TYPES.contains(&system.as_str()));
            // What is no type of this version may stand for several.
            let code = names_a_type.then(|| text(class, "code"))??;
            ResourceType::of(bases.version, &code).is_ok().then_some(Self::Class(code))
        };
        let all = [
            period("period", Self::Now),
            list("actor", &|actor| named(actor.get("reference")?, bases).map(Self::Actor)),
            list("action", &|action| {
                Some(Self::Act(codes(action)?.into_iter().map(|(_, code)| code).collect()))
            }),
            list("securityLabel", &|label| text(label, "code").map(Self::Label)),
            list("purpose", &|purpose| text(purpose, "code").map(Self::Purpose)),
            list("class", &class),
            // R5 has two in its place: of a document's type too little is known here.
            list("resourceType", &class),
            list("documentType", &|_| None),
            rule.get("expression").map(|_| vec![Self::Unreadable]),
            list("code", &|code| codes(code).map(Self::Code)),
            period("dataPeriod", Self::Data),
            list("data", &|data| {
                let is_itself = text(data, "meaning").as_deref() == Some("instance");
                is_itself.then(|| named(data.get("reference")?, bases).map(Self::Instance))?
            }),
        ];
        all.into_iter().flatten().collect()
    }

    /// When a Consent as a whole is in force, by R5.
    pub(super) fn period_of(consent: &Node<'_>) -> Option<Vec<Self>> {
        let period = consent.get("period")?;
        Some(vec![Period::read(Some(period)).map_or(Self::Unreadable, Self::Now)])
    }

    pub(super) fn holds(&self, asked: &Asked<'_>, levels: Levels) -> Match {
        let Asked { asker, act, record, now } = asked;
        match self {
            Self::Unreadable => Match::Maybe,
            Self::Now(period) => told(period.covers(*now, std::time::Duration::ZERO)),
            Self::Actor(actor) => asker.is(actor),
            Self::Act(names) => act.is(names),
            Self::Label(label) => record.has_label(label, levels),
            Self::Purpose(purpose) => asker.asks_for(purpose),
            Self::Class(name) => told(record.resource_type.as_str() == name),
            Self::Code(codes) => {
                told(codes.iter().any(|(system, code)| has_code(record.content, system.as_deref(), code)))
            }
            Self::Data(period) => record.is_of(period),
            Self::Instance(reference) => {
                let id = record.content.get("id").and_then(Node::as_str);
                told(reference.resource_type == record.resource_type && id == Some(reference.id.as_str()))
            }
        }
    }
}

impl Asker<'_> {
    fn is(&self, actor: &Reference) -> Match {
        const PRACTITIONERS: [&str; 2] = ["Practitioner", "PractitionerRole"];
        match (actor.resource_type.as_str(), self.who) {
            ("Organization", _) => match self.organizations {
                Some(own) => told(own.contains(&actor.id)),
                None => Match::Maybe,
            },
            // Through which device somebody asks is not known, whether they are a person or a program.
            ("Device", _) => Match::Maybe,
            ("Practitioner" | "PractitionerRole" | "Patient" | "RelatedPerson", _) if self.is_program => {
                Match::No
            }
            ("Practitioner" | "PractitionerRole" | "Patient" | "RelatedPerson", Some(who)) => {
                let is_role_of_another_name = who.resource_type != actor.resource_type
                    && PRACTITIONERS.contains(&who.resource_type.as_str())
                    && PRACTITIONERS.contains(&actor.resource_type.as_str());
                if is_role_of_another_name { Match::Maybe } else { told(who == actor) }
            }
            // A person whom FHIR does not know may be anybody, and who is in a group or team is not looked up.
            (_, _) => Match::Maybe,
        }
    }

    fn asks_for(&self, purpose: &str) -> Match {
        match self.purpose {
            None => Match::Maybe,
            Some(own) if is_within(own, purpose) => Match::Yes,
            Some(own) => match (own.parse::<PurposeOfUse>(), purpose.parse::<PurposeOfUse>()) {
                (Ok(_), Ok(_)) => Match::No,
                // It may be above of what is asked for.
                (Ok(_) | Err(_), Ok(_) | Err(_)) => Match::Maybe,
            },
        }
    }
}

impl Act {
    /// consentaction: what a rule is about.
    fn is(self, names: &BTreeSet<String>) -> Match {
        let one = |name: &String| match (name.as_str(), self) {
            ("access" | "use" | "disclose", Self::View) => Match::Yes,
            ("collect" | "correct", Self::View) => Match::No,
            ("collect" | "correct" | "access" | "use", Self::Change) => Match::Yes,
            ("disclose", Self::Change) => Match::No,
            (_, Self::View | Self::Change) => Match::Maybe,
        };
        names.iter().map(one).max().unwrap_or(Match::Maybe)
    }
}

impl Record<'_> {
    fn has_label(&self, label: &str, levels: Levels) -> Match {
        if let Some(asked) = level(label) {
            return self.is_at(asked, levels);
        }
        if self.labels.contains(label) {
            Match::Yes
        } else if self.labels.contains(&format!("code:{label}")) {
            Match::Maybe
        } else {
            Match::No
        }
    }

    fn is_at(&self, asked: usize, levels: Levels) -> Match {
        let (least, most) = self.confidentiality();
        let between =
            |of_both: bool, of_one: bool| if of_one && !of_both { Match::Maybe } else { told(of_both) };
        let from_there = between(least >= asked, most >= asked);
        let up_to_there = between(most <= asked, least <= asked);
        match levels {
            Levels::FromThere => from_there,
            Levels::UpToThere => up_to_there,
            Levels::Untold if from_there == up_to_there => from_there,
            Levels::Untold => Match::Maybe,
        }
    }

    /// The lowest and the highest level that it can be of.
    fn confidentiality(&self) -> (usize, usize) {
        match self.labels.iter().filter_map(|own| level(own)).max() {
            Some(own) => (own, own),
            // Nobody has said: it is as usual, or, where it is called sensitive, more than that.
            None if self.labels.is_empty() => (USUAL, USUAL),
            None => (USUAL, HIGHEST),
        }
    }

    /// Whether it is of a time, as far as it says of when it is.
    fn is_of(&self, period: &Period) -> Match {
        let of = |own: Option<Period>| own.map_or(Match::Maybe, |own| lies_in(&own, period));
        let times = WHEN.iter().filter_map(|name| self.time(name));
        let times = times.chain(FROM_TO.iter().filter_map(|(from, to)| self.span(from, to)));
        let all: Vec<Match> = times.map(of).collect();
        match (all.iter().min(), all.iter().max()) {
            (Some(Match::Yes), _) => Match::Yes,
            // One of its times is, and another is not, or cannot be told.
            (_, Some(Match::Yes)) => Match::Partly,
            (_, most) => most.copied().unwrap_or(Match::Maybe),
        }
    }

    /// What an element says, if it is there and can be read.
    fn time(&self, name: &str) -> Option<Option<Period>> {
        let element = self.content.get(name)?;
        Some(match Date::read(Some(element)) {
            Ok(date) => Some(Period { start: date, end: date }),
            Err(_) => Period::read(Some(element)).ok(),
        })
    }

    /// The same of two elements, of which one says when it begins and the other when it ends.
    fn span(&self, from: &[&str], to: &[&str]) -> Option<Option<Period>> {
        let one_of = |names: &[&str]| names.iter().find_map(|name| self.time(name));
        match (one_of(from), one_of(to)) {
            (None, None) => None,
            (Some(alone), None) | (None, Some(alone)) => Some(alone),
            (Some(from), Some(to)) => {
                Some(from.zip(to).map(|(from, to)| Period { start: from.start, end: to.end }))
            }
        }
    }
}

/// v3-Confidentiality, from open to closed.
const CONFIDENTIALITY: [&str; 6] = ["U", "L", "M", "N", "R", "V"];
/// Where `N` stands among them, and the last.
const USUAL: usize = 3;
const HIGHEST: usize = 5;

fn level(code: &str) -> Option<usize> {
    CONFIDENTIALITY.iter().position(|own| *own == code)
}

/// Whether a time lies in another: all of it, or a part.
fn lies_in(own: &Period, period: &Period) -> Match {
    let from = |period: &Period| period.start.map(|start| start.earliest);
    let to = |period: &Period| period.end.map(|end| end.latest);
    let before = |end: Option<Now>, start: Option<Now>| end.zip(start).is_some_and(|(e, s)| e < s);
    if before(to(own), from(period)) || before(to(period), from(own)) {
        return Match::No;
    }
    let begins_in = from(period).is_none_or(|start| from(own).is_some_and(|own| start <= own));
    let ends_in = to(period).is_none_or(|end| to(own).is_some_and(|own| own <= end));
    if begins_in && ends_in { Match::Yes } else { Match::Partly }
}

/// Whether a purpose is another, or one of its kind. v3-ActReason.
fn is_within(own: &str, purpose: &str) -> bool {
    let above = KINDS.iter().find(|(_, kinds)| kinds.contains(&own)).map(|(above, _)| *above);
    own == purpose || purpose == "PurposeOfUse" || above.is_some_and(|above| is_within(above, purpose))
}

/// Purposes and their kinds, of those that can be stated here.
const KINDS: [(&str, &[&str]); 8] = [
    ("TREAT", &["ETREAT", "COC"]),
    ("ETREAT", &["BTG"]),
    ("HPAYMT", &["COVERAGE", "REMITADV"]),
    ("COVERAGE", &["ELIGDTRM"]),
    (
        "HOPERAT",
        &[
            "CAREMGT",
            "HQUALIMP",
            "HCOMPL",
            "HLEGAL",
            "HSYSADMIN",
            "PATADMIN",
            "PATSFTY",
            "RECORDMGT",
            "TRAIN",
            "GOV",
        ],
    ),
    ("HRESCH", &["CLINTRCH"]),
    ("PATRQT", &["FAMRQT", "PWATRNY"]),
    ("PUBHLTH", &["DISASTER", "THREAT"]),
];

/// The elements by which records say of when they are. When somebody wrote it down is not when it was.
const WHEN: [&str; 21] = [
    "actualPeriod",
    "authoredOn",
    "date",
    "dateTime",
    "effectiveDateTime",
    "effectiveInstant",
    "effectivePeriod",
    "occurenceDateTime",
    "occurencePeriod",
    "occurredDateTime",
    "occurredPeriod",
    "occurrenceDateTime",
    "occurrencePeriod",
    "performedDateTime",
    "performedPeriod",
    "period",
    "sent",
    "servicedDate",
    "servicedPeriod",
    "whenHandedOver",
    "whenPrepared",
];

/// The same where one element says from when it is, and another until when.
const FROM_TO: [(&[&str], &[&str]); 2] =
    [(&["start"], &["end"]), (&["onsetDateTime", "onsetPeriod"], &["abatementDateTime", "abatementPeriod"])];

/// Where codes of `class` and `resourceType` are names of types.
const TYPES: [&str; 2] = ["http://hl7.org/fhir/resource-types", "http://hl7.org/fhir/fhir-types"];

fn told(holds: bool) -> Match {
    if holds { Match::Yes } else { Match::No }
}

fn text(element: &Node<'_>, name: &str) -> Option<String> {
    element.get(name).and_then(Node::as_str).map(str::to_owned)
}

fn named(reference: &Node<'_>, bases: &BaseUrls) -> Option<Reference> {
    match Target::of(reference.get("reference")?.as_str()?, bases) {
        Target::Record(record) => Some(record),
        Target::Contained(_) | Target::Unproven => None,
    }
}

/// The codes of a CodeableConcept; `None` if there is none, or one that cannot be read.
fn codes(concept: &Node<'_>) -> Option<Vec<(Option<String>, String)>> {
    let codings = concept.get("coding")?.as_array().filter(|codings| !codings.is_empty())?;
    codings.iter().map(|coding| Some((text(coding, "system"), text(coding, "code")?))).collect()
}

/// Whether a code stands anywhere in a record.
fn has_code(value: &Node<'_>, system: Option<&str>, code: &str) -> bool {
    match value {
        Node::Object(members) => {
            let text = |name| members.get(name).and_then(Node::as_str);
            let is_it =
                text("code") == Some(code) && system.is_none_or(|system| text("system") == Some(system));
            is_it || members.iter().any(|(_, value)| has_code(value, system, code))
        }
        Node::Array(items) => items.iter().any(|item| has_code(item, system, code)),
        Node::Null | Node::Bool(_) | Node::Number | Node::Text(_) => false,
    }
}
