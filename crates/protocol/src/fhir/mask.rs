//! What a policy lets somebody see of a record: what is taken from it, made coarser or renamed before it leaves.
//! 45 CFR 164.514(b)(2) and (c); HL7 FHIR 4.0.1, security-labels.html.
//!
//! A [`Mask`] is read from a policy's `@mask("…")`: `safe-harbor`, `dates-to-year`, `pseudonyms`, and
//! `remove: Patient.address, Patient.telecom`, separated by semicolons. [`Masking`] carries it out on a record, and what comes
//! of it is a [`View`], the one thing of a record that leaves. Numbers keep their text: datatypes.html#decimal.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde_json::value::RawValue;

use super::base::BaseUrls;
use super::elements::Part;
use super::name::ResourceType;
use super::resource::Resource;
use super::token::TokenParameter;
use super::version::FhirVersion;
use super::view::View;
use crate::json::pointer::Pointer;

mod ages;
mod dates;
mod general;
mod harbor;
pub(super) mod kept;
mod path;
mod place;
mod pseudonyms;

pub use path::{ElementPath, NoElement};
pub use pseudonyms::Pseudonyms;

/// What is kept from whoever is let see a record. Empty, it keeps nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Mask {
    /// 45 CFR 164.514(b)(2), whole.
    harbor: bool,
    /// Dates keep their year.
    years: bool,
    /// Identifiers get another value for each client.
    pseudonyms: bool,
    /// What is removed.
    removed: BTreeSet<ElementPath>,
}

/// A text that says no mask.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MalformedMask {
    /// None of the obligations that there are.
    #[error("`{0}` is none of `safe-harbor`, `dates-to-year`, `pseudonyms` and `remove: …`")]
    Unknown(String),
    /// An element that no version of FHIR has, or that has to stay.
    #[error(transparent)]
    Element(#[from] NoElement),
}

/// The obligation cannot be carried out on this record, so it stays: a modifier extension would have to be removed, which
/// changes what the rest says (extensibility.html#modifierExtension), it is of a type of which too little is known,
/// or what has to be removed is no element of the version of FHIR that it is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the mask cannot be carried out on this record")]
pub struct Unmaskable;

impl Mask {
    /// Whether it keeps nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether whatever it keeps, the other one keeps as well.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        let is_removed = |path: &ElementPath| other.removed.iter().any(|wider| path.is_within(wider));
        (!self.harbor || other.harbor)
            && (!self.years || other.years || other.harbor)
            && (!self.pseudonyms || other.pseudonyms || other.harbor)
            && self.removed.iter().all(is_removed)
    }

    /// Keeps what either keeps.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.harbor |= other.harbor;
        self.years |= other.years;
        self.pseudonyms |= other.pseudonyms;
        self.removed.extend(other.removed.iter().cloned());
        self
    }

    /// What leaves where each of several masks is enough by itself: the least of them, if one is within all others; else
    /// what all of them let through.
    #[must_use]
    pub fn least_of(masks: &[Self]) -> Self {
        match masks.iter().find(|one| masks.iter().all(|other| one.is_within(other))) {
            Some(least) => least.clone(),
            None => masks.iter().fold(Self::default(), Self::and),
        }
    }

    /// Whether records leave under another id than their own, so that nobody may ask for one by its own.
    #[must_use]
    pub fn renames(&self) -> bool {
        self.harbor
    }

    /// Whether it can keep something of a record of this type. Whether it does is not said, for that would tell what
    /// stands there.
    #[must_use]
    pub fn concerns(&self, resource_type: &str) -> bool {
        self.harbor || self.years || self.pseudonyms || self.removed_of(resource_type).next().is_some()
    }

    /// Whether it can keep something of this record, or of a resource within it.
    #[must_use]
    pub fn concerns_record(&self, record: &Resource<'_>) -> bool {
        general::types_of(record.value()).any(|name| self.concerns(name))
    }

    /// Whether a patch of a record that it concerns may go by this way. It may not touch what lies within a removed element or
    /// around it; and where all elements of a kind are changed, nothing at all.
    #[must_use]
    pub fn shows(&self, version: FhirVersion, resource_type: &str, way: &Pointer) -> bool {
        let names: Vec<&str> =
            way.steps().iter().map(String::as_str).filter(|step| !is_position(step)).collect();
        let is_whole = matches!(names.first(), None | Some(&("meta" | "text" | "contained")));
        let is_open = !(self.harbor || self.years || self.pseudonyms || is_whole);
        is_open && !self.removed_of(resource_type).any(|path| path.meets(version, resource_type, &names))
    }

    /// Whether records of this type may be searched or sorted by a parameter: what finds a record by an element tells of that
    /// element. Only what is known to look at one coded element, or at the patient, is let through.
    #[must_use]
    pub fn lets_search(&self, version: FhirVersion, resource_type: ResourceType, parameter: &str) -> bool {
        let name = resource_type.as_str();
        if !self.concerns(name) {
            return true;
        }
        let element = match parameter {
            "_id" => "id",
            "patient" | "subject"
                if super::membership::search_parameter(version, resource_type) == Some(parameter) =>
            {
                parameter
            }
            _ => match TokenParameter::find(name, parameter) {
                // What another version's parameter of this name looks at is not known.
                Some(parameter) if Part::has(version, name, parameter.element()) => parameter.element(),
                Some(_) | None => return false,
            },
        };
        let is_renamed = matches!(element, "id" | "patient" | "subject") && self.renames();
        !is_renamed && !self.removed_of(name).any(|path| path.meets(version, name, &[element]))
    }

    fn removed_of<'m>(&'m self, resource_type: &'m str) -> impl Iterator<Item = &'m ElementPath> {
        self.removed.iter().filter(move |path| path.is_of(resource_type))
    }

    /// What a record says of what was done to it: v3-ObservationValue, alteration integrity.
    fn labels(&self) -> impl Iterator<Item = &'static str> {
        let labels = [
            (self.harbor, "ANONYED"),
            (self.pseudonyms && !self.harbor, "PSEUDED"),
            ((self.years || !self.removed.is_empty()) && !self.harbor, "REDACTED"),
        ];
        labels.into_iter().filter_map(|(is_so, label)| is_so.then_some(label))
    }
}

