//! Why records are looked at: `purpose_of_use`, by the codes of HL7's v3-PurposeOfUse value set
//! (<http://terminology.hl7.org/ValueSet/v3-PurposeOfUse>), as IHE IUA and XUA carry them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A purpose. There are those of the list alone, so that each has words for people.
#[derive(Clone, Copy)]
pub struct PurposeOfUse(&'static (&'static str, &'static str));

impl PurposeOfUse {
    /// Every code.
    pub fn all() -> impl Iterator<Item = Self> {
        CODES.iter().map(Self)
    }

    /// Emergency treatment.
    pub const EMERGENCY_TREATMENT: Self = Self(&ETREAT);
    /// To read past the usual limits.
    pub const BREAK_THE_GLASS: Self = Self(&BTG);

    /// The code.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.0.0
    }

    /// What it is, in the middle of a sentence: “for …”.
    #[must_use]
    pub fn words(self) -> &'static str {
        self.0.1
    }

    /// Whether it comes with emergency access alone, and cannot be asked for.
    #[must_use]
    pub fn is_of_emergencies(self) -> bool {
        [Self::EMERGENCY_TREATMENT, Self::BREAK_THE_GLASS].contains(&self)
    }
}

const ETREAT: (&str, &str) = ("ETREAT", "emergency treatment");
const BTG: (&str, &str) = ("BTG", "reading past the usual limits (break the glass)");

/// Codes with words.
const CODES: &[(&str, &str)] = &[
    ETREAT,
    BTG,
    ("TREAT", "treatment"),
    ("COC", "coordination of care"),
    ("CLINTRCH", "research in a clinical trial"),
    ("HPAYMT", "payment"),
    ("COVERAGE", "questions of coverage"),
    ("ELIGDTRM", "finding out who is eligible"),
    ("REMITADV", "telling of payments"),
    ("HOPERAT", "the running of the practice"),
    ("CAREMGT", "care management"),
    ("HQUALIMP", "improving quality"),
    ("HCOMPL", "checking compliance"),
    ("HLEGAL", "legal matters"),
    ("HSYSADMIN", "administering systems"),
    ("PATADMIN", "administration for patients"),
    ("PATSFTY", "the safety of patients"),
    ("RECORDMGT", "managing records"),
    ("TRAIN", "training"),
    ("GOV", "government"),
    ("HMARKT", "marketing"),
    ("HRESCH", "research"),
    ("PATRQT", "the patient, who asked for it"),
    ("FAMRQT", "family, who asked for it"),
    ("PWATRNY", "somebody with power of attorney"),
    ("PUBHLTH", "public health"),
    ("DISASTER", "a disaster"),
    ("THREAT", "a threat to the public"),
];

/// The text is no code of the list.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("purpose_of_use is no code of v3-PurposeOfUse that is known here, such as TREAT")]
pub struct UnknownPurpose;

impl FromStr for PurposeOfUse {
    type Err = UnknownPurpose;

    fn from_str(text: &str) -> Result<Self, UnknownPurpose> {
        Self::all().find(|purpose| purpose.code() == text).ok_or(UnknownPurpose)
    }
}

impl PartialEq for PurposeOfUse {
    fn eq(&self, other: &Self) -> bool {
        self.code() == other.code()
    }
}

impl Eq for PurposeOfUse {}

impl fmt::Display for PurposeOfUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for PurposeOfUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for PurposeOfUse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for PurposeOfUse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_code_is_itself_and_there_is_no_other() {
        let codes: BTreeSet<&str> = PurposeOfUse::all().map(PurposeOfUse::code).collect();
        assert_eq!(codes.len(), CODES.len());
        for purpose in PurposeOfUse::all() {
            assert_eq!(purpose.code().parse(), Ok(purpose));
            assert_eq!(purpose.is_of_emergencies(), ["ETREAT", "BTG"].contains(&purpose.code()));
        }
        for other in ["", "treat", "TREAT ", "TREAT HRESCH", "v3-ActReason|TREAT"] {
            assert_eq!(other.parse::<PurposeOfUse>(), Err(UnknownPurpose), "{other}");
        }
    }
}
