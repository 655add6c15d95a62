//! How strongly a person has signed in, how strongly they have to, and what comes after their password. NIST SP 800-63B-4
//! section 2; RFC 8176; RFC 9470.
//!
//! What is here knows factors by what they prove, so that further ones stand beside these: a passkey is one more
//! [`SecondFactor`], with its own methods.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ids::Role;
use crate::principal::User;

/// The `acr` of a sign-in with two distinct factors: the profile that federations know it by.
pub const TWO_FACTORS_ACR: &str = "https://refeds.org/profile/mfa";
/// RFC 8176: a password.
pub const PASSWORD: &str = "pwd";
/// RFC 8176: a code that is good once.
const ONE_TIME: &str = "otp";
/// RFC 8176: several factors.
pub(crate) const SEVERAL: &str = "mfa";

/// How strong a sign-in is.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assurance {
    /// A password.
    #[default]
    OneFactor,
    /// And something that the person has.
    TwoFactors,
}

/// What a person showed beside their password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SecondFactor {
    /// A code of their authenticator application.
    AuthenticatorApp,
    /// One of the codes that they keep for when they cannot.
    RecoveryCode,
}

/// Whether a person has a second factor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Holds {
    /// None.
    Nothing,
    /// At least one.
    ASecondFactor,
}

/// Who has to have one. Whoever has one is asked for it in any case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Required {
    /// Everybody.
    Everybody,
    /// Whoever has one of these roles.
    OfRoles(BTreeSet<Role>),
}

/// What comes after a right password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AfterPassword {
    /// A session.
    Session,
    /// The second factor.
    Prove,
    /// Enrolling one, and nothing else (ATTACKS A05).
    Enrol,
}

impl Assurance {
    /// Of a sign-in by these methods.
    #[must_use]
    pub fn of(amr: &[String]) -> Self {
        if amr.iter().any(|method| method == SEVERAL) { Self::TwoFactors } else { Self::OneFactor }
    }

    /// What tokens call it. A password alone is called nothing.
    #[must_use]
    pub fn acr(self) -> Option<&'static str> {
        match self {
            Self::OneFactor => None,
            Self::TwoFactors => Some(TWO_FACTORS_ACR),
        }
    }

    /// What satisfies one of these values of `acr`, if anything of ours does.
    #[must_use]
    pub fn asked_by<'a>(mut acr_values: impl Iterator<Item = &'a str>) -> Option<Self> {
        acr_values.any(|value| value == TWO_FACTORS_ACR).then_some(Self::TwoFactors)
    }
}

impl SecondFactor {
    /// The methods of a sign-in with it. RFC 8176 knows no word for a recovery code of its own: it is a password that is
    /// good once (RFC 4949).
    #[must_use]
    pub fn amr(self) -> Vec<String> {
        match self {
            Self::AuthenticatorApp | Self::RecoveryCode => {
                [PASSWORD, ONE_TIME, SEVERAL].map(str::to_owned).into()
            }
        }
    }

    /// Its name in the record.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::AuthenticatorApp => "authenticator-app",
            Self::RecoveryCode => "recovery-code",
        }
    }
}

impl Required {
    /// How strongly a person has to sign in, whatever they want to do.
    #[must_use]
    pub fn of(&self, user: &User) -> Assurance {
        let is_required = match self {
            Self::Everybody => true,
            Self::OfRoles(roles) => !roles.is_disjoint(&user.roles),
        };
        if is_required { Assurance::TwoFactors } else { Assurance::OneFactor }
    }
}

/// What comes after a right password, for who has this and needs that.
#[must_use]
pub fn after_password(holds: Holds, needed: Assurance) -> AfterPassword {
    match (holds, needed) {
        (Holds::ASecondFactor, _) => AfterPassword::Prove,
        (Holds::Nothing, Assurance::TwoFactors) => AfterPassword::Enrol,
        (Holds::Nothing, Assurance::OneFactor) => AfterPassword::Session,
    }
}

#[cfg(test)]
mod tests {
    use chartgate_values::Timestamp;

    use super::*;
    use crate::principal::UserState;

    #[test]
    fn a05_whoever_has_a_factor_shows_it_and_whoever_lacks_one_that_is_needed_enrols() {
        use Assurance::{OneFactor, TwoFactors};
        for (holds, needed, next) in [
            (Holds::Nothing, OneFactor, AfterPassword::Session),
            (Holds::Nothing, TwoFactors, AfterPassword::Enrol),
            (Holds::ASecondFactor, OneFactor, AfterPassword::Prove),
            (Holds::ASecondFactor, TwoFactors, AfterPassword::Prove),
        ] {
            assert_eq!(after_password(holds, needed), next);
        }
        assert!(OneFactor < TwoFactors);
    }

    #[test]
    fn methods_say_how_strong_a_sign_in_was() {
        assert_eq!(Assurance::of(&["pwd".to_owned()]).acr(), None);
        for factor in [SecondFactor::AuthenticatorApp, SecondFactor::RecoveryCode] {
            assert_eq!(factor.amr(), ["pwd", "otp", "mfa"]);
            assert_eq!(Assurance::of(&factor.amr()).acr(), Some(TWO_FACTORS_ACR));
        }
        assert_eq!(Assurance::asked_by(["gold", TWO_FACTORS_ACR].into_iter()), Some(Assurance::TwoFactors));
        assert_eq!(Assurance::asked_by(["gold", "1"].into_iter()), None);
    }

    #[test]
    fn a_role_of_many_is_enough_to_need_one() {
        let user = |roles: &[&str]| User {
            name: "dana".parse().unwrap(),
            state: UserState::Enabled,
            roles: roles.iter().map(|role| role.parse().unwrap()).collect(),
            fhir_user: None,
            email: None,
            created_at: Timestamp::EPOCH,
        };
        let officers = Required::OfRoles(["privacy-officer".parse().unwrap()].into());
        assert_eq!(officers.of(&user(&["physician", "privacy-officer"])), Assurance::TwoFactors);
        assert_eq!(officers.of(&user(&["physician"])), Assurance::OneFactor);
        assert_eq!(Required::Everybody.of(&user(&[])), Assurance::TwoFactors);
    }
}
