//! A passkey in software, for tests: it makes and signs what browsers would bring, and says what it is told to say.

mod maker;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use chartgate_values::Entropy;
use serde_json::{Value, json};

pub use self::maker::{Attestation, Maker, Statement};
use super::CoseKey;
use crate::base64url;

/// User present and verified, on one device.
pub const DEVICE_BOUND: u8 = 0b0000_0101;
/// The same, on several.
pub const SYNCED: u8 = 0b0001_1101;

/// A passkey, with all that a test may want to be otherwise.
#[derive(Debug)]
pub struct SoftPasskey {
    key: EcdsaKeyPair,
    /// What it has made.
    kept: Vec<String>,
    /// What it calls itself.
    pub credential_id: Vec<u8>,
    /// Whom it was made for.
    pub user_handle: Option<Vec<u8>>,
    /// Where its browser is.
    pub origin: String,
    /// Flags of authenticator data.
    pub flags: u8,
    /// Its model: of zeros, it does not say.
    pub model: [u8; 16],
    /// What it says of itself when it makes a passkey.
    pub statement: Statement,
    /// What it counts to next.
    pub sign_count: u32,
    /// In place of `webauthn.create` and `webauthn.get`.
    pub kind: Option<&'static str>,
    /// In place of the one that it is asked for.
    pub challenge: Option<String>,
    /// In place of the one that it is asked for.
    pub rp_id: Option<String>,
}

#[expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "for tests; ECDSA draws its own randomness"
)]
impl SoftPasskey {
    /// A new one in a browser at this origin.
    #[must_use]
    pub fn new(origin: &str, entropy: &mut dyn Entropy) -> Self {
        let id: [u8; 32] = entropy.bytes();
        Self {
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
            kept: Vec::new(),
            credential_id: id.to_vec(),
            user_handle: None,
            origin: origin.to_owned(),
            flags: SYNCED,
            model: [0; 16],
            statement: Statement::None,
            sign_count: 0,
            kind: None,
            challenge: None,
            rp_id: None,
        }
    }

    /// Its public key.
    #[must_use]
    pub fn public_key(&self) -> CoseKey {
        let point = self.key.public_key().as_ref();
        let (x, y) = (point.get(1..33).unwrap(), point.get(33..65).unwrap());
        CoseKey::Es256 { x: x.try_into().unwrap(), y: y.try_into().unwrap() }
    }

    /// What `navigator.credentials.create()` brings for these options, as JSON. Where it has made one of those that are excluded it
    /// makes no other, and panics.
    pub fn create(&mut self, options: &str) -> String {
        let options: Value = serde_json::from_str(options).unwrap();
        let handle = options.pointer("/user/id").and_then(Value::as_str).unwrap();
        self.user_handle = Some(base64url::decode(handle).unwrap());
        let excluded = options.pointer("/excludeCredentials").and_then(Value::as_array);
        let is_kept = |one: &Value| self.kept.iter().any(|kept| one.get("id") == Some(&json!(kept)));
        assert!(!excluded.is_some_and(|all| all.iter().any(is_kept)), "InvalidStateError: it has one");
        let client_data = self.client_data("webauthn.create", &options);
        let rp_id = self.rp_id.clone();
        let rp_id = rp_id.as_deref().or(options.pointer("/rp/id").and_then(Value::as_str)).unwrap();
        // Attested credential data follows: the model, the id, the key.
        let mut data = self.said(rp_id, 1 << 6);
        data.extend_from_slice(&self.model);
        data.extend_from_slice(&u16::try_from(self.credential_id.len()).unwrap().to_be_bytes());
        data.extend_from_slice(&self.credential_id);
        data.extend_from_slice(&self.public_key().to_bytes());
        let signed = [&data, digest(&SHA256, client_data.as_bytes()).as_ref()].concat();
        let statement = self.statement.written(&signed, &self.key);
        let attestation = [b"\xa3".as_slice(), &statement, b"\x68authData", &maker::bytes(&data)].concat();
        let id = base64url::encode(&self.credential_id);
        self.kept.push(id.clone());
        json!({
            "id": id, "rawId": id, "type": "public-key", "clientExtensionResults": {},
            "authenticatorAttachment": "platform",
            "response": {
                "attestationObject": base64url::encode(&attestation),
                "clientDataJSON": base64url::encode(client_data.as_bytes()),
                "transports": ["internal", "hybrid"],
            },
        })
        .to_string()
    }

    /// What `navigator.credentials.get()` brings for these options, as JSON.
    pub fn get(&mut self, options: &str) -> String {
        let options: Value = serde_json::from_str(options).unwrap();
        let client_data = self.client_data("webauthn.get", &options);
        let rp_id = self.rp_id.clone();
        let rp_id = rp_id.as_deref().or(options.get("rpId").and_then(Value::as_str)).unwrap();
        let data = self.said(rp_id, 0);
        let mut message = data.clone();
        message.extend_from_slice(digest(&SHA256, client_data.as_bytes()).as_ref());
        let signature = self.key.sign(&SystemRandom::new(), &message).unwrap();
        let id = base64url::encode(&self.credential_id);
        json!({
            "id": id, "rawId": id, "type": "public-key", "clientExtensionResults": {},
            "response": {
                "authenticatorData": base64url::encode(&data),
                "clientDataJSON": base64url::encode(client_data.as_bytes()),
                "signature": base64url::encode(signature.as_ref()),
                "userHandle": self.user_handle.as_ref().map(|handle| base64url::encode(handle)),
            },
        })
        .to_string()
    }

    fn client_data(&self, kind: &str, options: &Value) -> String {
        let challenge = self.challenge.as_deref().or(options.get("challenge").and_then(Value::as_str));
        json!({
            "type": self.kind.unwrap_or(kind), "challenge": challenge, "origin": self.origin,
            "crossOrigin": false,
        })
        .to_string()
    }

    /// Authenticator data, and one use more.
    fn said(&mut self, rp_id: &str, more: u8) -> Vec<u8> {
        let mut data = digest(&SHA256, rp_id.as_bytes()).as_ref().to_vec();
        data.push(self.flags | more);
        data.extend_from_slice(&self.sign_count.to_be_bytes());
        if self.sign_count > 0 {
            self.sign_count = self.sign_count.saturating_add(1);
        }
        data
    }
}
