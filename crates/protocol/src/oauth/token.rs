//! The token endpoint's requests and answers. RFC 6749 sections 4.1.3, 4.4.2, 5.1 and 6, RFC 7009 section 2.1.

use chartgate_values::Secret;
use serde::Serialize;

use super::authorization_details::AuthorizationDetail;
use super::error::ErrorCode;
use super::purpose_of_use::{PurposeOfUse, UnknownPurpose};
use super::scope::ScopeSet;
use super::token_exchange::{ExchangeRequest, TOKEN_EXCHANGE};
use crate::form::Form;
use crate::jose::claims::Confirmation;
use crate::oidc::ciba::CIBA;
use crate::smart::launch::LaunchContext;

/// RFC 8628 section 3.4.
pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// RFC 7523 section 8.1.
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// A grant that the token endpoint is asked to redeem.
#[derive(Debug)]
pub enum TokenRequest {
    /// RFC 6749 section 4.1.3 with RFC 7636 section 4.5.
    AuthorizationCode {
        /// The code as the client sends it.
        code: Secret<String>,
        /// The redirect URI of the authorization request.
        redirect_uri: String,
        /// What the challenge was made from.
        code_verifier: Secret<String>,
    },
    /// RFC 6749 section 6.
    RefreshToken {
        /// The token as the client sends it.
        refresh_token: Secret<String>,
        /// A narrower scope, if the client wants one.
        scope: Option<ScopeSet>,
    },
    /// RFC 8628 section 3.4.
    DeviceCode {
        /// The code as the device sends it.
        device_code: Secret<String>,
    },
    /// CIBA Core section 10.1.
    Ciba {
        /// The name of the client's request.
        auth_req_id: String,
    },
    /// RFC 8693 section 2.1.
    TokenExchange(Box<ExchangeRequest>),
    /// RFC 7523 section 2.1.
    JwtBearer(JwtBearerRequest),
    /// RFC 6749 section 4.4.
    ClientCredentials {
        /// What the client wants to do.
        scope: Option<ScopeSet>,
        /// Where the token shall be good (RFC 8707).
        resource: Option<String>,
        /// Why records are to be looked at.
        purpose_of_use: Option<PurposeOfUse>,
    },
}

/// What another issuer says of a person, for a token. RFC 7523 section 2.1.
#[derive(Debug)]
pub struct JwtBearerRequest {
    /// What it says.
    pub assertion: Secret<String>,
    /// What the client wants to do.
    pub scope: Option<ScopeSet>,
    /// Where the token shall be good (RFC 8707).
    pub resource: Option<String>,
    /// Why records are to be looked at.
    pub purpose_of_use: Option<PurposeOfUse>,
}

/// Why a token request is refused before anything is looked up.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TokenRequestError {
    /// RFC 6749 section 4.1.3.
    #[error("grant_type is missing")]
    NoGrantType,
    /// A grant that we do not know.
    #[error("grant_type is not offered")]
    GrantType,
    /// A parameter that this grant needs.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// RFC 6749 section 3.3.
    #[error("scope is malformed")]
    Scope,
    /// RFC 8693 section 3: a kind of token that is not exchanged here.
    #[error("`{0}` is not that of an access token, or has no token beside it")]
    TokenType(&'static str),
    /// RFC 8693 section 2.1: one place a token.
    #[error("resource and audience differ")]
    TwoAudiences,
    /// There is no such purpose.
    #[error(transparent)]
    Purpose(#[from] UnknownPurpose),
}

impl TokenRequestError {
    /// The code for the client.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::GrantType => ErrorCode::UnsupportedGrantType,
            Self::Scope => ErrorCode::InvalidScope,
            Self::TwoAudiences => ErrorCode::InvalidTarget,
            Self::NoGrantType | Self::Missing(_) | Self::TokenType(_) | Self::Purpose(_) => {
                ErrorCode::InvalidRequest
            }
        }
    }
}