fn is_position(step: &str) -> bool {
    step == "-" || step.bytes().all(|b| b.is_ascii_digit())
}

impl FromStr for Mask {
    type Err = MalformedMask;

    fn from_str(text: &str) -> Result<Self, MalformedMask> {
        let mut mask = Self::default();
        for obligation in text.split(';').map(str::trim) {
            match (obligation, obligation.strip_prefix("remove:")) {
                ("safe-harbor", _) => mask.harbor = true,
                ("dates-to-year", _) => mask.years = true,
                ("pseudonyms", _) => mask.pseudonyms = true,
                (_, Some(paths)) => {
                    for path in paths.split(',') {
                        mask.removed.insert(path.trim().parse()?);
                    }
                }
                (unknown, None) => return Err(MalformedMask::Unknown(unknown.to_owned())),
            }
        }
        Ok(mask)
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named =
            [(self.harbor, "safe-harbor"), (self.years, "dates-to-year"), (self.pseudonyms, "pseudonyms")];
        let mut parts: Vec<String> =
            named.into_iter().filter(|(is_so, _)| *is_so).map(|(_, name)| name.to_owned()).collect();
        if !self.removed.is_empty() {
            let paths: Vec<String> = self.removed.iter().map(ToString::to_string).collect();
            parts.push(format!("remove: {}", paths.join(", ")));
        }
        f.write_str(&parts.join("; "))
    }
}

/// What it takes to carry a mask out.
#[derive(Clone, Copy)]
pub struct Masking<'m> {
    /// What is kept.
    pub mask: &'m Mask,
    /// The names that this client has for things.
    pub pseudonyms: &'m Pseudonyms,
    /// The year that it is, for ages over 89.
    pub year: u16,
    /// Which references are to records of this service.
    pub bases: &'m BaseUrls,
}

impl Masking<'_> {
    /// A record as it may be seen.
    ///
    /// # Errors
    /// [`Unmaskable`]: then nothing of it may be.
    pub fn view<'a>(&self, record: &Resource<'a>) -> Result<View<'a>, Unmaskable> {
        if !self.mask.concerns_record(record) {
            return Ok(View::whole(record));
        }
        // An element that is called otherwise in this version would stay.
        let version = self.bases.version;
        let is_known = |name: &str| self.mask.removed_of(name).all(|path| path.is_understood(version, name));
        if !general::types_of(record.value()).all(is_known) {
            return Err(Unmaskable);
        }
        let removed;
        let text = if self.mask.harbor && !self.mask.removed.is_empty() {
            removed =
                general::General::removing(*self).of_text(record.text())?.to_json().ok_or(Unmaskable)?;
            removed.get()
        } else {
            record.text()
        };
        let kept = match self.mask.harbor {
            true => harbor::Harbor::new(*self).of_text(text)?,
            false => general::General::new(*self).of_text(text)?,
        };
        let kept = kept.labelled("SUBSETTED", self.mask.labels().collect());
        let text: Box<RawValue> = kept.to_json().ok_or(Unmaskable)?;
        let renamed = self.mask.renames().then(|| self.pseudonyms.of_record(record.reference()));
        Ok(View::masked(text, renamed))
    }
}

#[cfg(test)]
mod tests;
