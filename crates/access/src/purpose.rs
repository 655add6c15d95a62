//! Which purposes of use somebody may have, and which one they have if nobody says.

use std::collections::{BTreeMap, BTreeSet};

use chartgate_protocol::oauth::purpose_of_use::PurposeOfUse;

use crate::ids::Role;

/// Purposes by role: the first of each is what its people are at, unless another is asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Purposes(BTreeMap<Role, Vec<PurposeOfUse>>);

/// None of the roles may have the purpose that was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the purpose_of_use is not one for the roles of whoever it is asked for")]
pub struct NotForRole;

impl Purposes {
    /// By this table.
    #[must_use]
    pub fn new(by_role: BTreeMap<Role, Vec<PurposeOfUse>>) -> Self {
        Self(by_role)
    }

    /// The purpose of who has these roles. Where none is asked for and the roles differ in theirs, none is presumed.
    ///
    /// # Errors
    /// [`NotForRole`].
    pub fn choose(
        &self,
        roles: &BTreeSet<Role>,
        asked: Option<PurposeOfUse>,
    ) -> Result<Option<PurposeOfUse>, NotForRole> {
        let own = || roles.iter().filter_map(|role| self.0.get(role));
        match asked {
            Some(asked) if own().any(|purposes| purposes.contains(&asked)) => Ok(Some(asked)),
            Some(_) => Err(NotForRole),
            None => {
                let mut firsts = own().filter_map(|purposes| purposes.first().copied());
                let first = firsts.next();
                Ok(first.filter(|first| firsts.all(|other| other == *first)))
            }
        }
    }

    /// Every purpose that somebody may ask for.
    #[must_use]
    pub fn all(&self) -> Vec<&'static str> {
        let codes: BTreeSet<_> = self.0.values().flatten().map(|purpose| purpose.code()).collect();
        codes.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purpose_is_one_of_the_roles_and_presumed_only_where_they_agree() {
        let [treat, research, operations] =
            ["TREAT", "HRESCH", "HOPERAT"].map(|code| code.parse::<PurposeOfUse>().unwrap());
        let role = |name: &str| name.parse::<Role>().unwrap();
        let roles = |names: &[&str]| names.iter().map(|name| role(name)).collect::<BTreeSet<_>>();
        let purposes = Purposes::new(BTreeMap::from([
            (role("physician"), vec![treat, operations]),
            (role("nurse"), vec![treat]),
            (role("researcher"), vec![research]),
            (role("student"), Vec::new()),
        ]));
        let choose = |names: &[&str], asked| purposes.choose(&roles(names), asked);
        assert_eq!(choose(&["physician"], None), Ok(Some(treat)));
        assert_eq!(choose(&["physician", "nurse", "student"], None), Ok(Some(treat)));
        assert_eq!(choose(&["physician", "researcher"], None), Ok(None));
        assert_eq!(choose(&["physician", "researcher"], Some(research)), Ok(Some(research)));
        assert_eq!(choose(&["physician"], Some(operations)), Ok(Some(operations)));
        assert_eq!(choose(&["nurse"], Some(operations)), Err(NotForRole));
        assert_eq!(choose(&["student"], Some(treat)), Err(NotForRole));
        assert_eq!((choose(&[], None), choose(&[], Some(treat))), (Ok(None), Err(NotForRole)));
    }
}
