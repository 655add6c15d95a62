//! Public keys as JSON. RFC 7517, RFC 7518 section 6, RFC 7638, RFC 8037 section 2.

use std::borrow::Cow;

use aws_lc_rs::digest;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::base64url;
use crate::json::{JsonError, Object};

/// A public key with what its owner says of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Jwk {
    /// The key itself.
    pub key: PublicKey,
    /// `kid`: its name.
    pub kid: Option<String>,
    /// `alg`: the one algorithm it is for.
    pub algorithm: Option<String>,
    /// `use`: `sig` or `enc`.
    pub usage: Option<String>,
    /// `key_ops`: what may be done with it.
    pub operations: Option<Vec<String>>,
}

/// The numbers of a public key, in the lengths that RFC 7518 section 6 demands. Whether they are good numbers
/// is for [`VerifyingKey`](super::VerifyingKey) to say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PublicKey {
    /// `kty` RSA. Big-endian without leading zeros.
    Rsa {
        /// `n`.
        modulus: Vec<u8>,
        /// `e`.
        exponent: Vec<u8>,
    },
    /// `kty` EC. Coordinates as long as the field.
    Ec {
        /// `crv`.
        curve: Curve,
        /// `x`.
        x: Vec<u8>,
        /// `y`.
        y: Vec<u8>,
    },
    /// `kty` OKP, `crv` Ed25519.
    Ed25519 {
        /// `x`.
        x: [u8; 32],
    },
}

/// A curve with coordinates x and y.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
}

/// Why a JSON text is no public key of a type that we know.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JwkError {
    /// RFC 7517 section 4: a JSON object.
    #[error("key is {0}")]
    Json(#[from] JsonError),
    /// RFC 7518 section 6: a member that this type of key has to have.
    #[error("key has no `{0}`")]
    Missing(&'static str),
    /// RFC 7517 section 4, RFC 7518 section 6: a member is of the wrong type, length or alphabet.
    #[error("key has a malformed `{0}`")]
    Malformed(&'static str),
    /// RFC 7517 section 5: keys of a `kty` that is not understood are ignored.
    #[error("key type is not known")]
    UnknownKeyType,
    /// RFC 7518 section 6.2.1.1, RFC 8037 section 2: a `crv` that is not offered.
    #[error("curve is not offered")]
    UnknownCurve,
    /// RFC 7517 section 9.2: a private key that was published is nobody's any more.
    #[error("private key where a public one belongs")]
    Private,
}

impl Jwk {
    /// Reads a public key.
    ///
    /// # Errors
    /// [`JwkError`], by the first thing that is wrong.
    pub fn parse(text: &[u8]) -> Result<Self, JwkError> {
        Self::read(&Object::parse(text, MAX_DEPTH)?)
    }

    pub(super) fn read(object: &Object<'_>) -> Result<Self, JwkError> {
        let key = PublicKey::read(object)?;
        if object.get("d").is_some() {
            return Err(JwkError::Private);
        }
        let owned = |name| Ok::<_, JwkError>(text(object, name)?.map(Cow::into_owned));
        Ok(Self {
            key,
            kid: owned("kid")?,
            algorithm: owned("alg")?,
            usage: owned("use")?,
            operations: object.read("key_ops").map_err(|_| JwkError::Malformed("key_ops"))?,
        })
    }

    /// The SHA-256 thumbprint, in base64url: RFC 7638 section 3.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let encode = base64url::encode;
        let canonical = match &self.key {
            PublicKey::Rsa { modulus, exponent } => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, encode(exponent), encode(modulus))
            }
            PublicKey::Ec { curve, x, y } => {
                format!(r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#, curve.name(), encode(x), encode(y))
            }
            PublicKey::Ed25519 { x } => {
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encode(x))
            }
        };
        encode(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref())
    }
}

impl PublicKey {
    pub(super) fn read(object: &Object<'_>) -> Result<Self, JwkError> {
        match required_text(object, "kty")?.as_ref() {
            "RSA" => Ok(Self::Rsa {
                modulus: required_integer(object, "n")?,
                exponent: required_integer(object, "e")?,
            }),
            "EC" => {
                let curve = match required_text(object, "crv")?.as_ref() {
                    "P-256" => Curve::P256,
                    "P-384" => Curve::P384,
                    _ => return Err(JwkError::UnknownCurve),
                };
                let coordinate = |name| match required_bytes(object, name)? {
                    bytes if bytes.len() == curve.field_bytes() => Ok(bytes),
                    _ => Err(JwkError::Malformed(name)),
                };
                Ok(Self::Ec { curve, x: coordinate("x")?, y: coordinate("y")? })
            }
            "OKP" => match required_text(object, "crv")?.as_ref() {
                "Ed25519" => {
                    let x = required_bytes(object, "x")?;
                    Ok(Self::Ed25519 { x: x.try_into().map_err(|_| JwkError::Malformed("x"))? })
                }
                _ => Err(JwkError::UnknownCurve),
            },
            _ => Err(JwkError::UnknownKeyType),
        }
    }
}

impl Curve {
    /// The registered name, as `crv` has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
        }
    }

    /// The length of a coordinate: RFC 7518 section 6.2.1.2.
    pub(super) fn field_bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }
}

fn text<'a>(object: &Object<'a>, name: &'static str) -> Result<Option<Cow<'a, str>>, JwkError> {
    object.string(name).map_err(|_| JwkError::Malformed(name))
}

pub(super) fn required_text<'a>(object: &Object<'a>, name: &'static str) -> Result<Cow<'a, str>, JwkError> {
    text(object, name)?.ok_or(JwkError::Missing(name))
}

pub(super) fn required_bytes(object: &Object<'_>, name: &'static str) -> Result<Vec<u8>, JwkError> {
    base64url::decode(&required_text(object, name)?).map_err(|_| JwkError::Malformed(name))
}

/// RFC 7518 section 2, Base64urlUInt: big-endian in as few bytes as will do.
fn required_integer(object: &Object<'_>, name: &'static str) -> Result<Vec<u8>, JwkError> {
    match required_bytes(object, name)? {
        bytes if bytes.first().is_some_and(|first| *first != 0) => Ok(bytes),
        _ => Err(JwkError::Malformed(name)),
    }
}

impl Serialize for Jwk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.serialize_members(&mut map)?;
        map.end()
    }
}

impl Jwk {
    pub(super) fn serialize_members<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        self.key.serialize_members(map)?;
        let own = [("use", &self.usage), ("alg", &self.algorithm), ("kid", &self.kid)];
        for (name, value) in own.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            map.serialize_entry(name, value)?;
        }
        match &self.operations {
            Some(operations) => map.serialize_entry("key_ops", operations),
            None => Ok(()),
        }
    }
}

impl PublicKey {
    fn serialize_members<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match self {
            Self::Rsa { modulus, exponent } => {
                map.serialize_entry("kty", "RSA")?;
                map.serialize_entry("n", &base64url::encode(modulus))?;
                map.serialize_entry("e", &base64url::encode(exponent))
            }
            Self::Ec { curve, x, y } => {
                map.serialize_entry("kty", "EC")?;
                map.serialize_entry("crv", curve.name())?;
                map.serialize_entry("x", &base64url::encode(x))?;
                map.serialize_entry("y", &base64url::encode(y))
            }
            Self::Ed25519 { x } => {
                map.serialize_entry("kty", "OKP")?;
                map.serialize_entry("crv", "Ed25519")?;
                map.serialize_entry("x", &base64url::encode(x))
            }
        }
    }
}

/// Deeper than any key or set of keys is.
pub(super) const MAX_DEPTH: usize = 32;
