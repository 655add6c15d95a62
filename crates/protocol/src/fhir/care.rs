//! Who cares for whom, as far as a CareTeam, an Encounter or an Appointment proves it. HL7 FHIR 4.0.1, careteam.html,
//! encounter.html, appointment.html, practitionerrole.html.
//!
//! Only what the resource itself says counts, whatever it was found by: it is in force, it names the practitioner as taking
//! part and the patient as the one whom it is about, each by a reference of ours. What cannot be read proves nothing.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use chartgate_values::Timestamp;

use super::base::BaseUrls;
use super::name::{ResourceId, ResourceType};
use super::period::{Date, Period};
use super::reference::{Reference, Target};
use super::version::FhirVersion;
use crate::json::Node;

/// What relations of care are made from.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Source {
    /// Active, and taking part in it now.
    CareTeam,
    /// Going on, or ended not long ago.
    Encounter,
    /// Agreed on, and about now.
    Appointment,
}

/// How long before and after what they are about relations hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Margins {
    /// After the end of an Encounter.
    pub after_encounter: Duration,
    /// After the start of an Encounter of which no end is said.
    pub open_encounter: Duration,
    /// Before the start of an Appointment, and after its end.
    pub around_appointment: Duration,
}

/// What a resource proves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proven {
    /// Each of these, by Practitioner or PractitionerRole,
    pub carers: BTreeSet<Reference>,
    /// cares for each of these.
    pub patients: BTreeSet<ResourceId>,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::CareTeam, Self::Encounter, Self::Appointment];

    /// The type of its resources.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CareTeam => "CareTeam",
            Self::Encounter => "Encounter",
            Self::Appointment => "Appointment",
        }
    }

    /// The states of an Encounter that is going on.
    #[must_use]
    pub fn under_way(version: FhirVersion) -> &'static [&'static str] {
        match version {
            FhirVersion::R4 | FhirVersion::R4B => &["arrived", "triaged", "in-progress", "onleave"],
            FhirVersion::R5 => &["in-progress", "on-hold"],
        }
    }

    /// The states of an Encounter that is over, as far as somebody was there.
    #[must_use]
    pub fn over(version: FhirVersion) -> &'static [&'static str] {
        match version {
            FhirVersion::R4 | FhirVersion::R4B => &["finished"],
            FhirVersion::R5 => &["completed", "discharged"],
        }
    }

    /// The states of an Appointment that was agreed on.
    pub const AGREED: [&'static str; 4] = ["booked", "arrived", "checked-in", "fulfilled"];

    /// Who cares for whom by this resource now; `None` where it proves nothing.
    #[must_use]
    pub fn proves(
        self,
        resource: &Node<'_>,
        margins: Margins,
        now: Timestamp,
        bases: &BaseUrls,
    ) -> Option<Proven> {
        if text(resource, "resourceType") != Some(self.as_str()) || !is_plain(resource) {
            return None;
        }
        let (carers, patients) = match self {
            Self::CareTeam => care_team(resource, now, bases)?,
            Self::Encounter => encounter(resource, margins, now, bases)?,
            Self::Appointment => appointment(resource, margins.around_appointment, now, bases)?,
        };
        (!carers.is_empty() && !patients.is_empty()).then_some(Proven { carers, patients })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose role a PractitionerRole is, if it is in force now.
#[must_use]
pub fn holder_of_role(resource: &Node<'_>, now: Timestamp, bases: &BaseUrls) -> Option<Reference> {
    let in_force = text(resource, "resourceType") == Some("PractitionerRole")
        && is_plain(resource)
        && matches!(resource.get("active"), None | Some(Node::Bool(true)))
        && covers(resource, Duration::ZERO, now);
    let holder = resource.get("practitioner").and_then(|reference| named(reference, bases));
    holder.filter(|holder| in_force && holder.resource_type.as_str() == "Practitioner")
}

type Sides = (BTreeSet<Reference>, BTreeSet<ResourceId>);

fn care_team(team: &Node<'_>, now: Timestamp, bases: &BaseUrls) -> Option<Sides> {
    let in_force = text(team, "status") == Some("active") && covers(team, Duration::ZERO, now);
    let subject = in_force.then(|| patient(team.get("subject")?, bases)).flatten()?;
    let taking_part = participants(team).filter(|part| match bases.version {
        FhirVersion::R4 | FhirVersion::R4B => covers(part, Duration::ZERO, now),
        // A timing says when they come, and not whether they take part now.
        FhirVersion::R5 => {
            part.get("coverageTiming").is_none()
                && Period::read(part.get("coveragePeriod")).is_ok_and(|own| own.covers(now, Duration::ZERO))
        }
    });
    let carers = taking_part.filter_map(|part| carer(part.get("member")?, bases)).collect();
    Some((carers, BTreeSet::from([subject])))
}

fn encounter(visit: &Node<'_>, margins: Margins, now: Timestamp, bases: &BaseUrls) -> Option<Sides> {
    let (when, who) = match bases.version {
        FhirVersion::R4 | FhirVersion::R4B => ("period", "individual"),
        FhirVersion::R5 => ("actualPeriod", "actor"),
    };
    let after = margins.after_encounter;
    let status = text(visit, "status")?;
    let period = Period::read(visit.get(when)).ok()?;
    let in_force = match &period.end {
        Some(_) => [Source::under_way(bases.version), Source::over(bases.version)].concat().contains(&status),
        // One that ended says when; one that was begun and forgotten is no care for ever.
        None => {
            let last_said = || Date::read(visit.get("meta")?.get("lastUpdated")).ok().flatten();
            let since = period.start.or_else(last_said)?;
            Source::under_way(bases.version).contains(&status)
                && now <= since.latest.plus(margins.open_encounter)
        }
    };
    if !in_force || !period.covers(now, after) {
        return None;
    }
    let subject = patient(visit.get("subject")?, bases)?;
    let taking_part = participants(visit).filter(|part| covers(part, after, now));
    let carers = taking_part.filter_map(|part| carer(part.get(who)?, bases)).collect();
    Some((carers, BTreeSet::from([subject])))
}

fn appointment(meeting: &Node<'_>, around: Duration, now: Timestamp, bases: &BaseUrls) -> Option<Sides> {
    let start = Date::read(meeting.get("start")).ok()??;
    let end = Date::read(meeting.get("end")).ok()?.unwrap_or(start);
    let is_near = start.earliest.minus(around) <= now && now <= end.latest.plus(around);
    if !Source::AGREED.contains(&text(meeting, "status")?) || !is_near {
        return None;
    }
    // valueset-participantrequired.html: who is to be told of it takes no part.
    let is_told = |part: &Node<'_>| text(part, "required") == Some("information-only");
    let coming =
        || participants(meeting).filter(|part| text(part, "status") == Some("accepted") && !is_told(part));
    let carers = coming().filter_map(|part| carer(part.get("actor")?, bases)).collect();
    // Whom it is about need not have answered; who has declined does not come.
    let expected = participants(meeting)
        .filter(|part| matches!(text(part, "status"), Some("accepted" | "tentative" | "needs-action")));
    let patients = expected.filter_map(|part| patient(part.get("actor")?, bases)).collect();
    Some((carers, patients))
}

/// Those who take part, as far as nothing turns what is said of them into something else.
fn participants<'n>(resource: &'n Node<'n>) -> impl Iterator<Item = &'n Node<'n>> {
    let all = resource.get("participant").and_then(Node::as_array).unwrap_or_default();
    all.iter().filter(|part| is_plain(part))
}

/// Nothing in it changes the meaning of the rest: extensibility.html#modifierExtension, resource.html#implicitRules.
fn is_plain(element: &Node<'_>) -> bool {
    element.get("modifierExtension").is_none() && element.get("implicitRules").is_none()
}

fn covers(element: &Node<'_>, grace: Duration, now: Timestamp) -> bool {
    Period::read(element.get("period")).is_ok_and(|period| period.covers(now, grace))
}

fn text<'n>(element: &'n Node<'_>, name: &str) -> Option<&'n str> {
    element.get(name).and_then(Node::as_str)
}

fn named(reference: &Node<'_>, bases: &BaseUrls) -> Option<Reference> {
    match Target::of(text(reference, "reference")?, bases) {
        Target::Record(record) => Some(record),
        Target::Contained(_) | Target::Unproven => None,
    }
}

fn carer(reference: &Node<'_>, bases: &BaseUrls) -> Option<Reference> {
    named(reference, bases)
        .filter(|record| ["Practitioner", "PractitionerRole"].contains(&record.resource_type.as_str()))
}

fn patient(reference: &Node<'_>, bases: &BaseUrls) -> Option<ResourceId> {
    named(reference, bases)
        .filter(|record| record.resource_type == ResourceType::PATIENT)
        .map(|record| record.id)
}

#[cfg(test)]
mod tests;
