//! Token introspection: what a client asks, and what it is told. RFC 7662 sections 2.1 and 2.2, RFC 9449 section 6.2.

use chartgate_values::Secret;
use serde::Serialize;

use super::authorization_details::AuthorizationDetail;
use super::scope::ScopeSet;
use super::token::TokenRequestError;
use crate::form::Form;
use crate::jose::claims::{AccessTokenClaims, Confirmation, NumericDate};
use crate::smart::launch::LaunchContext;

/// The scope by which a token lets its client ask. SMART App Launch 2.2, requirement 282.
pub const INTROSPECTION_SCOPE: &str = "introspect";

/// A token that a client asks about. The hint is only a hint, so it is not read.
#[derive(Debug)]
pub struct IntrospectionRequest {
    /// An access or refresh token.
    pub token: Secret<String>,
}

impl IntrospectionRequest {
    /// Reads the token out of the form.
    ///
    /// # Errors
    /// [`TokenRequestError::Missing`].
    pub fn read(form: &Form) -> Result<Self, TokenRequestError> {
        let token = form.get("token").ok_or(TokenRequestError::Missing("token"))?;
        Ok(Self { token: Secret::new(token.to_owned()) })
    }
}

/// What the client is told.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Introspection {
    /// The token is good now.
    Active(Box<Active>),
    /// It is not, or it is none of the client's business: why is not said, nor anything else (RFC 7662 section 2.2).
    Inactive(Inactive),
}

/// `{"active":false}`.
#[derive(Serialize)]
pub struct Inactive {
    active: bool,
}

/// A token that is good now.
#[derive(Serialize)]
pub struct Active {
    active: bool,
    #[serde(flatten)]
    token: ActiveToken,
}

/// What an active token says.
#[derive(Serialize)]
#[serde(untagged)]
pub enum ActiveToken {
    /// All its claims.
    Access {
        /// How it is sent.
        token_type: &'static str,
        /// Who it speaks of, as people know them.
        #[serde(skip_serializing_if = "Option::is_none")]
        username: Option<String>,
        /// SMART launch context, as it was in the token answer.
        #[serde(flatten)]
        context: Box<LaunchContext>,
        /// What stands in it.
        #[serde(flatten)]
        claims: Box<AccessTokenClaims>,
    },
    /// What is kept of it.
    Refresh {
        /// Whose token it is.
        iss: String,
        /// To whom it was given.
        client_id: String,
        /// Who gave it.
        sub: String,
        /// The same, as people know them.
        username: String,
        /// Where its access tokens are good.
        aud: String,
        /// What was granted.
        scope: ScopeSet,
        /// What was granted in detail. RFC 9396 section 9.2.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        authorization_details: Vec<AuthorizationDetail>,
        /// When it ends by itself.
        exp: NumericDate,
        /// The session that it lives with.
        #[serde(skip_serializing_if = "Option::is_none")]
        sid: Option<String>,
        /// What whoever uses it has to prove.
        #[serde(skip_serializing_if = "Option::is_none")]
        cnf: Option<Confirmation>,
    },
}

impl Introspection {
    /// A good token, which says this.
    #[must_use]
    pub fn active(token: ActiveToken) -> Self {
        Self::Active(Box::new(Active { active: true, token }))
    }

    /// Any other token: the same bytes for every cause.
    #[must_use]
    pub fn inactive() -> Self {
        Self::Inactive(Inactive { active: false })
    }
}

/// `typ` of an answer that is signed, RFC 9701 section 5; with `application/` before it, what is asked for.
pub const INTROSPECTION_TYPE: &str = "token-introspection+jwt";

/// What the client is told, on our word. RFC 9701 section 5: nothing of the token stands beside `token_introspection`, lest
/// this is taken for the token itself.
#[derive(Serialize)]
pub struct IntrospectionJwt {
    /// Who says so.
    pub iss: String,
    /// To whom.
    pub aud: String,
    /// When.
    pub iat: NumericDate,
    /// What.
    pub token_introspection: Introspection,
}

/// Whether `Accept` asks for a JWT: RFC 9701 section 4, RFC 9110 section 12.5.1.
pub fn wants_jwt<'a>(mut accept: impl Iterator<Item = &'a str>) -> bool {
    accept.any(|line| line.split(',').any(names_jwt))
}

fn names_jwt(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().and_then(|name| name.strip_prefix("application/"));
    let is_refused = |part: &str| {
        let weight = part.strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        weight.is_some_and(|weight| weight <= 0.0)
    };
    name.is_some_and(|name| name.eq_ignore_ascii_case(INTROSPECTION_TYPE)) && !parts.any(is_refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o27_an_inactive_answer_has_one_member() {
        assert_eq!(serde_json::to_string(&Introspection::inactive()).unwrap(), r#"{"active":false}"#);
    }

    #[test]
    fn o28_the_hint_is_a_hint() {
        let read = |text| IntrospectionRequest::read(&Form::parse(text).unwrap());
        assert_eq!(read("token=t&token_type_hint=nonsense").unwrap().token.expose(), "t");
        assert_eq!(read("token_type_hint=access_token").unwrap_err(), TokenRequestError::Missing("token"));
    }

    #[test]
    fn only_who_names_the_type_gets_a_jwt() {
        let wants = |lines: &[&str]| wants_jwt(lines.iter().copied());
        assert!(wants(&["application/token-introspection+jwt"]));
        assert!(wants(&["application/json;q=0.5, application/Token-Introspection+jwt; q=1"]));
        assert!(wants(&["text/plain", "application/token-introspection+jwt"]));
        for other in
            ["*/*", "application/json", "application/*", "application/token-introspection+jwt;q=0", ""]
        {
            assert!(!wants(&[other]), "{other}");
        }
    }
}
