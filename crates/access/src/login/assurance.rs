//! How strongly a person has signed in, how strongly they have to, and what comes after their password. NIST SP 800-63B-4
//! section 2; RFC 8176; RFC 9470; OpenID Connect Extended Authentication Profile ACR Values.
//!
//! The order of [`Assurance`] is the order: what asks for less is met by more, and nobody compares `acr` in another way.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ids::Role;
use crate::principal::User;

/// The `acr` of a sign-in with two distinct factors: the profile that federations know it by.
pub const TWO_FACTORS_ACR: &str = "https://refeds.org/profile/mfa";
/// The `acr` of one that cannot be phished. That it is two factors as well is our doing: we take no passkey whose authenticator
/// did not verify who was there.
pub const PHISHING_RESISTANT_ACR: &str = "phr";
/// The `acr` of one by a key that hardware keeps, of which its maker vouches.
pub const HARDWARE_KEY_ACR: &str = "phrh";
/// RFC 8176: a password.
pub const PASSWORD: &str = "pwd";
/// RFC 8176: a code that is good once.
const ONE_TIME: &str = "otp";
/// RFC 8176: several factors.
pub(crate) const SEVERAL: &str = "mfa";
/// Extended Authentication Profile section 4: a key. Without attestation nobody knows what keeps it, so it is neither `hwk`
/// nor `swk`.
const POSSESSION: &str = "pop";
/// RFC 8176: a key that hardware keeps. It is said beside `pop`, so that who asks for a key need not know of this.
const HARDWARE: &str = "hwk";
/// RFC 8176: somebody was there.
const PRESENCE: &str = "user";
/// RFC 8176: over more than one channel.
const CHANNELS: &str = "mca";

/// How strong a sign-in is.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assurance {
    /// A password.
    #[default]
    OneFactor,
    /// And something that the person has.
    TwoFactors,
    /// Two factors, of which one is a key that signs for this place alone.
    PhishingResistant,
    /// And the key is in hardware that it cannot leave: its maker vouches for that, and the configuration for the maker.
    /// NIST SP 800-63B-4 section 2.3.
    HardwareKey,
}

/// What a person showed beside their password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SecondFactor {
    /// A code of their authenticator application.
    AuthenticatorApp,
    /// One of the codes that they keep for when they cannot.
    RecoveryCode,
    /// A passkey, whose authenticator verified who was there.
    Passkey,
    /// A passkey that hardware keeps.
    HardwareKey,
    /// Their yes on a phone, with the number that the screen shows where they sign in.
    Phone,
}

/// What a person has beside their password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Holds {
    /// Nothing.
    Nothing,
    /// An application whose codes can be given away.
    Codes,
    /// A passkey, whatever else.
    APasskey,
    /// One that hardware keeps, whatever else.
    AHardwareKey,
}

/// How strongly who has to sign in. Whoever has a second factor is asked for it in any case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Required {
    /// Who has to have a second factor.
    pub two_factors: Whom,
    /// Who has to have one that cannot be phished.
    pub phishing_resistant: Whom,
    /// Who has to have one that hardware keeps.
    pub hardware_key: Whom,
}

/// People, by their roles.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Whom {
    /// Everybody.
    Everybody,
    /// Whoever has one of these roles.
    OfRoles(BTreeSet<Role>),
}

/// What is offered beside passwords and applications.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Offered {
    /// Passkeys, of which some are known to be kept by hardware.
    HardwareKeys,
    /// Passkeys.
    Passkeys,
    /// Nothing.
    CodesAlone,
}

/// What a request wants of the sign-in, by the values of `acr` that it names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Asked {
    /// Less will not do.
    pub at_least: Assurance,
    /// Nothing stronger is named: whoever asks knows no other word, so what is stronger is called this.
    pub called: Assurance,
}

/// What comes after a right password, or after a right code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// A session.
    Session,
    /// The second factor.
    Prove,
    /// Enrolling one, and nothing else (ATTACKS A05).
    Enrol,
    /// Enrolling a passkey, and nothing else.
    EnrolAPasskey,
}

