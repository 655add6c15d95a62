//! What a client asks for in detail, where scopes say too little: whose records, which of them, what to do with them.
//! RFC 9396.

mod emergency;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::fhir::name::{ResourceId, ResourceType};
use crate::json;
use crate::smart::scope::Permission;

pub use emergency::{EmergencyAccess, EmergencyReason, UnknownReason};

/// One thing that a client asks for. RFC 9396 section 2: its `type` says what its other members may be.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum AuthorizationDetail {
    /// Records of patients that are named.
    #[serde(rename = "fhir_records")]
    FhirRecords(FhirRecords),
    /// The whole record of one patient, past the usual limits.
    #[serde(rename = "emergency_access")]
    EmergencyAccess(EmergencyAccess),
}

/// A type of details, as clients are registered for it. RFC 9396 section 10.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
pub enum DetailType {
    /// [`AuthorizationDetail::FhirRecords`].
    #[serde(rename = "fhir_records")]
    FhirRecords,
    /// [`AuthorizationDetail::EmergencyAccess`].
    #[serde(rename = "emergency_access")]
    EmergencyAccess,
}

/// Records of patients that are named: of these types, for these acts, at these places.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Said")]
pub struct FhirRecords {
    /// Where: base URLs of FHIR routes. RFC 9396 section 2.2.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub locations: BTreeSet<String>,
    /// What to do with them.
    pub actions: BTreeSet<Action>,
    /// Which types of resources.
    pub datatypes: BTreeSet<String>,
    /// Whose: ids, at the place.
    pub patients: BTreeSet<String>,
}

/// An interaction with records.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Make a new one.
    Create,
    /// See one.
    Read,
    /// Change one.
    Update,
    /// Remove one.
    Delete,
    /// Find them.
    Search,
}

/// The text is no list of details of types that are known. `invalid_authorization_details` on the wire; RFC 9396 section 5.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "authorization_details is not a list of 1 to {MAX_DETAILS} objects, each of a known type and with what belongs to it"
)]
pub struct MalformedDetails;

/// As it is written; nothing else may stand there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    #[serde(default)]
    locations: BTreeSet<String>,
    actions: BTreeSet<Action>,
    datatypes: BTreeSet<String>,
    patients: BTreeSet<String>,
}

impl TryFrom<Said> for FhirRecords {
    type Error = MalformedDetails;

    fn try_from(said: Said) -> Result<Self, MalformedDetails> {
        let Said { locations, actions, datatypes, patients } = said;
        let within = |count: usize| (1..=MAX_NAMES).contains(&count);
        let sound = within(actions.len())
            && within(datatypes.len())
            && within(patients.len())
            && locations.len() <= MAX_NAMES
            && datatypes.iter().all(|name| name.parse::<ResourceType>().is_ok())
            && patients.iter().all(|id| id.parse::<ResourceId>().is_ok());
        if sound { Ok(Self { locations, actions, datatypes, patients }) } else { Err(MalformedDetails) }
    }
}

impl AuthorizationDetail {
    /// Reads the parameter.
    ///
    /// # Errors
    /// [`MalformedDetails`], also for a type that is not known: RFC 9396 section 5.
    pub fn read(text: &str) -> Result<Vec<Self>, MalformedDetails> {
        if text.len() > MAX_BYTES {
            return Err(MalformedDetails);
        }
        let checked = json::check(text.as_bytes(), MAX_DEPTH).map_err(|_| MalformedDetails)?;
        let details: Vec<Self> = serde_json::from_str(checked).map_err(|_| MalformedDetails)?;
        if (1..=MAX_DETAILS).contains(&details.len()) { Ok(details) } else { Err(MalformedDetails) }
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> DetailType {
        match self {
            Self::FhirRecords(_) => DetailType::FhirRecords,
            Self::EmergencyAccess(_) => DetailType::EmergencyAccess,
        }
    }

    /// Where it is meant to count; everywhere if it does not say.
    #[must_use]
    pub fn locations(&self) -> &BTreeSet<String> {
        match self {
            Self::FhirRecords(records) => &records.locations,
            Self::EmergencyAccess(access) => &access.locations,
        }
    }
}

impl Action {
    /// The permission that it needs.
    #[must_use]
    pub fn permission(self) -> Permission {
        match self {
            Self::Create => Permission::Create,
            Self::Read => Permission::Read,
            Self::Update => Permission::Update,
            Self::Delete => Permission::Delete,
            Self::Search => Permission::Search,
        }
    }
}

impl DetailType {
    /// All of them, by name.
    pub const NAMES: &'static [&'static str] = &["emergency_access", "fhir_records"];
}

