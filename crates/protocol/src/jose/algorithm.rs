//! The signature algorithms that we speak. RFC 7518 section 3.1, RFC 8037 section 3.1.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::jwk::{Curve, PublicKey};

/// A signature algorithm. There is no `none`, and none that shares a secret: RFC 8725 section 3.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384. SMART App Launch 2.2 asks for it.
    RS384,
    /// RSASSA-PSS with SHA-256. FAPI 2.0 asks for it.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384. SMART App Launch 2.2 asks for it.
    ES384,
    /// EdDSA on Ed25519; never Ed448.
    EdDSA,
}

impl Algorithm {
    /// Every algorithm that we speak.
    pub const ALL: [Self; 7] =
        [Self::RS256, Self::RS384, Self::PS256, Self::PS384, Self::ES256, Self::ES384, Self::EdDSA];

    /// Those that tokens of ours are signed with.
    pub const SIGNING: [Self; 5] = [Self::RS256, Self::PS256, Self::ES256, Self::ES384, Self::EdDSA];

    /// The registered name, as `alg` has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }

    /// The algorithms that a key of this type and curve can be used with.
    pub(super) fn of(key: &PublicKey) -> &'static [Self] {
        match key {
            PublicKey::Rsa { .. } => &[Self::RS256, Self::RS384, Self::PS256, Self::PS384],
            PublicKey::Ec { curve: Curve::P256, .. } => &[Self::ES256],
            PublicKey::Ec { curve: Curve::P384, .. } => &[Self::ES384],
            PublicKey::Ed25519 { .. } => &[Self::EdDSA],
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name is of no algorithm that we speak.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an algorithm that is offered")]
pub struct UnknownAlgorithm;

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    /// Compares exactly: RFC 7515 section 4.1.1.
    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name).ok_or(UnknownAlgorithm)
    }
}

impl Serialize for Algorithm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Algorithm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
