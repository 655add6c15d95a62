//! Signing in with an account that somebody else keeps: what of their word counts here. NIST SP 800-63C-4 sections 3 and 4;
//! ATTACKS A10.
//!
//! Whose account it is, is known by the provider's issuer and its `sub` alone: names and addresses are given away and given
//! again, and a provider may let people type their own.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{Role, Subject};
use crate::login::assurance::{Assurance, SEVERAL};

/// What a provider says of a sign-in by which two factors are believed. By default nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TwoFactorsThere {
    /// Its `acr` is one of these.
    pub acr: BTreeSet<String>,
    /// Or one of these is in its `amr`.
    pub amr: BTreeSet<String>,
}

/// What becomes of people whom nobody has linked to anybody here.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Newcomers {
    /// They do not get in.
    #[default]
    Refused,
    /// They are added, if their name is free.
    Added,
}

/// What groups there are as roles here; of others nothing comes.
pub type Groups = BTreeMap<String, Role>;

impl TwoFactorsThere {
    /// How strong a sign-in there is here.
    #[must_use]
    pub fn assurance<'a>(&self, acr: Option<&str>, mut amr: impl Iterator<Item = &'a str>) -> Assurance {
        if acr.is_some_and(|acr| self.acr.contains(acr)) || amr.any(|method| self.amr.contains(method)) {
            Assurance::TwoFactors
        } else {
            Assurance::OneFactor
        }
    }
}

/// The methods of a session that began with a sign-in of this strength at a provider. What methods those were is the
/// provider's word, of which no more is repeated than is believed.
#[must_use]
pub fn methods(assurance: Assurance) -> Vec<String> {
    match assurance {
        Assurance::OneFactor => Vec::new(),
        // That it cannot be phished is not its to say here.
        Assurance::TwoFactors | Assurance::PhishingResistant | Assurance::HardwareKey => {
            vec![SEVERAL.to_owned()]
        }
    }
}

/// The roles of somebody who is in these groups there.
#[must_use]
pub fn roles_of<'a>(groups: &Groups, of: impl Iterator<Item = &'a str>) -> BTreeSet<Role> {
    of.filter_map(|group| groups.get(group)).cloned().collect()
}

/// The name of somebody who is added, from what they are called there, if it can be one.
#[must_use]
pub fn name_for(called: &str) -> Option<Subject> {
    // ASCII alone: beyond it, small letters of others look like, or become, ours.
    let name: Subject = called.trim().to_ascii_lowercase().parse().ok()?;
    (!name.is_foreign()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_factors_there_are_two_here_only_where_the_configuration_says_so() {
        let said = |acr, amr: &[&'static str]| (acr, amr.to_vec());
        let all = [said(Some("gold"), &["pwd"]), said(None, &["pwd", "mfa"]), said(None, &[])];
        let strong = |believed: &TwoFactorsThere| -> Vec<bool> {
            all.iter()
                .map(|(acr, amr)| believed.assurance(*acr, amr.iter().copied()) == Assurance::TwoFactors)
                .collect()
        };
        assert_eq!(strong(&TwoFactorsThere::default()), [false; 3]);
        let gold = TwoFactorsThere { acr: ["gold".to_owned()].into(), ..TwoFactorsThere::default() };
        assert_eq!(strong(&gold), [true, false, false]);
        let mfa = TwoFactorsThere { amr: ["mfa".to_owned()].into(), ..TwoFactorsThere::default() };
        assert_eq!(strong(&mfa), [false, true, false]);
        for strength in [Assurance::OneFactor, Assurance::TwoFactors] {
            assert_eq!(Assurance::of(&methods(strength)), strength, "no more and no less");
        }
    }

    #[test]
    fn groups_that_nobody_named_give_nothing() {
        let groups = Groups::from([("Clinicians".to_owned(), "physician".parse().unwrap())]);
        let roles = roles_of(&groups, ["Everybody", "Clinicians", "administrator"].into_iter());
        assert_eq!(roles, ["physician".parse().unwrap()].into());
    }

    #[test]
    fn a10_a_name_is_taken_where_it_can_be_one_of_ours() {
        assert_eq!(name_for(" Dana@Clinic.example ").unwrap().as_str(), "dana@clinic.example");
        for bad in ["", "https://login.example#dana", "dana rao", "d\u{430}na", "\u{212a}im"] {
            assert_eq!(name_for(bad), None, "{bad}");
        }
    }
}
