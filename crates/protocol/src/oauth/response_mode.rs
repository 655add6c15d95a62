//! How an authorization response reaches its client. OAuth 2.0 Multiple Response Types section 2.1, OAuth 2.0 Form Post
//! Response Mode, JWT Secured Authorization Response Mode (JARM) sections 2.1 and 2.3.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::form::Form;
use crate::jose::claims::NumericDate;

/// What `response_mode` says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub enum ResponseMode {
    /// As parameters of the redirect URI: the default for a code.
    #[default]
    #[serde(rename = "query")]
    Query,
    /// As a form that the browser posts.
    #[serde(rename = "form_post")]
    FormPost,
    /// Signed, as one parameter of the redirect URI.
    #[serde(rename = "query.jwt")]
    QueryJwt,
    /// Signed, as the one field of a form that the browser posts.
    #[serde(rename = "form_post.jwt")]
    FormPostJwt,
}

/// The mode is none that is offered. Fragments are for responses that are tokens, which are not.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a response mode that is offered")]
pub struct UnknownResponseMode;

impl ResponseMode {
    /// The names that are offered.
    pub const NAMES: &'static [&'static str] = &["query", "form_post", "jwt", "query.jwt", "form_post.jwt"];

    /// What a request asks for.
    ///
    /// # Errors
    /// [`UnknownResponseMode`].
    pub fn of(form: &Form) -> Result<Self, UnknownResponseMode> {
        form.get("response_mode").map_or(Ok(Self::default()), str::parse)
    }
}

impl FromStr for ResponseMode {
    type Err = UnknownResponseMode;

    fn from_str(text: &str) -> Result<Self, UnknownResponseMode> {
        match text {
            "query" => Ok(Self::Query),
            "form_post" => Ok(Self::FormPost),
            // JARM section 2.3.4: the default of the response type, which for a code is the query.
            "jwt" | "query.jwt" => Ok(Self::QueryJwt),
            "form_post.jwt" => Ok(Self::FormPostJwt),
            _ => Err(UnknownResponseMode),
        }
    }
}

/// A response as it is signed. JARM section 2.1.
#[derive(Serialize)]
pub struct ResponseClaims<'a> {
    /// Us.
    pub iss: &'a str,
    /// The client.
    pub aud: &'a str,
    /// The first moment at which it is no longer valid.
    pub exp: NumericDate,
    /// What would stand in a query: never `iss`, which stands above.
    #[serde(flatten)]
    pub parameters: serde_json::Map<String, serde_json::Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_has_its_name_and_jwt_is_that_of_the_query() {
        for name in ResponseMode::NAMES {
            let mode: ResponseMode = name.parse().unwrap();
            let text = serde_json::to_value(mode).unwrap();
            assert_eq!(text.as_str().unwrap(), if *name == "jwt" { "query.jwt" } else { name });
            assert_eq!(ResponseMode::of(&Form::parse(&format!("response_mode={name}")).unwrap()), Ok(mode));
        }
        for other in ["fragment", "fragment.jwt", "web_message", "Query", "query.JWT", "jwt "] {
            assert_eq!(other.parse::<ResponseMode>(), Err(UnknownResponseMode), "{other}");
        }
        assert_eq!(ResponseMode::of(&Form::default()), Ok(ResponseMode::Query));
    }
}
