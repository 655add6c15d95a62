//! Public keys as authenticators write them. RFC 9052 section 7, RFC 9053 sections 2 and 7, RFC 8230 section 4; in the one
//! form that Web Authentication Level 3 section 6.5.1.1 allows: no other members, in CTAP2's canonical CBOR.
//!
//! As there is one form for each kind of key, a key is read by comparing with it, and there is nothing else of CBOR here.

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};

/// A public key with the one algorithm that it is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CoseKey {
    /// ES256: ECDSA on P-256 with SHA-256.
    Es256 {
        /// Big-endian.
        x: [u8; 32],
        /// Big-endian.
        y: [u8; 32],
    },
    /// ES384: ECDSA on P-384 with SHA-384.
    Es384 {
        /// Big-endian.
        x: [u8; 48],
        /// Big-endian.
        y: [u8; 48],
    },
    /// EdDSA on Ed25519.
    Ed25519 {
        /// As RFC 8032 has it.
        x: [u8; 32],
    },
    /// RS256: RSASSA-PKCS1-v1_5 with SHA-256, of 2048 bits, as platforms make them.
    Rs256 {
        /// Big-endian.
        n: Box<[u8; 256]>,
        /// Big-endian.
        e: [u8; 3],
    },
}

/// The bytes are no key of a kind that is offered, in the one form that it has.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a COSE key of a kind that is offered")]
pub struct NotACoseKey;

/// The signature is not this key's over this message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not signed by this key")]
pub(super) struct NotSigned;

/// `{1: 2, 3: -7, -1: 1, -2: h'…32…', -3: h'…32…'}` up to x, and from there to y.
const ES256: [&[u8]; 2] = [&[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32], &[0x22, 0x58, 32]];
/// `{1: 2, 3: -35, -1: 2, -2: h'…48…', -3: h'…48…'}`.
const ES384: [&[u8]; 2] = [&[0xa5, 1, 2, 3, 0x38, 0x22, 0x20, 2, 0x21, 0x58, 48], &[0x22, 0x58, 48]];
/// `{1: 1, 3: -8, -1: 6, -2: h'…32…'}`.
const ED25519_KEY: &[u8] = &[0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 32];
/// `{1: 3, 3: -257, -1: h'…256…', -2: h'…3…'}`.
const RS256: [&[u8]; 2] = [&[0xa4, 1, 3, 3, 0x39, 1, 0, 0x20, 0x59, 1, 0], &[0x21, 0x43]];

impl CoseKey {
    /// Reads a key. Whether its numbers are a key shows when something is verified by it.
    ///
    /// # Errors
    /// [`NotACoseKey`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotACoseKey> {
        if let Some((x, y)) = pair::<32, 32>(bytes, ES256) {
            return Ok(Self::Es256 { x, y });
        }
        if let Some((x, y)) = pair::<48, 48>(bytes, ES384) {
            return Ok(Self::Es384 { x, y });
        }
        if let Some(x) = bytes.strip_prefix(ED25519_KEY).and_then(|x| x.try_into().ok()) {
            return Ok(Self::Ed25519 { x });
        }
        match pair::<256, 3>(bytes, RS256) {
            // RFC 8230 section 4: no zeros before the numbers; and really 2048 bits.
            Some((n, e)) if n.first() >= Some(&0x80) && e.first() > Some(&0) => {
                Ok(Self::Rs256 { n: Box::new(n), e })
            }
            Some(_) | None => Err(NotACoseKey),
        }
    }

    /// The one form of it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Es256 { x, y } => written(ES256, x, y),
            Self::Es384 { x, y } => written(ES384, x, y),
            Self::Ed25519 { x } => [ED25519_KEY, x].concat(),
            Self::Rs256 { n, e } => written(RS256, n.as_slice(), e),
        }
    }

    /// Verifies a signature, as section 6.5.5 has signatures: ECDSA in DER.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), NotSigned> {
        let verified = match self {
            Self::Es256 { x, y } => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, [&[4], x.as_slice(), y].concat())
                    .verify(message, signature)
            }
            Self::Es384 { x, y } => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, [&[4], x.as_slice(), y].concat())
                    .verify(message, signature)
            }
            Self::Ed25519 { x } => UnparsedPublicKey::new(&ED25519, x).verify(message, signature),
            Self::Rs256 { n, e } => PublicKeyComponents { n: n.as_slice(), e: e.as_slice() }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
        };
        verified.map_err(|_| NotSigned)
    }
}

fn pair<const A: usize, const B: usize>(bytes: &[u8], form: [&[u8]; 2]) -> Option<([u8; A], [u8; B])> {
    let [before, between] = form;
    let (first, rest) = bytes.strip_prefix(before)?.split_first_chunk::<A>()?;
    Some((*first, rest.strip_prefix(between)?.try_into().ok()?))
}

fn written(form: [&[u8]; 2], first: &[u8], second: &[u8]) -> Vec<u8> {
    let [before, between] = form;
    [before, first, between, second].concat()
}
