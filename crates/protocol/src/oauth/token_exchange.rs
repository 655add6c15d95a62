//! Token exchange on the wire. RFC 8693 sections 2.1 and 3.

use chartgate_values::Secret;

use super::scope::ScopeSet;
use super::token::TokenRequestError;
use crate::form::Form;

/// RFC 8693 section 2.1.
pub const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// The one kind of token that is taken and given. RFC 8693 section 3.
pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A token for a token; nothing of it is verified yet.
#[derive(Debug)]
pub struct ExchangeRequest {
    /// For whom the new token speaks.
    pub subject_token: Secret<String>,
    /// Who acts, if it is not the client itself.
    pub actor_token: Option<Secret<String>>,
    /// What the new token shall allow.
    pub scope: Option<ScopeSet>,
    /// Where it shall be good.
    pub audience: Option<String>,
}

impl ExchangeRequest {
    /// Reads the request.
    ///
    /// # Errors
    /// [`TokenRequestError`], by the first cause.
    pub fn read(form: &Form) -> Result<Self, TokenRequestError> {
        let secret = |name| form.get(name).map(|token| Secret::new(token.to_owned()));
        let subject_token = secret("subject_token").ok_or(TokenRequestError::Missing("subject_token"))?;
        if form.get("subject_token_type").ok_or(TokenRequestError::Missing("subject_token_type"))?
            != ACCESS_TOKEN
        {
            return Err(TokenRequestError::TokenType("subject_token_type"));
        }
        let actor_token = secret("actor_token");
        match (&actor_token, form.get("actor_token_type")) {
            (Some(_), Some(ACCESS_TOKEN)) | (None, None) => {}
            (Some(_), None) => return Err(TokenRequestError::Missing("actor_token_type")),
            (_, Some(_)) => return Err(TokenRequestError::TokenType("actor_token_type")),
        }
        if form.get("requested_token_type").is_some_and(|kind| kind != ACCESS_TOKEN) {
            return Err(TokenRequestError::TokenType("requested_token_type"));
        }
        let audience = match (form.get("resource"), form.get("audience")) {
            (Some(resource), Some(audience)) if resource != audience => {
                return Err(TokenRequestError::TwoAudiences);
            }
            (resource, audience) => resource.or(audience).map(str::to_owned),
        };
        let scope = form.get("scope").map(str::parse).transpose().map_err(|_| TokenRequestError::Scope)?;
        Ok(Self { subject_token, actor_token, scope, audience })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(more: &str) -> Result<ExchangeRequest, TokenRequestError> {
        let text = format!("subject_token=s&subject_token_type={ACCESS_TOKEN}{more}");
        ExchangeRequest::read(&Form::parse(&text).unwrap())
    }

    #[test]
    fn only_access_tokens_are_taken_and_given() {
        assert!(read("").unwrap().actor_token.is_none());
        assert!(
            read(&format!("&actor_token=a&actor_token_type={ACCESS_TOKEN}")).unwrap().actor_token.is_some()
        );
        assert!(read(&format!("&requested_token_type={ACCESS_TOKEN}")).is_ok());
        let refresh = "urn:ietf:params:oauth:token-type:refresh_token";
        for (more, error) in [
            (
                format!("&requested_token_type={refresh}"),
                TokenRequestError::TokenType("requested_token_type"),
            ),
            (
                format!("&actor_token=a&actor_token_type={refresh}"),
                TokenRequestError::TokenType("actor_token_type"),
            ),
            (format!("&actor_token_type={ACCESS_TOKEN}"), TokenRequestError::TokenType("actor_token_type")),
            ("&actor_token=a".to_owned(), TokenRequestError::Missing("actor_token_type")),
            ("&resource=a&audience=b".to_owned(), TokenRequestError::TwoAudiences),
            ("&scope=a++b".to_owned(), TokenRequestError::Scope),
        ] {
            assert_eq!(read(&more).unwrap_err(), error, "{more}");
        }
    }
}
