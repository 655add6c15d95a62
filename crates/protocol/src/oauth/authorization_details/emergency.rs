//! Emergency access to the record of one patient, as a client asks for it: RFC 9396 section 2. Why it is needed, its person
//! says on our page and not the client; a client may say beforehand which reason is to be marked there.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::MalformedDetails;
use crate::fhir::name::ResourceId;
use crate::oauth::purpose_of_use::PurposeOfUse;

/// The whole record of one patient, to be read.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Said")]
pub struct EmergencyAccess {
    /// Where: base URLs of FHIR routes. RFC 9396 section 2.2.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub locations: BTreeSet<String>,
    /// Whose: an id, at the place.
    pub patient: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<EmergencyReason>,
    /// Its name, once it is granted. RFC 9396 section 2.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,
}

/// Why somebody needs emergency access.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmergencyReason {
    /// Life or health are in danger now.
    ImmediateDanger,
    /// The patient is in the emergency department.
    EmergencyVisit,
    /// In a colleague's place.
    Covering,
    /// Somebody who treats the patient asked for help.
    Consult,
    /// The list of patients does not have them yet.
    NewPatient,
    /// In words alone.
    Other,
}

/// There is no such reason.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not one of immediate-danger, emergency-visit, covering, consult, new-patient, other")]
pub struct UnknownReason;

/// As it is written; nothing else may stand there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    #[serde(default)]
    locations: BTreeSet<String>,
    patient: String,
    reason: Option<EmergencyReason>,
    identifier: Option<String>,
}

impl TryFrom<Said> for EmergencyAccess {
    type Error = MalformedDetails;

    fn try_from(said: Said) -> Result<Self, MalformedDetails> {
        let Said { locations, patient, reason, identifier } = said;
        let sound = locations.len() <= super::MAX_NAMES
            && patient.parse::<ResourceId>().is_ok()
            && identifier.as_ref().is_none_or(|name| (1..=64).contains(&name.len()));
        if sound { Ok(Self { locations, patient, reason, identifier }) } else { Err(MalformedDetails) }
    }
}

impl EmergencyReason {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 6] = [
        Self::ImmediateDanger,
        Self::EmergencyVisit,
        Self::Covering,
        Self::Consult,
        Self::NewPatient,
        Self::Other,
    ];

    /// The code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::ImmediateDanger => "immediate-danger",
            Self::EmergencyVisit => "emergency-visit",
            Self::Covering => "covering",
            Self::Consult => "consult",
            Self::NewPatient => "new-patient",
            Self::Other => "other",
        }
    }

    /// As a person reads it who gives it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::ImmediateDanger => "Life or health are in danger now",
            Self::EmergencyVisit => "I treat the patient in an emergency",
            Self::Covering => "I stand in for somebody who cares for the patient",
            Self::Consult => "Somebody who treats the patient asked me for help",
            Self::NewPatient => "The patient has just come to me and is not in my list yet",
            Self::Other => "Another reason",
        }
    }

    /// What access for it is for.
    #[must_use]
    pub fn purpose(self) -> PurposeOfUse {
        match self {
            Self::ImmediateDanger | Self::EmergencyVisit => PurposeOfUse::EMERGENCY_TREATMENT,
            Self::Covering | Self::Consult | Self::NewPatient | Self::Other => PurposeOfUse::BREAK_THE_GLASS,
        }
    }
}

impl fmt::Display for EmergencyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for EmergencyReason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        Self::ALL.into_iter().find(|reason| reason.code() == text).ok_or(UnknownReason)
    }
}

#[cfg(test)]
mod tests {
    use super::super::AuthorizationDetail;
    use super::*;

    const GOOD: &str = r#"[{"type":"emergency_access","patient":"pat-1","reason":"covering"}]"#;

    #[test]
    fn one_patient_is_named_and_reasons_are_those_of_the_list() {
        let details = AuthorizationDetail::read(GOOD).unwrap();
        assert_eq!(serde_json::to_string(&details).unwrap(), GOOD);
        for reason in EmergencyReason::ALL {
            assert_eq!(reason.code().parse(), Ok(reason));
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.code());
        }
        for (from, to) in [
            ("\"pat-1\"", "[\"pat-1\",\"pat-2\"]"),
            ("\"pat-1\"", "\"*\""),
            ("\"pat-1\"", "\"\""),
            ("\"patient\":\"pat-1\",", ""),
            ("covering", "curiosity"),
            ("\"reason\"", "\"actions\":[\"update\"],\"reason\""),
            ("\"reason\":", "\"explanation\":\"x\",\"reason\":"),
        ] {
            let text = GOOD.replace(from, to);
            assert_eq!(AuthorizationDetail::read(&text), Err(MalformedDetails), "{text}");
        }
    }
}