/// What somebody who is signed in shows once more, before what a session alone does not open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnceMore {
    /// Their password. A passkey does as well.
    Password,
    /// Their password and a code. A passkey does as well.
    PasswordAndCode,
    /// A passkey, and nothing that could be given away.
    Passkey,
    /// Nothing that they have is enough.
    Nothing,
}

impl Assurance {
    /// Of a sign-in by these methods.
    #[must_use]
    pub fn of(amr: &[String]) -> Self {
        let has = |wanted| amr.iter().any(|method| method == wanted);
        match (has(SEVERAL), has(POSSESSION), has(HARDWARE)) {
            (true, true, true) => Self::HardwareKey,
            (true, true, false) => Self::PhishingResistant,
            (true, false, _) => Self::TwoFactors,
            (false, _, _) => Self::OneFactor,
        }
    }

    /// What tokens call it. A password alone is called nothing.
    #[must_use]
    pub fn acr(self) -> Option<&'static str> {
        match self {
            Self::OneFactor => None,
            Self::TwoFactors => Some(TWO_FACTORS_ACR),
            Self::PhishingResistant => Some(PHISHING_RESISTANT_ACR),
            Self::HardwareKey => Some(HARDWARE_KEY_ACR),
        }
    }

    /// What a value of `acr` means here, if it means anything.
    #[must_use]
    pub fn named(acr: &str) -> Option<Self> {
        let all = [Self::TwoFactors, Self::PhishingResistant, Self::HardwareKey];
        all.into_iter().find(|one| one.acr() == Some(acr))
    }

    /// Whether it is as strong as one of these values of `acr` says.
    #[must_use]
    pub fn meets_one_of(self, acr_values: &[String]) -> bool {
        acr_values.iter().filter_map(|acr| Self::named(acr)).any(|wanted| self >= wanted)
    }
}

impl Offered {
    /// The values of `acr` that a sign-in can have.
    #[must_use]
    pub fn acr_values(self) -> &'static [&'static str] {
        match self {
            Self::HardwareKeys => &[TWO_FACTORS_ACR, PHISHING_RESISTANT_ACR, HARDWARE_KEY_ACR],
            Self::Passkeys => &[TWO_FACTORS_ACR, PHISHING_RESISTANT_ACR],
            Self::CodesAlone => &[TWO_FACTORS_ACR],
        }
    }

    /// What these values of `acr` ask for, if a sign-in can have one of them.
    #[must_use]
    pub fn asked_by<'a>(self, acr_values: impl Iterator<Item = &'a str>) -> Option<Asked> {
        let offered = acr_values.filter(|acr| self.acr_values().contains(acr));
        let named: BTreeSet<Assurance> = offered.filter_map(Assurance::named).collect();
        Some(Asked { at_least: *named.first()?, called: *named.last()? })
    }
}

impl SecondFactor {
    /// The methods of a sign-in with it, after a password. RFC 8176 knows no word for a recovery code of its own: it is a password that is
    /// good once (RFC 4949).
    #[must_use]
    pub fn amr(self) -> Vec<String> {
        match self {
            Self::AuthenticatorApp | Self::RecoveryCode => {
                [PASSWORD, ONE_TIME, SEVERAL].map(str::to_owned).into()
            }
            Self::Passkey => [PASSWORD, POSSESSION, PRESENCE, SEVERAL].map(str::to_owned).into(),
            Self::HardwareKey => {
                [PASSWORD, POSSESSION, HARDWARE, PRESENCE, SEVERAL].map(str::to_owned).into()
            }
            // Whoever shows the number on to its person gets their yes as well: though a passkey signs that on the phone, this is
            // no more than two factors.
            Self::Phone => [PASSWORD, CHANNELS, SEVERAL].map(str::to_owned).into(),
        }
    }

    /// The same where there was no password: after a sign-in elsewhere, or with a passkey alone, which is something that its
    /// person has and what its authenticator knows them by.
    #[must_use]
    pub fn without_password(self) -> Vec<String> {
        self.amr().into_iter().filter(|method| method != PASSWORD).collect()
    }