/// There is no such type of details.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a type of authorization details; there are emergency_access and fhir_records")]
pub struct UnknownDetailType;

impl FromStr for DetailType {
    type Err = UnknownDetailType;

    fn from_str(text: &str) -> Result<Self, UnknownDetailType> {
        match text {
            "fhir_records" => Ok(Self::FhirRecords),
            "emergency_access" => Ok(Self::EmergencyAccess),
            _ => Err(UnknownDetailType),
        }
    }
}

impl fmt::Display for DetailType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FhirRecords => "fhir_records",
            Self::EmergencyAccess => "emergency_access",
        })
    }
}

/// More than anybody can read on a page.
const MAX_DETAILS: usize = 8;
/// Of anything that a detail names.
const MAX_NAMES: usize = 32;
/// A token has to have room for it.
const MAX_BYTES: usize = 4096;
/// A list of objects with lists.
const MAX_DEPTH: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = r#"[{"type":"fhir_records","locations":["https://g/fhir"],"actions":["read","search"],
        "datatypes":["Observation"],"patients":["pat-1","pat-2"]}]"#;

    #[test]
    fn details_are_read_by_their_type_and_written_as_they_were_read() {
        let details = AuthorizationDetail::read(GOOD).unwrap();
        let AuthorizationDetail::FhirRecords(records) = &details[0] else { panic!("{details:?}") };
        assert_eq!(records.patients.len(), 2);
        assert_eq!(details[0].kind().to_string().parse(), Ok(DetailType::FhirRecords));
        let text = serde_json::to_string(&details).unwrap();
        assert_eq!(AuthorizationDetail::read(&text), Ok(details));
        assert!(AuthorizationDetail::read(&GOOD.replace(r#""locations":["https://g/fhir"],"#, "")).is_ok());
    }

    #[test]
    fn what_is_not_known_or_not_said_is_refused() {
        for (from, to) in [
            ("fhir_records", "payment_initiation"),
            ("\"type\":\"fhir_records\",", ""),
            ("\"type\"", "\"Type\""),
            ("\"read\"", "\"Read\""),
            ("\"read\"", "\"everything\""),
            ("[\"read\",\"search\"]", "[]"),
            ("[\"read\",\"search\"]", "\"read\""),
            ("\"actions\":[\"read\",\"search\"],", ""),
            ("Observation", "observation"),
            ("Observation", "*"),
            ("[\"pat-1\",\"pat-2\"]", "[]"),
            ("pat-1", "../pat-1"),
            ("pat-1", ""),
            ("\"patients\":", "\"more\":1,\"patients\":"),
            ("\"patients\":", "\"patients\":[\"x\"],\"patients\":"),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD, "{from}");
            assert_eq!(AuthorizationDetail::read(&text), Err(MalformedDetails), "{text}");
        }
        for text in ["", "[]", "{}", "null", "[null]", "[[]]", "[{}]", "x", GOOD.trim_start_matches('[')] {
            assert_eq!(AuthorizationDetail::read(text), Err(MalformedDetails), "{text}");
        }
        let one = GOOD.trim_start_matches('[').trim_end_matches(']');
        let nine = format!("[{}]", [one; 9].join(","));
        assert_eq!(AuthorizationDetail::read(&nine), Err(MalformedDetails));
        let many: Vec<String> = (0..33).map(|n| format!("\"p{n}\"")).collect();
        let text = GOOD.replace("\"pat-1\",\"pat-2\"", &many.join(","));
        assert_eq!(AuthorizationDetail::read(&text), Err(MalformedDetails));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,100}", at in 0_usize..200, with in "[\\[\\]{}\",:a-z]{0,3}") {
            let _ = AuthorizationDetail::read(&text);
            let mut changed = GOOD.to_owned();
            if changed.is_char_boundary(at.min(changed.len())) {
                changed.insert_str(at.min(changed.len()), &with);
            }
            if let Ok(details) = AuthorizationDetail::read(&changed) {
                let again = serde_json::to_string(&details).unwrap();
                prop_assert_eq!(AuthorizationDetail::read(&again), Ok(details));
            }
        }
    }
}
