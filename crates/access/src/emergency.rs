//! Emergency access, "breaking the glass": who may, for whom, how long, and when no more until somebody has looked.
//! 45 CFR 164.312(a)(2)(ii).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chartgate_protocol::fhir::name::ResourceType;
use chartgate_protocol::oauth::authorization_details::{
    AuthorizationDetail, EmergencyAccess, EmergencyReason,
};
use chartgate_protocol::oauth::purpose_of_use::PurposeOfUse;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_values::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{EmergencyId, PatientId, Subject};
use crate::pdp::caller::{CallerKind, Facts};
use crate::pdp::decide::{Decision, NO_LABELS, Pdp, RecordAction};
use crate::pdp::relation::Relation;

/// The longest that emergency access may last.
pub const LONGEST: Duration = Duration::from_hours(1);
/// The longest explanation, in characters.
pub const LONGEST_EXPLANATION: usize = 500;
/// The shortest that can say anything.
pub const SHORTEST_EXPLANATION: usize = 5;

/// How much emergency access there may be before somebody looks at it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How long one lasts.
    pub duration: Duration,
    /// With those of so many patients unreviewed, there is none for a further patient.
    pub unreviewed: usize,
    /// Nor with one that has waited longer than this.
    pub review_within: Duration,
}

/// What nobody has reviewed yet of a person's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unreviewed {
    /// Whose record it was. There is one for each patient.
    pub patient: PatientId,
    /// When the first of it began.
    pub began: Timestamp,
}

/// What a person said and showed for it, on our page.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Declared {
    /// The name that it has from then on.
    pub id: EmergencyId,
    /// Who.
    pub by: Subject,
    /// Why, by its code.
    pub reason: EmergencyReason,
    /// Why, in their words, sealed.
    pub explanation: Vec<u8>,
    /// When they showed again who they are.
    pub at: Timestamp,
}

/// What a grant of emergency access says more than others.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct EmergencyGrant {
    /// Its name.
    pub id: EmergencyId,
    /// When it ends.
    pub until: Timestamp,
}

/// Why there is no further emergency access.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Blocked {
    /// Those of as many patients as may be wait for review.
    #[error("your earlier emergency access to {0} patients has not been reviewed yet")]
    TooMany(usize),
    /// One has waited too long.
    #[error("an earlier use of emergency access has waited too long for its review")]
    TooOld,
}

impl Limits {
    /// Whether there may be a further one for this patient, or for any further one, beside those that were not reviewed. Who
    /// opens the same record again, after an hour or a fresh sign-in, is still in the same emergency.
    ///
    /// # Errors
    /// [`Blocked`].
    pub fn check(
        &self,
        unreviewed: &[Unreviewed],
        patient: Option<&PatientId>,
        now: Timestamp,
    ) -> Result<(), Blocked> {
        if unreviewed.iter().any(|one| now > one.began.plus(self.review_within)) {
            return Err(Blocked::TooOld);
        }
        let others = unreviewed.iter().filter(|one| Some(&one.patient) != patient).count();
        if others >= self.unreviewed { Err(Blocked::TooMany(others)) } else { Ok(()) }
    }
}

/// What is asked for in an emergency, if it is.
#[must_use]
pub fn asked(details: &[AuthorizationDetail]) -> Option<&EmergencyAccess> {
    details.iter().find_map(|detail| match detail {
        AuthorizationDetail::EmergencyAccess(access) => Some(access),
        AuthorizationDetail::FhirRecords(_) => None,
    })
}

/// What of a scope stays beside emergency access: who the person is, and reading the record of the one patient. Whatever
/// else was asked for, nothing can be changed, and nobody else's record be seen.
#[must_use]
pub fn scope_beside(asked: &ScopeSet) -> ScopeSet {
    let identity = asked.iter().filter(|token| ["openid", "profile", "fhirUser", "email"].contains(token));
    identity.chain(["patient/*.rs"]).collect()
}

/// Whether the policies would let somebody with these facts read a patient's own entry in an emergency.
#[must_use]
pub fn is_eligible(pdp: &Pdp, facts: &Facts, purpose: PurposeOfUse) -> bool {
    if facts.kind != CallerKind::Person {
        return false;
    }
    let facts = Facts { purpose_of_use: Some(purpose.to_string()), ..facts.clone() };
    let Ok(patient) = "Patient".parse::<ResourceType>() else { return false };
    let counsel = pdp.counsel(&facts);
    let decision =
        pdp.decide_remembering(&counsel, RecordAction::Read, patient, Relation::Emergency, &NO_LABELS);
    matches!(decision, Decision::Allow(_))
}

/// What a privacy officer makes of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disposition {
    /// It was right.
    Appropriate,
    /// It was not.
    Inappropriate,
    /// It cannot be told yet; somebody has to go on with it elsewhere.
    NeedsFollowUp,
}

/// There is no such disposition.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not one of appropriate, inappropriate, needs-follow-up")]
pub struct UnknownDisposition;

impl Disposition {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Appropriate, Self::Inappropriate, Self::NeedsFollowUp];

    /// The code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Appropriate => "appropriate",
            Self::Inappropriate => "inappropriate",
            Self::NeedsFollowUp => "needs-follow-up",
        }
    }

    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Appropriate => "Appropriate",
            Self::Inappropriate => "Not appropriate",
            Self::NeedsFollowUp => "Needs follow-up",
        }
    }
}

impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Disposition {
    type Err = UnknownDisposition;

    fn from_str(text: &str) -> Result<Self, UnknownDisposition> {
        Self::ALL.into_iter().find(|known| known.code() == text).ok_or(UnknownDisposition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreviewed_ones_block_by_number_and_by_age() {
        let limits = Limits { duration: LONGEST, unreviewed: 2, review_within: Duration::from_secs(100) };
        let patient = |id: &str| id.parse::<PatientId>().unwrap();
        let one = |id: &str, began| Unreviewed { patient: patient(id), began: Timestamp::from_unix(began) };
        let check = |unreviewed: &[Unreviewed], of: Option<&str>| {
            limits.check(unreviewed, of.map(patient).as_ref(), Timestamp::from_unix(1000))
        };
        assert_eq!(check(&[], Some("p")), Ok(()));
        assert_eq!(check(&[one("p", 990)], Some("q")), Ok(()));
        let both = [one("p", 990), one("q", 991)];
        assert_eq!(check(&both, Some("r")), Err(Blocked::TooMany(2)));
        assert_eq!(check(&both, None), Err(Blocked::TooMany(2)));
        assert_eq!(check(&both, Some("p")), Ok(()), "the same emergency, still");
        assert_eq!(check(&[one("p", 900)], None), Ok(()), "as long as may be");
        assert_eq!(check(&[one("p", 899)], Some("p")), Err(Blocked::TooOld));
    }

    #[test]
    fn nothing_but_identity_and_reading_stands_beside_it() {
        let asked =
            "openid fhirUser offline_access launch user/*.cruds patient/*.cruds system/*.rs account.apps";
        let left = scope_beside(&asked.parse().unwrap());
        assert_eq!(left, "openid fhirUser patient/*.rs".parse().unwrap());
    }
}
