//! What tokens are bound to, and what follows them. RFC 9449 sections 5, 6 and 10, RFC 8705 section 3; ATTACKS O12.

use chartgate_protocol::jose::claims::Confirmation;
use chartgate_protocol::jose::{Algorithm, Thumbprint};

use crate::client::{BoundTokens, Client, ClientKind};

/// What the sender of a request proved to have.
#[derive(Clone, Copy, Debug, Default)]
pub struct Possession<'a> {
    /// The key of a DPoP proof.
    pub key: Option<&'a Thumbprint>,
    /// What that proof is signed with.
    pub algorithm: Option<Algorithm>,
    /// The certificate of its connection.
    pub certificate: Option<&'a Thumbprint>,
}

/// Why no token is issued: the registration asks for more than was proved.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotBound {
    /// RFC 9449 section 5.2.
    #[error("the client has to prove a key by DPoP")]
    Key,
    /// RFC 8705 section 3.4.
    #[error("the client has to show a certificate")]
    Certificate,
    /// FAPI 2.0 section 5.4.1.
    #[error("the client's proofs may not be signed with this algorithm")]
    Algorithm,
}

/// By whom tokens are asked for that follow others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Heir {
    /// By whoever had the others, of whom nothing else is known: the very key.
    Itself,
    /// By somebody who proves who they are in another way: some key.
    Another,
}

/// A bound token would be followed by one that is not, or by one of another key. ATTACKS O12.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("what the token before was bound to was not proved")]
pub struct BindingLost;

impl Client {
    /// What a token for this client is bound to.
    ///
    /// # Errors
    /// [`NotBound`].
    pub fn bind(&self, proved: Possession<'_>) -> Result<Option<Confirmation>, NotBound> {
        let rules = self.rules();
        if proved.algorithm.is_some_and(|algorithm| !rules.algorithms.contains(&algorithm)) {
            return Err(NotBound::Algorithm);
        }
        if self.options.dpop_bound_access_tokens == BoundTokens::Required && proved.key.is_none() {
            return Err(NotBound::Key);
        }
        let certificate = match self.options.tls_client_certificate_bound_access_tokens {
            BoundTokens::Required => Some(proved.certificate.ok_or(NotBound::Certificate)?),
            BoundTokens::Optional => None,
        };
        let cnf = Confirmation::to(proved.key, certificate);
        match rules.tokens {
            BoundTokens::Required if cnf.is_none() => Err(NotBound::Key),
            BoundTokens::Required | BoundTokens::Optional => Ok(cnf),
        }
    }

    /// Whose heir it is by a refresh token of its own. RFC 9449 section 5: what a public client has is bound to its key;
    /// one that proves who it is may take a new key.
    #[must_use]
    pub fn heir(&self) -> Heir {
        match self.kind {
            ClientKind::Public => Heir::Itself,
            ClientKind::Confidential | ClientKind::Backend => Heir::Another,
        }
    }
}

/// Whether a token that is bound to `now` may follow one that was bound to `before`.
///
/// # Errors
/// [`BindingLost`].
pub fn inherits(
    before: Option<&Confirmation>,
    now: Option<&Confirmation>,
    heir: Heir,
) -> Result<(), BindingLost> {
    match (before, now, heir) {
        (None, _, _) | (Some(_), Some(_), Heir::Another) => Ok(()),
        (Some(before), Some(now), Heir::Itself) if now.covers(before) => Ok(()),
        (Some(_), _, _) => Err(BindingLost),
    }
}
