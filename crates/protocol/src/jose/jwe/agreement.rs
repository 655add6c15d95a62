//! Keys that are agreed on. RFC 7518 section 4.6, NIST SP 800-56A section 5.8.1.

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ParsedPublicKey, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::kdf::{SskdfDigestAlgorithmId, get_sskdf_digest_algorithm, sskdf_digest};
use zeroize::Zeroizing;

use super::content::ContentEncryption;
use super::error::JweError;
use super::management::KeyManagement;
use crate::base64url;
use crate::jose::jwk::{Curve, PublicKey};
use crate::jose::jws::MAX_JSON_DEPTH;
use crate::jose::verifying_key::point;
use crate::json::Object;

/// The sender's side of an agreement, as the header has it.
#[derive(Clone, Debug)]
pub(super) struct SenderSide {
    /// `epk`, on whatever curve it says.
    ephemeral: ParsedPublicKey,
    /// `apu`, empty if it is not there.
    apu: Vec<u8>,
    /// `apv`, empty if it is not there.
    apv: Vec<u8>,
}

/// What the agreed key is for. It is part of the derivation, so that no key serves twice.
#[derive(Clone, Copy)]
pub(super) struct Purpose<'a> {
    algorithm: &'static str,
    key_bytes: usize,
    apu: &'a [u8],
    apv: &'a [u8],
}

impl SenderSide {
    /// Reads `epk`, `apu` and `apv`.
    pub(super) fn read(header: &Object<'_>) -> Result<Self, JweError> {
        let epk = header.get("epk").ok_or(JweError::MalformedHeader)?;
        let epk = Object::parse(epk.as_bytes(), MAX_JSON_DEPTH)?;
        // RFC 7518 section 4.6.1.1: public members alone.
        if epk.get("d").is_some() {
            return Err(JweError::MalformedHeader);
        }
        let ephemeral = match PublicKey::read(&epk) {
            Ok(PublicKey::Ec { curve, x, y }) => parse(curve, &x, &y),
            Ok(PublicKey::Rsa { .. } | PublicKey::Ed25519 { .. }) | Err(_) => None,
        };
        let ephemeral = ephemeral.ok_or(JweError::MalformedHeader)?;
        let party = |name| match header.string(name) {
            Ok(Some(text)) => base64url::decode(&text).map_err(|_| JweError::MalformedHeader),
            Ok(None) => Ok(Vec::new()),
            Err(_) => Err(JweError::MalformedHeader),
        };
        Ok(Self { ephemeral, apu: party("apu")?, apv: party("apv")? })
    }

    /// Agrees with the sender on a key for this purpose, if both are of one curve.
    pub(super) fn agree(
        &self,
        private: &PrivateKey,
        management: KeyManagement,
        content: ContentEncryption,
    ) -> Option<Zeroizing<Vec<u8>>> {
        agree(private, &self.ephemeral, Purpose::of(management, content, &self.apu, &self.apv)?)
    }
}

impl<'a> Purpose<'a> {
    /// Section 4.6.2: the content itself, or the wrapping of its key.
    pub(super) fn of(
        management: KeyManagement,
        content: ContentEncryption,
        apu: &'a [u8],
        apv: &'a [u8],
    ) -> Option<Self> {
        let (algorithm, key_bytes) = match management {
            KeyManagement::EcdhEs => (content.name(), content.key_bytes()),
            KeyManagement::EcdhEsA256Kw => (management.name(), 32),
            KeyManagement::RsaOaep256 | KeyManagement::A256Kw | KeyManagement::Direct(_) => return None,
        };
        Some(Self { algorithm, key_bytes, apu, apv })
    }

    /// `OtherInfo` of section 4.6.2: `AlgorithmID`, `PartyUInfo`, `PartyVInfo`, `SuppPubInfo`.
    fn other_info(self) -> Option<Vec<u8>> {
        let mut info = Vec::new();
        for part in [self.algorithm.as_bytes(), self.apu, self.apv] {
            info.extend(u32::try_from(part.len()).ok()?.to_be_bytes());
            info.extend(part);
        }
        info.extend(u32::try_from(self.key_bytes.checked_mul(8)?).ok()?.to_be_bytes());
        Some(info)
    }
}

