//! How answers to a client are signed and encrypted. OpenID Connect Registration section 2, RFC 9701 section 6.

use chartgate_protocol::jose::{Algorithm, ContentEncryption, KeyManagement};
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

/// How something is encrypted to a client's key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Names", into = "Names")]
pub struct Encryption {
    /// How the key of the content comes to the client.
    pub management: KeyManagement,
    /// How the content is encrypted.
    pub content: ContentEncryption,
}

/// The names are of no encryption that a published key serves.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "has to be ECDH-ES, ECDH-ES+A256KW or RSA-OAEP-256, with A128CBC-HS256, A256CBC-HS512, A128GCM or A256GCM"
)]
pub struct UnknownEncryption;

/// The registered names.
#[derive(Serialize, Deserialize)]
struct Names {
    alg: String,
    enc: String,
}

impl Encryption {
    /// The encryption of these names. Without `enc` it is A128CBC-HS256: OpenID Connect Registration section 2.
    ///
    /// # Errors
    /// [`UnknownEncryption`].
    pub fn named(alg: &str, enc: Option<&str>) -> Result<Self, UnknownEncryption> {
        let enc = enc.unwrap_or(ContentEncryption::A128CbcHs256.name());
        let content = ContentEncryption::ALL.into_iter().find(|content| content.name() == enc);
        let management = KeyManagement::PUBLIC.into_iter().find(|management| management.name() == alg);
        match (management, content) {
            (Some(management), Some(content)) => Ok(Self { management, content }),
            (Some(_) | None, _) => Err(UnknownEncryption),
        }
    }
}

impl TryFrom<Names> for Encryption {
    type Error = UnknownEncryption;

    fn try_from(names: Names) -> Result<Self, UnknownEncryption> {
        Self::named(&names.alg, Some(&names.enc))
    }
}

impl From<Encryption> for Names {
    fn from(encryption: Encryption) -> Self {
        Self { alg: encryption.management.name().to_owned(), enc: encryption.content.name().to_owned() }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encryption_has_two_names_and_is_stored_by_them() {
        let one = Encryption::named("RSA-OAEP-256", None).unwrap();
        assert_eq!(one.content, ContentEncryption::A128CbcHs256);
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(text, r#"{"alg":"RSA-OAEP-256","enc":"A128CBC-HS256"}"#);
        assert_eq!(serde_json::from_str::<Encryption>(&text).unwrap(), one);
        for (alg, enc) in
            [("dir", "A128GCM"), ("A256KW", "A128GCM"), ("RSA1_5", "A128GCM"), ("ECDH-ES", "none")]
        {
            assert_eq!(Encryption::named(alg, Some(enc)), Err(UnknownEncryption), "{alg} {enc}");
        }
    }
}
