//! How the key of a content comes to its reader. RFC 7518 section 4.

use std::fmt;

use super::content::ContentEncryption;

/// How the key of a content comes to its reader.
///
/// There is no RSA1_5 (padding oracles), no PBES2 (whoever writes the token says how long the reader works),
/// no RSA-OAEP with SHA-1, and no AES-GCM key wrap.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum KeyManagement {
    /// Agreed on by ECDH: section 4.6.
    EcdhEs,
    /// Wrapped under a key that was agreed on by ECDH: section 4.6.
    EcdhEsA256Kw,
    /// Encrypted by RSAES-OAEP with SHA-256: section 4.3.
    RsaOaep256,
    /// Wrapped under a key of 256 bits that both sides have: section 4.4.
    A256Kw,
    /// The one that both sides have: section 4.5. For one encryption alone, so that no two ciphers share it, and
    /// for no more than 2^32 contents, since their vectors are drawn at random: NIST SP 800-38D section 8.3.
    Direct(ContentEncryption),
}

impl KeyManagement {
    /// Those by which whoever has a public key can encrypt.
    pub const PUBLIC: [Self; 3] = [Self::EcdhEs, Self::EcdhEsA256Kw, Self::RsaOaep256];

    /// Every one that we speak.
    pub const ALL: [Self; 8] = [
        Self::EcdhEs,
        Self::EcdhEsA256Kw,
        Self::RsaOaep256,
        Self::A256Kw,
        Self::Direct(ContentEncryption::A128Gcm),
        Self::Direct(ContentEncryption::A256Gcm),
        Self::Direct(ContentEncryption::A128CbcHs256),
        Self::Direct(ContentEncryption::A256CbcHs512),
    ];

    /// The registered name, as the `alg` of a token has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EcdhEs => "ECDH-ES",
            Self::EcdhEsA256Kw => "ECDH-ES+A256KW",
            Self::RsaOaep256 => "RSA-OAEP-256",
            Self::A256Kw => "A256KW",
            Self::Direct(_) => "dir",
        }
    }

    /// The registered name as the `alg` of a key has it: a key that encrypts content is for that encryption.
    #[must_use]
    pub fn key_name(self) -> &'static str {
        match self {
            Self::EcdhEs | Self::EcdhEsA256Kw | Self::RsaOaep256 | Self::A256Kw => self.name(),
            Self::Direct(content) => content.name(),
        }
    }

    /// The one that `alg` and `enc` of a token name together. Compares exactly: RFC 7516 section 4.1.1.
    #[must_use]
    pub fn named(alg: &str, enc: ContentEncryption) -> Option<Self> {
        let fits = |own: &Self| own.name() == alg && own.serves(enc);
        Self::ALL.into_iter().find(fits)
    }

    /// Whether a content can be encrypted so.
    pub(super) fn serves(self, content: ContentEncryption) -> bool {
        match self {
            Self::EcdhEs | Self::EcdhEsA256Kw | Self::RsaOaep256 | Self::A256Kw => true,
            Self::Direct(own) => own == content,
        }
    }
}

impl fmt::Display for KeyManagement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
