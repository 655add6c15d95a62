//! How answers to a client are signed and encrypted. OpenID Connect Registration section 2, RFC 9701 section 6.

use chartgate_protocol::jose::Algorithm;
pub use chartgate_protocol::oauth::client_metadata::Encryption;
use serde::{Deserialize, Serialize};

/// What a registration says of answers; by default nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResponseOptions {
    /// How ID tokens are encrypted, once they are signed.
    pub id_token_encrypted_response: Option<Encryption>,
    /// What answers of userinfo are signed with: then they are JWTs.
    pub userinfo_signed_response_alg: Option<Algorithm>,
    /// How they are encrypted, once they are signed.
    pub userinfo_encrypted_response: Option<Encryption>,
    /// What answers of introspection are signed with, where the client asks for a JWT.
    pub introspection_signed_response_alg: Option<Algorithm>,
    /// How they are encrypted, once they are signed.
    pub introspection_encrypted_response: Option<Encryption>,
}

impl ResponseOptions {
    /// Algorithms that somebody has to sign with.
    pub fn signing_algorithms(&self) -> impl Iterator<Item = Algorithm> {
        [self.userinfo_signed_response_alg, self.introspection_signed_response_alg].into_iter().flatten()
    }

    /// Encryptions that the client has to have a key for.
    pub fn encryptions(&self) -> impl Iterator<Item = Encryption> {
        [
            self.id_token_encrypted_response,
            self.userinfo_encrypted_response,
            self.introspection_encrypted_response,
        ]
        .into_iter()
        .flatten()
    }
}