    /// The same after a passkey, which was shown as well.
    #[must_use]
    pub fn after_passkey(self) -> Vec<String> {
        let own = self.without_password();
        let shown = [POSSESSION, PRESENCE].map(str::to_owned).into_iter();
        shown.filter(|method| !own.contains(method)).chain(own.iter().cloned()).collect()
    }

    /// Its name in the record.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::AuthenticatorApp => "authenticator-app",
            Self::RecoveryCode => "recovery-code",
            Self::Passkey => "passkey",
            Self::HardwareKey => "hardware-key",
            Self::Phone => "phone",
        }
    }
}

impl Required {
    /// How strongly a person has to sign in, whatever they want to do.
    #[must_use]
    pub fn of(&self, user: &User) -> Assurance {
        let strongest_first = [
            (&self.hardware_key, Assurance::HardwareKey),
            (&self.phishing_resistant, Assurance::PhishingResistant),
            (&self.two_factors, Assurance::TwoFactors),
        ];
        let needed = strongest_first.into_iter().find(|(whom, _)| whom.includes(user));
        needed.map_or(Assurance::OneFactor, |(_, needed)| needed)
    }
}

impl Whom {
    /// Nobody.
    #[must_use]
    pub fn nobody() -> Self {
        Self::OfRoles(BTreeSet::new())
    }

    fn includes(&self, user: &User) -> bool {
        match self {
            Self::Everybody => true,
            Self::OfRoles(roles) => !roles.is_disjoint(&user.roles),
        }
    }
}

/// What comes after a right password, for who has this and needs that.
#[must_use]
pub fn after_password(holds: Holds, needed: Assurance) -> Next {
    match (holds, needed) {
        (Holds::Codes | Holds::APasskey | Holds::AHardwareKey, _) => Next::Prove,
        (Holds::Nothing, Assurance::PhishingResistant | Assurance::HardwareKey) => Next::EnrolAPasskey,
        (Holds::Nothing, Assurance::TwoFactors) => Next::Enrol,
        (Holds::Nothing, Assurance::OneFactor) => Next::Session,
    }
}

/// What comes after a right code. Where a passkey is needed a code opens nothing; whoever has none yet may enrol one with it, as
/// they could with less before they had anything. Whoever has one shows it: else a code that was given away would be enough to
/// enrol another.
#[must_use]
pub fn after_code(holds: Holds, needed: Assurance) -> Next {
    match (holds, needed) {
        (_, Assurance::OneFactor | Assurance::TwoFactors) => Next::Session,
        (Holds::Nothing | Holds::Codes, Assurance::PhishingResistant | Assurance::HardwareKey) => {
            Next::EnrolAPasskey
        }
        (Holds::APasskey | Holds::AHardwareKey, Assurance::PhishingResistant | Assurance::HardwareKey) => {
            Next::Prove
        }
    }
}

/// What comes after a passkey that is as strong as this. Where one that hardware keeps is needed, another one opens nothing: it
/// is enough to enrol the first, and whoever has one shows that.
#[must_use]
pub fn after_passkey(shown: Assurance, holds: Holds, needed: Assurance) -> Next {
    match holds {
        _ if shown >= needed => Next::Session,
        Holds::AHardwareKey => Next::Prove,
        Holds::Nothing | Holds::Codes | Holds::APasskey => Next::EnrolAPasskey,
    }
}

/// What somebody shows once more who has this, of what is good for something, and needs that: where more than a password is
/// needed to sign in, the strongest that they have; else the password does, for minutes count. Where more is needed a password
/// alone is nothing, as it is for who showed the other factor elsewhere.
#[must_use]
pub fn once_more(has: Holds, needed: Assurance) -> OnceMore {
    match (has, needed) {
        (_, Assurance::OneFactor) => OnceMore::Password,
        (has, Assurance::TwoFactors | Assurance::PhishingResistant | Assurance::HardwareKey) => match has {
            Holds::Nothing => OnceMore::Nothing,
            Holds::Codes => OnceMore::PasswordAndCode,
            Holds::APasskey | Holds::AHardwareKey => OnceMore::Passkey,
        },
    }
}

#[cfg(test)]
mod tests;