/// A key for one agreement, and its public half. The library draws it.
pub(super) fn ephemeral(curve: Curve) -> Option<(PrivateKey, PublicKey)> {
    let private = PrivateKey::generate(curve_of(curve)).ok()?;
    let public = public_key(&private, curve)?;
    Some((private, public))
}

/// The public half of a private key on this curve.
pub(super) fn public_key(private: &PrivateKey, curve: Curve) -> Option<PublicKey> {
    let public = private.compute_public_key().ok()?;
    let (x, y) = public.as_ref().strip_prefix(&[4])?.split_at_checked(curve.field_bytes())?;
    Some(PublicKey::Ec { curve, x: x.to_vec(), y: y.to_vec() })
}

/// A point that lies on its curve. With one that does not, an agreement would give the private key away: RFC
/// 8725 section 3.4. These curves have no small subgroups, and a point in this form is not the one at infinity.
pub(super) fn parse(curve: Curve, x: &[u8], y: &[u8]) -> Option<ParsedPublicKey> {
    UnparsedPublicKey::new(curve_of(curve), point(x, y)).try_into().ok()
}

/// Agrees on a key, if both are of one curve.
pub(super) fn agree(
    private: &PrivateKey,
    peer: &ParsedPublicKey,
    purpose: Purpose<'_>,
) -> Option<Zeroizing<Vec<u8>>> {
    let info = purpose.other_info()?;
    let digest = get_sskdf_digest_algorithm(SskdfDigestAlgorithmId::Sha256)?;
    let mut key = Zeroizing::new(vec![0; purpose.key_bytes]);
    agreement::agree(private, peer.clone(), (), |secret| {
        sskdf_digest(digest, secret, &info, &mut key).map_err(|_| ())
    })
    .ok()?;
    Some(key)
}

/// The curve as the library knows it.
pub(super) fn curve_of(curve: Curve) -> &'static agreement::Algorithm {
    match curve {
        Curve::P256 => &ECDH_P256,
        Curve::P384 => &ECDH_P384,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7518 appendix C.
    #[test]
    fn the_key_of_the_rfc_is_agreed_on_by_both_sides() {
        let private =
            |d: &str| PrivateKey::from_private_key(&ECDH_P256, &base64url::decode(d).unwrap()).unwrap();
        let alice = private("0_NxaRPUMQoAJt50Gz8YiTr8gRTwyEaCumd-MToTmIo");
        let bob = private("VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw");
        let purpose =
            Purpose::of(KeyManagement::EcdhEs, ContentEncryption::A128Gcm, b"Alice", b"Bob").unwrap();
        let parsed = |own: &PrivateKey| match public_key(own, Curve::P256) {
            Some(PublicKey::Ec { curve, x, y }) => parse(curve, &x, &y).unwrap(),
            other => panic!("{other:?}"),
        };
        for (own, other) in [(&alice, &bob), (&bob, &alice)] {
            let key = agree(own, &parsed(other), purpose).unwrap();
            assert_eq!(base64url::encode(&key), "VqqN6vgjbSBcIijNcacQGg");
        }
        let other = Purpose { apv: b"Bo", ..purpose };
        let key = agree(&alice, &parsed(&bob), other).unwrap();
        assert_ne!(base64url::encode(&key), "VqqN6vgjbSBcIijNcacQGg");
    }

    #[test]
    fn what_is_no_point_of_the_curve_is_no_key() {
        for curve in [Curve::P256, Curve::P384] {
            let (_, PublicKey::Ec { x, y, .. }) = ephemeral(curve).unwrap() else { panic!() };
            assert!(parse(curve, &x, &y).is_some());
            let mut beside = y.clone();
            beside[0] ^= 1;
            let (zero, most) = (vec![0; x.len()], vec![0xff; x.len()]);
            for (x, y) in
                [(&x, &beside), (&y, &x), (&zero, &zero), (&most, &most), (&x, &Vec::new()), (&x, &vec![0])]
            {
                assert!(parse(curve, x, y).is_none(), "{x:?} {y:?}");
            }
        }
    }
}
