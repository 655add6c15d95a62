//! Error answers. RFC 6749 sections 4.1.2.1 and 5.2, RFC 6750 section 3.1, RFC 8707 section 2,
//! RFC 7591 section 3.2.2, RFC 9101 section 7, RFC 9449 sections 5 and 8.

use serde::Serialize;

/// A registered error code.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// A parameter is missing, repeated, malformed or makes no sense with the others.
    InvalidRequest,
    /// The client did not prove who it is.
    InvalidClient,
    /// The code, refresh token or verifier is not good (any more) for this client.
    InvalidGrant,
    /// The client may not use this grant.
    UnauthorizedClient,
    /// We do not know this grant type.
    UnsupportedGrantType,
    /// We do not know this response type.
    UnsupportedResponseType,
    /// No requested scope can be granted, or more was asked for than was granted before.
    InvalidScope,
    /// RFC 8707: the resource is not one of ours, or not this client's.
    InvalidTarget,
    /// The person or a rule said no.
    AccessDenied,
    /// RFC 8628 section 3.5: the person has not answered yet.
    AuthorizationPending,
    /// RFC 8628 section 3.5: the device polls too fast.
    SlowDown,
    /// RFC 8628 section 3.5: the device code has ended.
    ExpiredToken,
    /// OpenID Connect Core section 3.1.2.6: `prompt=none`, and somebody would have to sign in.
    LoginRequired,
    /// OpenID Connect Core section 3.1.2.6: `prompt=none`, and somebody would have to choose.
    InteractionRequired,
    /// OpenID Connect Core section 3.1.2.6: the person would have to be asked for consent.
    ConsentRequired,
    /// OpenID Connect Core Error Code unmet_authentication_requirements section 2: nobody can be signed in as it is demanded.
    UnmetAuthenticationRequirements,
    /// Try again later: the log cannot be written, or we are shutting down.
    TemporarilyUnavailable,
    /// Ours to mend.
    ServerError,
    /// OpenID Connect Core section 6.2: no request URIs here.
    RequestUriNotSupported,
    /// RFC 9101 section 7: the request object does not verify, or says something that it must not.
    InvalidRequestObject,
    /// RFC 9101 section 7: the request URI is not one that we gave, or not good any more.
    InvalidRequestUri,
    /// CIBA Core section 13: nobody is meant by the hint.
    UnknownUserId,
    /// CIBA Core section 13: the message cannot be shown.
    InvalidBindingMessage,
    /// RFC 9396 section 5: details of a type that is not known, not registered, or not as it has to be.
    InvalidAuthorizationDetails,
    /// RFC 7591 section 3.2.2: a redirect URI cannot be registered.
    InvalidRedirectUri,
    /// RFC 7591 section 3.2.2: something else of what a client says of itself.
    InvalidClientMetadata,
    /// RFC 7591 section 3.2.2: the software statement is none.
    InvalidSoftwareStatement,
    /// RFC 7591 section 3.2.2: the software statement is of nobody whose word counts here.
    UnapprovedSoftwareStatement,
    /// RFC 9449 section 5: the proof is missing, malformed, for another request or too old.
    InvalidDpopProof,
    /// RFC 9449 section 8: the proof has to hold the nonce that comes with this answer.
    UseDpopNonce,
}

/// The JSON body of an error answer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ErrorBody {
    /// The registered code.
    pub error: ErrorCode,
    /// A sentence for the developer at the other end; never a secret, never PHI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_description: Option<String>,
}

impl ErrorCode {
    /// The code as it stands on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::AccessDenied => "access_denied",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::ExpiredToken => "expired_token",
            Self::LoginRequired => "login_required",
            Self::InteractionRequired => "interaction_required",
            Self::ConsentRequired => "consent_required",
            Self::UnmetAuthenticationRequirements => "unmet_authentication_requirements",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::ServerError => "server_error",
            Self::UnknownUserId => "unknown_user_id",
            Self::InvalidBindingMessage => "invalid_binding_message",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::InvalidRequestObject => "invalid_request_object",
            Self::InvalidRequestUri => "invalid_request_uri",
            Self::InvalidAuthorizationDetails => "invalid_authorization_details",
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::InvalidSoftwareStatement => "invalid_software_statement",
            Self::UnapprovedSoftwareStatement => "unapproved_software_statement",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::UseDpopNonce => "use_dpop_nonce",
        }
    }
}
