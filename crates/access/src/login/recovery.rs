//! Getting in again without an administrator: by two proofs of different kinds, of which one is a link that was sent by e-mail.
//! NIST SP 800-63B-4 section 4.2.2.
//!
//! Whoever lost the password shows the link and the second factor; whoever lost the second factor shows the password and the
//! link. E-mail can be read by others: so nobody gets by it what has to resist phishing, nor does it stand alone.

use super::assurance::{Assurance, Holds};
use crate::principal::UserState;

/// What somebody does not have any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lost {
    /// Their password.
    Password,
    /// Whatever they show beside it.
    Factors,
}

impl Lost {
    /// The stable code for store and record.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Factors => "factors",
        }
    }
}

/// What is known of somebody who asks for a link.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Whether they may sign in at all.
    pub state: UserState,
    /// Whether there is a password of theirs.
    pub has_password: bool,
    /// Whether there is an address to send to.
    pub has_address: bool,
    /// What they have beside the password.
    pub holds: Holds,
    /// How strongly they have to sign in.
    pub needed: Assurance,
}

/// Why nothing is sent: an administrator has to help.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoLink {
    /// They were shut out.
    #[error("the person is disabled")]
    Disabled,
    /// They never had a password, or it was taken from them.
    #[error("there is no password to be put in another's place")]
    NoPassword,
    /// Nobody knows where to.
    #[error("there is no e-mail address")]
    NoAddress,
    /// There is nothing that they could show beside the link.
    #[error("the link would be the only proof")]
    OneProof,
    /// What they lost resists phishing and has to, and a link does not.
    #[error("a link is weaker than what it would put in place of")]
    TooWeak,
}

impl NoLink {
    /// The stable code for the record.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Disabled => "user-disabled",
            Self::NoPassword => "no-password",
            Self::NoAddress => "no-address",
            Self::OneProof => "one-proof",
            Self::TooWeak => "too-weak",
        }
    }
}

/// Whether somebody gets a link in place of what they lost.
///
/// # Errors
/// [`NoLink`].
pub fn may_have_link(lost: Lost, known: Known) -> Result<(), NoLink> {
    if known.state != UserState::Enabled {
        return Err(NoLink::Disabled);
    }
    if !known.has_password {
        return Err(NoLink::NoPassword);
    }
    match (lost, known.holds) {
        (_, Holds::Nothing) => return Err(NoLink::OneProof),
        // Whether or not its person has to have it: what it opens at the route or for the application that asks for it, nobody
        // opens by password and link.
        (Lost::Factors, Holds::APasskey | Holds::AHardwareKey) => return Err(NoLink::TooWeak),
        (Lost::Factors, Holds::Codes) if known.needed > Assurance::TwoFactors => {
            return Err(NoLink::TooWeak);
        }
        (Lost::Factors | Lost::Password, Holds::Codes | Holds::APasskey | Holds::AHardwareKey) => {}
    }
    if known.has_address { Ok(()) } else { Err(NoLink::NoAddress) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HAS_ALL: Known = Known {
        state: UserState::Enabled,
        has_password: true,
        has_address: true,
        holds: Holds::Codes,
        needed: Assurance::OneFactor,
    };

    #[test]
    fn a_link_never_stands_alone() {
        for lost in [Lost::Password, Lost::Factors] {
            assert_eq!(may_have_link(lost, HAS_ALL), Ok(()));
            let alone = Known { holds: Holds::Nothing, ..HAS_ALL };
            assert_eq!(may_have_link(lost, alone), Err(NoLink::OneProof));
        }
    }

    #[test]
    fn whoever_is_shut_out_or_has_no_password_or_address_gets_none() {
        for lost in [Lost::Password, Lost::Factors] {
            let refused = |known| may_have_link(lost, known).unwrap_err();
            assert_eq!(refused(Known { state: UserState::Disabled, ..HAS_ALL }), NoLink::Disabled);
            assert_eq!(refused(Known { has_password: false, ..HAS_ALL }), NoLink::NoPassword);
            assert_eq!(refused(Known { has_address: false, ..HAS_ALL }), NoLink::NoAddress);
        }
    }

    #[test]
    fn what_has_to_resist_phishing_is_not_replaced_by_a_link() {
        for (holds, needed, factors) in [
            (Holds::Codes, Assurance::TwoFactors, Ok(())),
            (Holds::APasskey, Assurance::OneFactor, Err(NoLink::TooWeak)),
            (Holds::APasskey, Assurance::TwoFactors, Err(NoLink::TooWeak)),
            (Holds::AHardwareKey, Assurance::OneFactor, Err(NoLink::TooWeak)),
            (Holds::Codes, Assurance::PhishingResistant, Err(NoLink::TooWeak)),
            (Holds::APasskey, Assurance::PhishingResistant, Err(NoLink::TooWeak)),
            (Holds::APasskey, Assurance::HardwareKey, Err(NoLink::TooWeak)),
        ] {
            let known = Known { holds, needed, ..HAS_ALL };
            assert_eq!(may_have_link(Lost::Factors, known), factors, "{known:?}");
            // With the password lost, the factor is shown still.
            assert_eq!(may_have_link(Lost::Password, known), Ok(()), "{known:?}");
        }
    }
}
