//! Why a caller is nobody. RFC 6750 section 3.1, RFC 9449 section 7.1, RFC 9470 section 3.

use chartgate_access::token::revocation::Revoked;
use chartgate_protocol::jose::Rejection;
use chartgate_protocol::oauth::dpop::{CredentialsError, ProofError};

use crate::live::proofs::NotPossessed;

/// Why a caller is nobody.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(in crate::pep) enum NotAuthenticated {
    /// No token.
    #[error("no bearer token")]
    Missing,
    /// Not one token.
    #[error("malformed Authorization")]
    Malformed,
    /// A token that does not hold.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// A claim of a form that we never give it.
    #[error("a claim has a foreign form")]
    ForeignClaims,
    /// Another issuer's token, for a purpose that its person's or program's roles do not have here.
    #[error("the purpose of use is not one for the roles of the token")]
    Purpose,
    /// A token that was cut off.
    #[error(transparent)]
    Revoked(#[from] Revoked),
    /// Automatic logoff.
    #[error("the session is over")]
    SessionOver,
    /// A token of somebody who signed in too long ago, or not well enough, for this route.
    #[error("the sign-in does not suffice here")]
    SignIn,
    /// A token beside a proof that is not good.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl NotAuthenticated {
    /// Whether the caller showed nothing that was ever good, as attackers do by the thousand.
    pub(in crate::pep) fn is_a_strangers(self) -> bool {
        match self {
            Self::Proof(ProofError::Nonce | ProofError::TooMany) => false,
            Self::Missing | Self::Malformed | Self::Rejected(_) | Self::ForeignClaims | Self::Proof(_) => {
                true
            }
            Self::Purpose | Self::Revoked(_) | Self::SessionOver | Self::SignIn => false,
        }
    }

    /// The stable code for the record.
    pub(in crate::pep) fn reason(self) -> &'static str {
        match self {
            Self::Missing => "no-token",
            Self::Malformed => "malformed-authorization",
            Self::Rejected(rejection) => rejection.reason(),
            Self::ForeignClaims => "foreign-claims",
            Self::Purpose => "purpose-not-allowed",
            Self::Revoked(revoked) => revoked.reason(),
            Self::SessionOver => "session-over",
            Self::SignIn => "insufficient-user-authentication",
            Self::Proof(cause) => cause.reason(),
        }
    }
}

impl From<CredentialsError> for NotAuthenticated {
    fn from(error: CredentialsError) -> Self {
        match error {
            CredentialsError::Missing => Self::Missing,
            CredentialsError::Malformed => Self::Malformed,
            CredentialsError::Proof(cause) => Self::Proof(cause),
        }
    }
}

impl From<NotPossessed> for NotAuthenticated {
    fn from(cause: NotPossessed) -> Self {
        match cause {
            NotPossessed::Rejected(rejection) => Self::Rejected(rejection),
            NotPossessed::Proof(cause) => Self::Proof(cause),
        }
    }
}