impl TokenRequest {
    /// Reads the grant out of the form.
    ///
    /// # Errors
    /// [`TokenRequestError`], by the first cause.
    pub fn read(form: &Form) -> Result<Self, TokenRequestError> {
        let need = |name| form.get(name).ok_or(TokenRequestError::Missing(name));
        let secret = |name| need(name).map(|value| Secret::new(value.to_owned()));
        let scope = || form.get("scope").map(str::parse).transpose().map_err(|_| TokenRequestError::Scope);
        let resource = || form.get("resource").or_else(|| form.get("aud")).map(str::to_owned);
        let purpose = || form.get("purpose_of_use").map(str::parse::<PurposeOfUse>).transpose();
        match form.get("grant_type") {
            None => Err(TokenRequestError::NoGrantType),
            Some("authorization_code") => Ok(Self::AuthorizationCode {
                code: secret("code")?,
                redirect_uri: need("redirect_uri")?.to_owned(),
                code_verifier: secret("code_verifier")?,
            }),
            Some("refresh_token") => {
                Ok(Self::RefreshToken { refresh_token: secret("refresh_token")?, scope: scope()? })
            }
            Some(DEVICE_CODE) => Ok(Self::DeviceCode { device_code: secret("device_code")? }),
            Some(CIBA) => Ok(Self::Ciba { auth_req_id: need("auth_req_id")?.to_owned() }),
            Some(JWT_BEARER) => Ok(Self::JwtBearer(JwtBearerRequest {
                assertion: secret("assertion")?,
                scope: scope()?,
                resource: resource(),
                purpose_of_use: purpose()?,
            })),
            Some(TOKEN_EXCHANGE) => Ok(Self::TokenExchange(Box::new(ExchangeRequest::read(form)?))),
            Some("client_credentials") => Ok(Self::ClientCredentials {
                scope: scope()?,
                resource: resource(),
                purpose_of_use: purpose()?,
            }),
            Some(_) => Err(TokenRequestError::GrantType),
        }
    }
}

/// The answer to a redeemed grant. RFC 6749 section 5.1, SMART App Launch 2.2.
#[derive(Serialize)]
pub struct TokenResponse {
    /// The signed access token.
    pub access_token: String,
    /// What kind of token was given for another. RFC 8693 section 2.2.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_token_type: Option<&'static str>,
    /// How the access token is sent: [`token_type`].
    pub token_type: &'static str,
    /// Seconds until the access token expires.
    pub expires_in: u64,
    /// What was granted; always present.
    pub scope: ScopeSet,
    /// What was granted in detail. RFC 9396 section 7.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authorization_details: Vec<AuthorizationDetail>,
    /// The refresh token, where one was granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// OpenID Connect's ID token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    /// SMART launch context: the patient in question, a bare id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    /// SMART launch context: the encounter in question, a bare id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encounter: Option<String>,
    /// SMART launch context: everything else.
    #[serde(flatten)]
    pub context: LaunchContext,
}

/// How a token that is bound to this is sent. RFC 9449 section 5: by a proof of its key, where it has one; a certificate is
/// shown by the connection (RFC 8705 section 3).
#[must_use]
pub fn token_type(cnf: Option<&Confirmation>) -> &'static str {
    if cnf.is_some_and(|cnf| cnf.jkt.is_some()) { "DPoP" } else { "Bearer" }
}

/// What a client asks to be revoked. RFC 7009 section 2.1; the hint is only a hint, so it is not read.
#[derive(Debug)]
pub struct RevocationRequest {
    /// An access or refresh token.
    pub token: Secret<String>,
}

impl RevocationRequest {
    /// Reads the token out of the form.
    ///
    /// # Errors
    /// [`TokenRequestError::Missing`].
    pub fn read(form: &Form) -> Result<Self, TokenRequestError> {
        let token = form.get("token").ok_or(TokenRequestError::Missing("token"))?;
        Ok(Self { token: Secret::new(token.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<TokenRequest, TokenRequestError> {
        TokenRequest::read(&Form::parse(text).unwrap())
    }

    #[test]
    fn each_grant_is_read_with_what_it_needs() {
        let code = read("grant_type=authorization_code&code=c&redirect_uri=u&code_verifier=v");
        assert!(matches!(code, Ok(TokenRequest::AuthorizationCode { .. })));
        assert!(matches!(
            read("grant_type=refresh_token&refresh_token=r"),
            Ok(TokenRequest::RefreshToken { scope: None, .. })
        ));
        let device = read(&format!("grant_type={DEVICE_CODE}&device_code=d"));
        assert!(matches!(device, Ok(TokenRequest::DeviceCode { .. })));
        let assertion = read(&format!("grant_type={JWT_BEARER}&assertion=a"));
        assert!(matches!(assertion, Ok(TokenRequest::JwtBearer(_))));
        assert!(matches!(read("grant_type=client_credentials"), Ok(TokenRequest::ClientCredentials { .. })));
    }

    #[test]
    fn o04_a_code_without_its_verifier_is_no_request() {
        let error = read("grant_type=authorization_code&code=c&redirect_uri=u").unwrap_err();
        assert_eq!(error, TokenRequestError::Missing("code_verifier"));
    }

    #[test]
    fn o17_grants_that_are_not_offered_are_refused_by_name() {
        for grant in ["password", "implicit", "none"] {
            let error = read(&format!("grant_type={grant}&username=u&password=p")).unwrap_err();
            assert_eq!(error.code(), ErrorCode::UnsupportedGrantType);
        }
        assert_eq!(read("code=c").unwrap_err().code(), ErrorCode::InvalidRequest);
    }
}
