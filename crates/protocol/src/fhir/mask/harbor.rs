//! Safe Harbor: 45 CFR 164.514(b)(2).
//!
//! By a list of what may stay, not of what has to go. An element stays if its version of FHIR has it, and as its data type lets it: codes,
//! numbers, quantities and truth values; of a date the year; of an address the state and as much of the ZIP code as (B)
//! allows; of a reference the other name that its record has for this client. Whatever is text, a link, an identifier, a name, a
//! contact, a picture, an extension or unknown is gone, for nobody can say what stands in it.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::ages::{Values, is_no_age_over_89};
use super::dates::{Years, is_date, is_like_an_identifier};
use super::kept::{Kept, Members};
use super::{Masking, Unmaskable};
use crate::fhir::elements::Part;
use crate::fhir::reference::{Reference, Target};
use crate::json::{Object, read, read_string};

/// Carries Safe Harbor out.
pub(super) struct Harbor<'m> {
    masking: Masking<'m>,
    years: Years,
}

impl<'m> Harbor<'m> {
    pub(super) fn new(masking: Masking<'m>) -> Self {
        Self { masking, years: Years::of(masking.year) }
    }

    pub(super) fn of_text<'a>(&self, text: &'a str) -> Result<Kept<'a>, Unmaskable> {
        let object: Object<'a> = read(text).map_err(|_| Unmaskable)?;
        let resource_type = self.resource_type(&object)?;
        let id = object.string("id").map_err(|_| Unmaskable)?.ok_or(Unmaskable)?;
        let record = format!("{}/{id}", resource_type.name()).parse().map_err(|_| Unmaskable)?;
        self.resource(&object, self.masking.pseudonyms.of_record(&record).id.to_string())
    }

    /// A resource under another id.
    fn resource<'a>(&self, object: &Object<'a>, id: String) -> Result<Kept<'a>, Unmaskable> {
        let part = self.resource_type(object)?;
        let mut members: Members<'a> = vec![
            (Cow::Borrowed("resourceType"), Kept::Text(part.name().to_owned())),
            (Cow::Borrowed("id"), Kept::Text(id)),
        ];
        for (name, value) in object.iter() {
            let kept = match name {
                // resource.html#implicitRules: who does not know them may not read the rest.
                "implicitRules" => return Err(Unmaskable),
                "meta" => self.meta(value)?,
                "contained" => self.contained(value)?,
                _ => None,
            };
            members.extend(kept.map(|kept| (Cow::Owned(name.to_owned()), kept)));
        }
        members.extend(self.members(part, object)?);
        Ok(Kept::Object(members))
    }

    /// Its security labels: they say how it has to be handled.
    fn meta<'a>(&self, value: &'a RawValue) -> Result<Option<Kept<'a>>, Unmaskable> {
        let Ok(meta) = read::<Object<'a>>(value.get()) else { return Ok(None) };
        let security = meta.iter().find(|(name, _)| *name == "security");
        let Some((_, security)) = security else { return Ok(None) };
        let kept = self.element("Coding", security)?;
        Ok(kept.and_then(|kept| Kept::object(vec![(Cow::Borrowed("security"), kept)])))
    }

    fn contained<'a>(&self, value: &'a RawValue) -> Result<Option<Kept<'a>>, Unmaskable> {
        let items: Vec<Object<'a>> = read(value.get()).map_err(|_| Unmaskable)?;
        let contained = |object: &Object<'a>| {
            let id = object.string("id").ok().flatten().unwrap_or_default();
            self.resource(object, self.masking.pseudonyms.of_contained(&id))
        };
        Ok(Kept::array(items.iter().map(contained).collect::<Result<_, _>>()?))
    }

    /// What stays of the elements of a part.
    fn members<'a>(&self, part: Part, object: &Object<'a>) -> Result<Members<'a>, Unmaskable> {
        let mut members: Members<'a> = Vec::new();
        let values = Values::of(part, object);
        for (name, value) in object.iter() {
            if name == "modifierExtension" {
                return Err(Unmaskable);
            }
            let stays = |kind: &&'static str| !goes(part, name) && values.let_stay(name, kind, value.get());
            let Some(kind) = part.kind(name).filter(stays) else { continue };
            let kept = self.element(kind, value)?;
            members.extend(kept.map(|kept| (Cow::Owned(name.to_owned()), kept)));
        }
        Ok(members)
    }

    fn element<'a>(&self, kind: &'static str, value: &'a RawValue) -> Result<Option<Kept<'a>>, Unmaskable> {
        let text: &'a str = value.get();
        if text.starts_with('[') {
            let items: Vec<&'a RawValue> = read(text).map_err(|_| Unmaskable)?;
            let kept =
                items.into_iter().map(|item| self.element(kind, item)).collect::<Result<Vec<_>, _>>()?;
            return Ok(Kept::array(kept.into_iter().flatten().collect()));
        }
        if text.starts_with('{') {
            let object: Object<'a> = read(text).map_err(|_| Unmaskable)?;
            return self.complex(kind, &object);
        }
        Ok(self.primitive(kind, value))
    }

    /// A value of a primitive type, if it looks like one.
    fn primitive<'a>(&self, kind: &str, value: &'a RawValue) -> Option<Kept<'a>> {
        let text = value.get();
        let is_number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        match kind {
            "boolean" => matches!(text, "true" | "false").then_some(Kept::AsIs(value)),
            "integer" | "positiveInt" | "unsignedInt" | "decimal" => is_number.then_some(Kept::AsIs(value)),
            "code" => read_string(text).ok().filter(|code| is_code(code)).map(|_| Kept::AsIs(value)),
            "date" | "dateTime" => {
                let date = read_string(text).ok()?;
                self.years.year(&date).map(|year| Kept::Text(year.to_owned()))
            }
            _ => None,
        }
    }

    fn complex<'a>(&self, kind: &'static str, object: &Object<'a>) -> Result<Option<Kept<'a>>, Unmaskable> {
        Ok(match kind {
            "Coding" => coding(object),
            "Quantity" | "Duration" | "Count" | "Distance" | "Age" => quantity(kind, object),
            "Reference" => self.reference(object),
            "Address" => address(object),
            "CodeableConcept" | "CodeableReference" | "Period" | "Range" | "Ratio" | "Timing" | "Dosage"
            | "Money" => self.part(kind, object)?,
            _ if kind.contains('.') => self.part(kind, object)?,
            _ => None,
        })
    }

    fn resource_type(&self, object: &Object<'_>) -> Result<Part, Unmaskable> {
        let name = object.string("resourceType").ok().flatten().ok_or(Unmaskable)?;
        Part::resources(self.masking.bases.version).find(|part| part.name() == name).ok_or(Unmaskable)
    }

    fn part<'a>(&self, kind: &str, object: &Object<'a>) -> Result<Option<Kept<'a>>, Unmaskable> {
        let Some(part) = Part::find(self.masking.bases.version, kind) else { return Ok(None) };
        self.members(part, object).map(Kept::object)
    }

    /// A reference by the other name of what it is to.
    fn reference<'a>(&self, object: &Object<'a>) -> Option<Kept<'a>> {
        let text = object.string("reference").ok().flatten()?;
        let names = self.masking.pseudonyms;
        let other = match Target::of(&text, self.masking.bases) {
            Target::Record(record) => names.of_record(&record).to_string(),
            Target::Contained(id) => format!("#{}", names.of_contained(id)),
            Target::Unproven => return None,
        };
        Kept::object(vec![(Cow::Borrowed("reference"), Kept::Text(other))])
    }
}

