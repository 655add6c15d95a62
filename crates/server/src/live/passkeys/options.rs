//! What browsers are asked, as JSON: Web Authentication Level 3 sections 5.1.9 and 5.1.10, `parseCreationOptionsFromJSON` and
//! `parseRequestOptionsFromJSON`.

use chartgate_access::ids::Subject;
use chartgate_protocol::base64url;
use chartgate_protocol::webauthn::RelyingParty;
use serde_json::{Value, json};

use crate::store::passkeys::StoredPasskey;

/// How long a browser waits for its person. A challenge lives longer.
const TIMEOUT_MILLIS: u32 = 5 * 60 * 1000;
/// ES256, ES384, RS256, in the order in which we would have them: all that webauthn-rs verifies. RFC 9053, RFC 8812.
const ALGORITHMS: [i32; 3] = [-7, -35, -257];

/// Options to sign with one of these, or with whatever there is.
pub(super) fn request(party: &RelyingParty, challenge: &[u8], allowed: &[StoredPasskey]) -> String {
    json!({
        "challenge": base64url::encode(challenge),
        "timeout": TIMEOUT_MILLIS,
        "rpId": party.id,
        "allowCredentials": described(allowed),
        "userVerification": "required",
    })
    .to_string()
}

/// Whether hardware has to keep a passkey.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Hardware {
    /// Nobody would know.
    Unknown,
    /// It need not, and where it does, that is known.
    Known,
    Needed,
}

/// For whom a passkey is made.
pub(super) struct Creation<'a> {
    pub(super) of: &'a Subject,
    pub(super) handle: &'a [u8],
    /// What need not be made again.
    pub(super) has: &'a [StoredPasskey],
    pub(super) hardware: Hardware,
}

/// Options to make a passkey. It has to be one that can be found without a name, and no authenticator that keeps one of these
/// makes a second one. Attestation is asked for where it is looked at: a browser asks its person whether they show what they have.
pub(super) fn creation(party: &RelyingParty, challenge: &[u8], creation: &Creation<'_>) -> String {
    let Creation { of, handle, has, hardware } = *creation;
    let (attestation, formats): (_, &[&str]) = match hardware {
        Hardware::Unknown => ("none", &[]),
        Hardware::Known | Hardware::Needed => ("direct", &["packed"]),
    };
    let hints: &[&str] = if hardware == Hardware::Needed { &["security-key"] } else { &[] };
    json!({
        "rp": { "id": party.id, "name": "Chartgate" },
        "user": { "id": base64url::encode(handle), "name": of.as_str(), "displayName": of.as_str() },
        "challenge": base64url::encode(challenge),
        "pubKeyCredParams": ALGORITHMS.map(|alg| json!({ "type": "public-key", "alg": alg })),
        "timeout": TIMEOUT_MILLIS,
        "excludeCredentials": described(has),
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": true,
            "userVerification": "required",
        },
        "attestation": attestation,
        "attestationFormats": formats,
        "hints": hints,
    })
    .to_string()
}

fn described(passkeys: &[StoredPasskey]) -> Vec<Value> {
    let one = |passkey: &StoredPasskey| {
        json!({
            "type": "public-key",
            "id": base64url::encode(&passkey.credential_id),
            "transports": passkey.transports,
        })
    };
    passkeys.iter().map(one).collect()
}
