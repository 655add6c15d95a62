//! The `claims` parameter. OpenID Connect Core section 5.5.
//!
//! What is not understood is ignored, as section 5.5 says; what is malformed is refused.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::json::{self, Members, Node};

/// A claim that is given where it is asked for, and not by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskedClaim {
    /// `email`.
    Email,
    /// `fhirUser`.
    FhirUser,
}

/// What a client asks for by name, as far as there is something to give.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClaimsRequest {
    /// In the ID token.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub id_token: BTreeSet<AskedClaim>,
    /// At the userinfo endpoint.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub userinfo: BTreeSet<AskedClaim>,
}

/// What a request demands of the sign-in itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Demands {
    /// Section 5.5.1: the answer is about this subject, or there is none.
    pub subject: Option<String>,
    /// Section 5.5.1.1: the `acr` has to be one of these.
    pub acr_values: BTreeSet<String>,
}

/// The parameter is no JSON object of the form of section 5.5, or larger than a request needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("claims is malformed")]
pub struct MalformedClaims;

impl ClaimsRequest {
    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.id_token.is_empty() && self.userinfo.is_empty()
    }

    /// Reads the parameter.
    ///
    /// # Errors
    /// [`MalformedClaims`].
    pub fn read(text: &str) -> Result<(Self, Demands), MalformedClaims> {
        if text.len() > MAX_BYTES {
            return Err(MalformedClaims);
        }
        let Node::Object(request) = json::parse(text.as_bytes(), MAX_DEPTH).map_err(|_| MalformedClaims)?
        else {
            return Err(MalformedClaims);
        };
        let (mut asked, mut demands) = (Self::default(), Demands::default());
        for (place, into) in [("id_token", &mut asked.id_token), ("userinfo", &mut asked.userinfo)] {
            for (name, wish) in members(request.get(place))? {
                let wish = Wish::read(wish)?;
                match name {
                    "email" => drop(into.insert(AskedClaim::Email)),
                    "fhirUser" => drop(into.insert(AskedClaim::FhirUser)),
                    "sub" => demands.name(wish)?,
                    "acr" if place == "id_token" && wish.essential == Essential::Yes => {
                        demands.acr_values = wish.values;
                    }
                    _ => {}
                }
            }
        }
        Ok((asked, demands))
    }
}

impl Demands {
    fn name(&mut self, wish: Wish) -> Result<(), MalformedClaims> {
        let mut values = wish.values.into_iter();
        match (values.next(), values.next(), &self.subject) {
            (None, _, _) => Ok(()),
            (Some(one), None, None) => {
                self.subject = Some(one);
                Ok(())
            }
            (Some(one), None, Some(known)) if one == *known => Ok(()),
            // There is one subject in an answer.
            (Some(_), _, _) => Err(MalformedClaims),
        }
    }
}

/// What is said of one claim.
struct Wish {
    essential: Essential,
    /// The texts among the values; a claim of ours is no other.
    values: BTreeSet<String>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Essential {
    No,
    Yes,
}

impl Wish {
    /// Section 5.5.1: `null`, or an object.
    fn read(node: &Node<'_>) -> Result<Self, MalformedClaims> {
        let mut wish = Self { essential: Essential::No, values: BTreeSet::new() };
        let said = match node {
            Node::Null => return Ok(wish),
            Node::Object(said) => said,
            Node::Bool(_) | Node::Number | Node::Text(_) | Node::Array(_) => return Err(MalformedClaims),
        };
        match said.get("essential") {
            None | Some(Node::Bool(false)) => {}
            Some(Node::Bool(true)) => wish.essential = Essential::Yes,
            Some(_) => return Err(MalformedClaims),
        }
        let several = match said.get("values") {
            None => &[],
            Some(values) => values.as_array().filter(|all| all.len() <= MAX_CLAIMS).ok_or(MalformedClaims)?,
        };
        wish.values = said
            .get("value")
            .into_iter()
            .chain(several)
            .filter_map(Node::as_str)
            .map(str::to_owned)
            .collect();
        Ok(wish)
    }
}

/// The claims that are asked for in one place.
fn members<'n, 'a>(
    place: Option<&'n Node<'a>>,
) -> Result<impl Iterator<Item = (&'n str, &'n Node<'a>)>, MalformedClaims> {
    let members = match place {
        None | Some(Node::Null) => None,
        Some(Node::Object(members)) if members.iter().count() <= MAX_CLAIMS => Some(members),
        Some(_) => return Err(MalformedClaims),
    };
    Ok(members.into_iter().flat_map(Members::iter))
}

/// The longest parameter, the deepest, and the most claims of a place or values of a claim.
const MAX_BYTES: usize = 8192;
const MAX_DEPTH: usize = 8;
const MAX_CLAIMS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_to_give_is_read_and_the_rest_is_ignored() {
        let text = r#"{"userinfo":{"given_name":{"essential":true},"email":null,"http://x.example/y":null},
            "id_token":{"auth_time":{"essential":true},"fhirUser":{"essential":false},"acr":{"values":["a"]}},"more":7}"#;
        let (asked, demands) = ClaimsRequest::read(text).unwrap();
        assert_eq!(asked.userinfo, BTreeSet::from([AskedClaim::Email]));
        assert_eq!(asked.id_token, BTreeSet::from([AskedClaim::FhirUser]));
        assert_eq!(demands, Demands::default(), "an acr that is not essential is a wish");
        assert!(ClaimsRequest::read("{}").unwrap().0.is_empty());
        assert!(ClaimsRequest::read(r#"{"userinfo":null}"#).unwrap().0.is_empty());
    }

    #[test]
    fn a_subject_and_an_essential_acr_are_demands() {
        let demands = |text| ClaimsRequest::read(text).map(|(_, demands)| demands);
        let both = r#"{"id_token":{"sub":{"value":"dana"},"acr":{"essential":true,"values":["a","b"]}},"userinfo":{"sub":{"value":"dana"}}}"#;
        let expected =
            Demands { subject: Some("dana".into()), acr_values: ["a", "b"].map(String::from).into() };
        assert_eq!(demands(both), Ok(expected));
        for two in [
            r#"{"id_token":{"sub":{"values":["dana","nils"]}}}"#,
            r#"{"id_token":{"sub":{"value":"dana"}},"userinfo":{"sub":{"value":"nils"}}}"#,
        ] {
            assert_eq!(demands(two), Err(MalformedClaims), "{two}");
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let long = format!(r#"{{"x":"{}"}}"#, "x".repeat(MAX_BYTES));
        let many: Vec<String> = (0..65).map(|n| format!(r#""c{n}":null"#)).collect();
        let many = format!(r#"{{"userinfo":{{{}}}}}"#, many.join(","));
        for text in [
            "",
            "x",
            "[]",
            "null",
            r#"{"id_token":[]}"#,
            r#"{"id_token":{"email":true}}"#,
            r#"{"id_token":{"email":{"essential":"yes"}}}"#,
            r#"{"id_token":{"acr":{"values":"a"}}}"#,
            r#"{"id_token":{},"id_token":{}}"#,
            &long,
            &many,
        ] {
            assert_eq!(ClaimsRequest::read(text), Err(MalformedClaims), "{text}");
        }
    }
}