/// Elements that go although their type would let them stay: persons beside the patient, a place on the map, and the days on
/// which something recurs.
fn goes(part: Part, name: &str) -> bool {
    matches!(
        (part.name(), name),
        (_, "id" | "meta" | "contained" | "resourceType")
            | ("Patient", "contact" | "link")
            | ("Person", "link")
            | ("Location", "position")
            | ("Appointment", "recurrenceTemplate")
    )
}

/// datatypes.html#code, no longer than codes are, and no date, number, record or address of somebody in its place.
fn is_code(text: &str) -> bool {
    let is_plain = text.bytes().all(|b| b.is_ascii_graphic() && b != b'@' || b == b' ');
    let is_short = text.len() <= MAX_CODE;
    let is_somebodys = is_date(text) || is_like_an_identifier(text) || text.parse::<Reference>().is_ok();
    is_plain && is_short && !is_somebodys
}

const MAX_CODE: usize = 64;

fn coding<'a>(object: &Object<'a>) -> Option<Kept<'a>> {
    let mut members: Members<'a> = Vec::new();
    for (name, value) in object.iter() {
        let text = read_string(value.get()).unwrap_or_default();
        match name {
            "system" if is_system(&text) => members.push((Cow::Borrowed("system"), Kept::AsIs(value))),
            "code" if is_code(&text) => members.push((Cow::Borrowed("code"), Kept::AsIs(value))),
            _ => {}
        }
    }
    Kept::object(members)
}

