//! A maker of authenticators, for tests: it attests what it is told to. Web Authentication Level 3 section 8.2.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// `id-fido-gen-ce-aaguid`.
const MODEL: [u64; 10] = [1, 3, 6, 1, 4, 1, 45724, 1, 1, 4];

/// Who vouches for authenticators.
#[derive(Debug)]
pub struct Maker(CertifiedIssuer<'static, KeyPair>);

/// What an authenticator says of itself when it makes a passkey.
#[derive(Debug, Default)]
pub enum Statement {
    /// Nothing.
    #[default]
    None,
    /// Its own word: signed by the passkey.
    Own,
    /// Its maker's.
    Makers(Attestation),
    /// Something in this format, of at most 23 letters, that proves nothing.
    Other(&'static str),
}

/// The key of some authenticators of one model, and the certificate for it.
#[derive(Debug)]
pub struct Attestation {
    key: EcdsaKeyPair,
    certificate: Vec<u8>,
}

#[expect(clippy::missing_panics_doc, clippy::unwrap_used, reason = "for tests")]
impl Maker {
    /// One that is called this.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate, in PEM.
    #[must_use]
    pub fn root(&self) -> String {
        self.0.pem()
    }

    /// A key for authenticators of a model, until the end of a year.
    #[must_use]
    pub fn attests(&self, model: [u8; 16], until: i32) -> Attestation {
        let mut params = CertificateParams::default();
        for (kind, text) in [
            (DnType::CountryName, "US"),
            (DnType::OrganizationName, "Keys of tests"),
            (DnType::OrganizationalUnitName, "Authenticator Attestation"),
            (DnType::CommonName, "Batch 1"),
        ] {
            params.distinguished_name.push(kind, text);
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.not_after = date_time_ymd(until, 12, 31);
        let written = [[0x04, 0x10].as_slice(), &model].concat();
        params.custom_extensions.push(CustomExtension::from_oid_content(&MODEL, written));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().der().to_vec();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key.serialize_der()).unwrap();
        Attestation { key, certificate }
    }
}

#[expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "for tests; ECDSA draws its own randomness"
)]
impl Statement {
    /// The format and the statement, in CBOR, over this; `own` is the passkey.
    pub(super) fn written(&self, signed: &[u8], own: &EcdsaKeyPair) -> Vec<u8> {
        let (signer, chain) = match self {
            Self::None => return b"\x63fmt\x64none\x67attStmt\xa0".to_vec(),
            Self::Other(format) => {
                let length = 0x60 | u8::try_from(format.len()).unwrap();
                let format = [&[length], format.as_bytes()].concat();
                return [b"\x63fmt", format.as_slice(), b"\x67attStmt\xa1\x63ver\x632.0"].concat();
            }
            Self::Own => (own, None),
            Self::Makers(attestation) => (&attestation.key, Some(&attestation.certificate)),
        };
        let signature = signer.sign(&SystemRandom::new(), signed).unwrap();
        let members = if chain.is_some() { 0xa3 } else { 0xa2 };
        let mut text = b"\x63fmt\x66packed\x67attStmt".to_vec();
        text.push(members);
        text.extend_from_slice(b"\x63alg\x26\x63sig");
        text.extend_from_slice(&bytes(signature.as_ref()));
        if let Some(certificate) = chain {
            text.extend_from_slice(b"\x63x5c\x81");
            text.extend_from_slice(&bytes(certificate));
        }
        text
    }
}

/// RFC 8949 section 3.1: a string of bytes, with its length in two.
#[expect(clippy::unwrap_used, reason = "for tests")]
pub(super) fn bytes(text: &[u8]) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    [[0x59].as_slice(), &length, text].concat()
}
