//! What a registration calls by registered names. RFC 7591 section 2, OpenID Connect Registration section 2.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::jose::{ContentEncryption, KeyManagement};
use crate::oauth::token::{DEVICE_CODE, JWT_BEARER};
use crate::oauth::token_exchange::TOKEN_EXCHANGE;
use crate::oidc::ciba::CIBA;

/// How a client shows who it is at the token endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum AuthMethod {
    /// It does not.
    None,
    /// RFC 6749 section 2.3.1, in the header.
    ClientSecretBasic,
    /// RFC 6749 section 2.3.1, in the body.
    ClientSecretPost,
    /// RFC 7523 section 2.2.
    PrivateKeyJwt,
    /// RFC 8705 section 2.1.
    TlsClientAuth,
    /// RFC 8705 section 2.2.
    SelfSignedTlsClientAuth,
}

/// A grant by its registered name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum GrantType {
    /// RFC 6749 section 4.1.
    AuthorizationCode,
    /// RFC 6749 section 6.
    RefreshToken,
    /// RFC 6749 section 4.4.
    ClientCredentials,
    /// RFC 8628.
    DeviceCode,
    /// RFC 8693.
    TokenExchange,
    /// RFC 7523 section 2.1.
    JwtBearer,
    /// CIBA Core section 4.
    Ciba,
}

/// The name is none of a closed list.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{name}` is not one of {}", known.join(", "))]
pub struct UnknownName {
    name: String,
    known: Vec<&'static str>,
}

macro_rules! names {
    ($type:ident, $($variant:ident = $name:expr),+ $(,)?) => {
        impl $type {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The registered name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                let known = || Self::ALL.iter().map(|one| one.name()).collect();
                let found = Self::ALL.iter().copied().find(|one| one.name() == text);
                found.ok_or_else(|| UnknownName { name: text.to_owned(), known: known() })
            }
        }

        impl TryFrom<String> for $type {
            type Error = UnknownName;

            fn try_from(text: String) -> Result<Self, UnknownName> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.name().to_owned()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

names!(
    AuthMethod,
    None = "none",
    ClientSecretBasic = "client_secret_basic",
    ClientSecretPost = "client_secret_post",
    PrivateKeyJwt = "private_key_jwt",
    TlsClientAuth = "tls_client_auth",
    SelfSignedTlsClientAuth = "self_signed_tls_client_auth",
);
names!(
    GrantType,
    AuthorizationCode = "authorization_code",
    RefreshToken = "refresh_token",
    ClientCredentials = "client_credentials",
    DeviceCode = DEVICE_CODE,
    TokenExchange = TOKEN_EXCHANGE,
    JwtBearer = JWT_BEARER,
    Ciba = CIBA,
);

impl AuthMethod {
    /// Whether the client keeps a secret that we know the digest of.
    #[must_use]
    pub const fn uses_secret(self) -> bool {
        match self {
            Self::ClientSecretBasic | Self::ClientSecretPost => true,
            Self::None | Self::PrivateKeyJwt | Self::TlsClientAuth | Self::SelfSignedTlsClientAuth => false,
        }
    }
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

    #[test]
    fn grants_and_methods_are_stored_by_their_registered_names() {
        for grant in GrantType::ALL {
            let text = serde_json::to_string(grant).unwrap();
            assert_eq!(text, format!("\"{grant}\""));
            assert_eq!(serde_json::from_str::<GrantType>(&text).unwrap(), *grant);
        }
        for method in AuthMethod::ALL {
            assert_eq!(method.name().parse::<AuthMethod>().unwrap(), *method);
        }
        let error = "password".parse::<GrantType>().unwrap_err().to_string();
        assert!(error.contains("`password`") && error.contains("authorization_code"), "{error}");
        assert!("client_secret_jwt".parse::<AuthMethod>().is_err());
    }
}