/// The name of a code system: a URL or a URN of an OID.
fn is_system(text: &str) -> bool {
    let is_plain = text.bytes().all(|b| b.is_ascii_graphic() && !b"@?#".contains(&b));
    let is_name = ["http://", "https://", "urn:oid:", "urn:iso:", "urn:ietf:"]
        .iter()
        .any(|start| text.starts_with(start));
    is_plain && is_name && text.len() <= 256
}

/// A quantity, unless it is an age over 89, or an age of which that cannot be told.
fn quantity<'a>(kind: &str, object: &Object<'a>) -> Option<Kept<'a>> {
    let value =
        object.get("value").filter(|value| value.starts_with(|c: char| c == '-' || c.is_ascii_digit()));
    if !is_no_age_over_89(object).unwrap_or(kind != "Age") {
        return None;
    }
    let mut members: Members<'a> = Vec::new();
    for (name, own) in object.iter() {
        let text = read_string(own.get()).unwrap_or_default();
        let stays = match name {
            "value" => value.is_some(),
            "comparator" | "code" => is_code(&text) && !text.is_empty(),
            "system" => is_system(&text),
            // UCUM has no white space.
            "unit" => is_code(&text) && (1..=24).contains(&text.len()) && !text.contains(' '),
            _ => false,
        };
        if stays {
            members.push((Cow::Owned(name.to_owned()), Kept::AsIs(own)));
        }
    }
    Kept::object(members)
}

/// (B): of an address the state, the country, and of a ZIP code the first three digits where more than 20,000 people live
/// behind them. Of how many live behind another country's postal code nothing is known.
fn address<'a>(object: &Object<'a>) -> Option<Kept<'a>> {
    let mut members: Members<'a> = Vec::new();
    let is_among = |name: &str, known: &[&str]| {
        object.get(name).map(|text| read_string(text).is_ok_and(|text| known.contains(&text.as_ref())))
    };
    let has_zip = is_among("country", &WITH_ZIP).or_else(|| is_among("state", &STATES)).unwrap_or(false);
    for (name, value) in object.iter() {
        let text = read_string(value.get()).unwrap_or_default();
        match name {
            "state" if STATES.contains(&text.as_ref()) => {
                members.push((Cow::Borrowed("state"), Kept::AsIs(value)));
            }
            "country"
                if text.len() <= 3 && text.bytes().all(|b| b.is_ascii_uppercase()) && !text.is_empty() =>
            {
                members.push((Cow::Borrowed("country"), Kept::AsIs(value)));
            }
            "postalCode" if has_zip => {
                members.extend(zip(&text).map(|zip| (Cow::Borrowed("postalCode"), Kept::Text(zip))))
            }
            _ => {}
        }
    }
    Kept::object(members)
}

fn zip(code: &str) -> Option<String> {
    let digits = |text: &str, length: usize| text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
    let is_zip = match code.split_once('-') {
        Some((zip, more)) => digits(zip, 5) && digits(more, 4),
        None => digits(code, 5) || digits(code, 9),
    };
    let area = code.get(..3).filter(|_| is_zip)?;
    Some(if SPARSE.contains(&area) { "000".to_owned() } else { area.to_owned() })
}

/// Areas of 20,000 people or fewer, by the Census of 2000 (HHS, "Guidance Regarding Methods for De-identification") or that of
/// 2010. What was one of them by either stays one: whoever is not sure of it gives no digits.
const SPARSE: [&str; 23] = [
    "036", "059", "063", "102", "202", "203", "204", "205", "369", "556", "692", "753", "772", "790", "821",
    "823", "830", "831", "878", "879", "884", "890", "893",
];

/// Countries whose postal codes are ZIP codes: ISO 3166-1 of the United States and its territories, and words for it.
const WITH_ZIP: [&str; 14] =
    ["US", "USA", "840", "PR", "PRI", "VI", "VIR", "GU", "GUM", "AS", "ASM", "MP", "MNP", "United States"];

/// USPS Publication 28, appendix B.
const STATES: [&str; 59] = [
    "AL", "AK", "AS", "AZ", "AR", "CA", "CO", "CT", "DE", "DC", "FM", "FL", "GA", "GU", "HI", "ID", "IL",
    "IN", "IA", "KS", "KY", "LA", "ME", "MH", "MD", "MA", "MI", "MN", "MS", "MO", "MT", "NE", "NV", "NH",
    "NJ", "NM", "NY", "NC", "ND", "MP", "OH", "OK", "OR", "PW", "PA", "PR", "RI", "SC", "SD", "TN", "TX",
    "UT", "VT", "VI", "VA", "WA", "WV", "WI", "WY",
];
