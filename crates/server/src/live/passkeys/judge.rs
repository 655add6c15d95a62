//! The one place that webauthn-rs is spoken to. It reads what authenticators write when they make a passkey, and what their
//! makers attest of them, and has a second look at each assertion (docs/adr/0040, docs/adr/0044).
//!
//! Of a ceremony it wants a state that it would have made itself. All that is in one is the challenge, which we draw, and
//! what we ask for; so it is written here, for each look. Were its form to change, nothing would be read, and nothing would
//! be taken.

use chartgate_protocol::base64url;
use chartgate_protocol::json::Object;
use chartgate_protocol::webauthn::{Assertion, ClientData, CoseKey, RelyingParty};

use chartgate_values::Timestamp;

use super::PasskeyRefused;
use super::authenticators::{Attested, Authenticators};
use crate::store::passkeys::{Backup, StoredPasskey};

/// The longest answer that is looked at: a statement of attestation with the three certificates of a TPM takes two thirds of it.
const MAX_ANSWER: usize = 12 << 10;
const MAX_DEPTH: usize = 8;
/// Ways to an authenticator that browsers name. Web Authentication Level 3 section 5.8.4.
const TRANSPORTS: [&str; 6] = ["usb", "nfc", "ble", "smart-card", "hybrid", "internal"];

/// What a browser says that it made.
#[derive(Debug)]
pub(super) struct Made<'a> {
    #[cfg_attr(not(feature = "passkeys"), expect(dead_code, reason = "nobody judges it"))]
    text: &'a str,
    pub(super) challenge: Vec<u8>,
    pub(super) transports: Vec<String>,
}

/// What was made.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) credential_id: Vec<u8>,
    pub(super) key: CoseKey,
    pub(super) sign_count: u32,
    pub(super) backup: Backup,
    /// What is believed of what keeps it.
    pub(super) attested: Option<Attested>,
}

impl<'a> Made<'a> {
    /// Reads as much of it as is ours to look at.
    pub(super) fn read(text: &'a str) -> Result<Self, PasskeyRefused> {
        let wrong = || PasskeyRefused::Judge("not an answer of a browser".to_owned());
        if text.len() > MAX_ANSWER {
            return Err(wrong());
        }
        let object = Object::parse(text.as_bytes(), MAX_DEPTH).map_err(|_| wrong())?;
        let response = object.get("response").ok_or_else(wrong)?;
        let response = Object::parse(response.as_bytes(), MAX_DEPTH).map_err(|_| wrong())?;
        let client_data = response.string("clientDataJSON").ok().flatten().ok_or_else(wrong)?;
        let client_data = base64url::decode(&client_data).map_err(|_| wrong())?;
        let client_data = ClientData::parse(&client_data).map_err(|_| wrong())?;
        let said: Vec<String> = response.read("transports").ok().flatten().unwrap_or_default();
        let transports = TRANSPORTS.iter().filter(|way| said.iter().any(|own| own == *way));
        Ok(Self {
            text,
            challenge: client_data.challenge,
            transports: transports.map(ToString::to_string).collect(),
        })
    }
}

#[cfg(not(feature = "passkeys"))]
mod without {
    use super::{
        Assertion, Authenticators, CoseKey, Judged, Made, PasskeyRefused, RelyingParty, StoredPasskey,
        Timestamp,
    };

    impl Made<'_> {
        pub(in super::super) fn judge(
            &self,
            _: &RelyingParty,
            _: &Authenticators,
            _: Timestamp,
        ) -> Result<Judged, PasskeyRefused> {
            Err(PasskeyRefused::Judge("not in this build".to_owned()))
        }
    }

    /// There is no second look.
    pub(in super::super) fn agrees(
        _: &RelyingParty,
        _: &Assertion,
        _: &[u8],
        _: (&StoredPasskey, &CoseKey),
    ) -> Result<(), PasskeyRefused> {
        Ok(())
    }
}
#[cfg(not(feature = "passkeys"))]
pub(super) use without::agrees;

#[cfg(feature = "passkeys")]
mod with {
    use std::collections::BTreeMap;
    use std::time::{Duration, SystemTime};

    use chartgate_protocol::base64url;
    use serde_cbor_2::Value;
    use serde_json::json;
    use webauthn_rs_core::WebauthnCore;
    use webauthn_rs_core::attestation::verify_attestation_ca_chain;
    use webauthn_rs_core::error::WebauthnError;
    use webauthn_rs_core::proto::{
        AttestationCaListBuilder, AttestationFormat, AttestationMetadata, AuthenticationState,
        AuthenticatorAssertionResponseRaw, COSEAlgorithm, COSEEC2Key, COSEKey, COSEKeyType, COSERSAKey,
        Credential, ECDSACurve, ParsedAttestation, PublicKeyCredential, RegisterPublicKeyCredential,
        RegisteredExtensions, RegistrationState, UserVerificationPolicy,
    };

    use super::super::authenticators::{Model, Root};
    use super::{
        Assertion, Attested, Authenticators, Backup, CoseKey, Judged, Made, PasskeyRefused, RelyingParty,
        StoredPasskey, Timestamp,
    };

    impl Made<'_> {
        /// Web Authentication Level 3 section 7.1, but for the challenge, which was looked at. A statement of attestation
        /// that is wrong is refused. One that is right, of somebody who is not believed, is worth as much as none; so is
        /// one of a format that is not looked at.
        pub(in super::super) fn judge(
            &self,
            party: &RelyingParty,
            known: &Authenticators,
            now: Timestamp,
        ) -> Result<Judged, PasskeyRefused> {
            let state = json!({
                "policy": "required",
                // What is somebody's is refused by the store, whosever it is.
                "exclude_credentials": [],
                "challenge": base64url::encode(&self.challenge),
                "credential_algorithms": ["ES256", "ES384", "RS256"],
                "require_resident_key": true,
                "authenticator_attachment": null,
                "extensions": {},
                "allow_synchronised_authenticators": true,
            });
            let state: RegistrationState = serde_json::from_value(state).map_err(told)?;
            let answer = with_what_can_be_judged(self.text)?;
            let made = core(party)?.register_credential(&answer, &state, None).map_err(told)?;
            Ok(Judged {
                key: own(&made.cred)?,
                sign_count: made.counter,
                backup: Backup::of(made.backup_eligible, made.backup_state),
                attested: attested(&made, known, now),
                credential_id: made.cred_id,
            })
        }
    }

    /// The answer, with a statement of attestation that is worth a look, or none. Of a TPM's webauthn-rs verifies none at all
    /// (0.6.2), others name no model, and whoever has such an authenticator is not kept out for that: theirs is taken off.
    /// What was made is left as it is, for of a passkey that nobody attests nothing else is signed.
    fn with_what_can_be_judged(text: &str) -> Result<RegisterPublicKeyCredential, PasskeyRefused> {
        let mut answer: RegisterPublicKeyCredential = serde_json::from_str(text).map_err(told)?;
        let object = &mut answer.response.attestation_object;
        let Value::Map(mut members) = serde_cbor_2::from_slice(object).map_err(told)? else {
            return Err(told("no attestation object"));
        };
        let named = |name: &str| Value::Text(name.to_owned());
        let is_judged = |format: &Value| *format == named("packed") || *format == named("none");
        if !members.get(&named("fmt")).is_some_and(is_judged) {
            members.insert(named("fmt"), named("none"));
            members.insert(named("attStmt"), Value::Map(BTreeMap::new()));
            *object = serde_cbor_2::to_vec(&Value::Map(members)).map_err(told)?;
        }
        Ok(answer)
    }

    /// What is believed of what keeps a new passkey: of a model that it names, that no copy can be made, and by the root of a
    /// maker who is known.
    fn attested(made: &Credential, known: &Authenticators, now: Timestamp) -> Option<Attested> {
        let AttestationMetadata::Packed { aaguid } = &made.attestation.metadata else { return None };
        let model = Model::of(*aaguid.as_bytes()).ok()?;
        if made.backup_eligible || !known.takes(model) {
            return None;
        }
        let now = SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_micros(u64::try_from(now.as_micros()).ok()?))?;
        // One by one: it looks for the first whose name fits.
        let vouches = |root: &&Root| {
            let mut list = AttestationCaListBuilder::new();
            let described = list.insert_device_der(&root.der, *aaguid, String::new(), BTreeMap::new());
            let list = list.build();
            let verified = verify_attestation_ca_chain(&made.attestation.data, &list, now);
            described.is_ok() && verified.is_ok_and(|root| root.is_some())
        };
        let root = known.roots.iter().find(vouches)?;
        Some(Attested { model, root: root.digest.clone(), by: root.subject.clone() })
    }

    /// Whether it takes an assertion that we take. What it says of the counter is what we look at ourselves, and it says so
    /// last of all.
    pub(in super::super) fn agrees(
        party: &RelyingParty,
        assertion: &Assertion,
        challenge: &[u8],
        (passkey, key): (&StoredPasskey, &CoseKey),
    ) -> Result<(), PasskeyRefused> {
        let state = json!({
            "credentials": [],
            "policy": "required",
            "challenge": base64url::encode(challenge),
            "appid": null,
            "allow_backup_eligible_upgrade": false,
        });
        let state: AuthenticationState = serde_json::from_value(state).map_err(told)?;
        let answer = PublicKeyCredential {
            id: base64url::encode(&assertion.credential_id),
            raw_id: assertion.credential_id.clone(),
            response: AuthenticatorAssertionResponseRaw {
                authenticator_data: assertion.evidence.authenticator_data.clone(),
                client_data_json: assertion.evidence.client_data.clone(),
                signature: assertion.evidence.signature.clone(),
                user_handle: assertion.user_handle.clone(),
            },
            extensions: serde_json::from_value(json!({})).map_err(told)?,
            type_: "public-key".to_owned(),
        };
        match core(party)?.authenticate_single_credential(&answer, &state, &theirs(passkey, key)?) {
            Ok(_) | Err(WebauthnError::CredentialPossibleCompromise) => Ok(()),
            Err(error) => Err(told(error)),
        }
    }

    fn core(party: &RelyingParty) -> Result<WebauthnCore, PasskeyRefused> {
        let origin = party.origin.parse().map_err(told)?;
        // It waits for nobody: how long browsers wait is said elsewhere.
        let timeout = Duration::from_secs(300);
        Ok(WebauthnCore::new_unsafe_experts_only(
            "Chartgate",
            &party.id,
            vec![origin],
            timeout,
            Some(false),
            Some(false),
        ))
    }

    fn told(error: impl std::fmt::Display) -> PasskeyRefused {
        PasskeyRefused::Judge(error.to_string())
    }

    fn own(key: &COSEKey) -> Result<CoseKey, PasskeyRefused> {
        let wrong = || told("a key of another kind");
        match (&key.type_, &key.key) {
            (
                COSEAlgorithm::ES256,
                COSEKeyType::EC_EC2(COSEEC2Key { curve: ECDSACurve::SECP256R1, x, y }),
            ) => Ok(CoseKey::Es256 { x: sized(x)?, y: sized(y)? }),
            (
                COSEAlgorithm::ES384,
                COSEKeyType::EC_EC2(COSEEC2Key { curve: ECDSACurve::SECP384R1, x, y }),
            ) => Ok(CoseKey::Es384 { x: sized(x)?, y: sized(y)? }),
            (COSEAlgorithm::RS256, COSEKeyType::RSA(COSERSAKey { n, e })) => {
                let key = CoseKey::Rs256 { n: Box::new(sized(n)?), e: *e };
                // The one form refuses what is no number of 2048 bits.
                CoseKey::from_bytes(&key.to_bytes()).map_err(|_| wrong())
            }
            _ => Err(wrong()),
        }
    }

    fn sized<const N: usize>(bytes: &[u8]) -> Result<[u8; N], PasskeyRefused> {
        bytes.try_into().map_err(|_| told("a key of another length"))
    }

    /// What it would have kept.
    fn theirs(passkey: &StoredPasskey, key: &CoseKey) -> Result<Credential, PasskeyRefused> {
        let ec = |curve, x: &[u8], y: &[u8]| {
            COSEKeyType::EC_EC2(COSEEC2Key { curve, x: x.to_vec(), y: y.to_vec() })
        };
        let (type_, key) = match key {
            CoseKey::Es256 { x, y } => (COSEAlgorithm::ES256, ec(ECDSACurve::SECP256R1, x, y)),
            CoseKey::Es384 { x, y } => (COSEAlgorithm::ES384, ec(ECDSACurve::SECP384R1, x, y)),
            CoseKey::Rs256 { n, e } => {
                (COSEAlgorithm::RS256, COSEKeyType::RSA(COSERSAKey { n: n.to_vec(), e: *e }))
            }
            // It reads such keys, and verifies nothing with them.
            CoseKey::Ed25519 { .. } => return Err(told("no key that it verifies with")),
        };
        Ok(Credential {
            cred_id: passkey.credential_id.clone(),
            cred: COSEKey { type_, key },
            counter: passkey.sign_count,
            transports: None,
            user_verified: true,
            backup_eligible: passkey.backup.is_eligible(),
            backup_state: passkey.backup.is_backed_up(),
            registration_policy: UserVerificationPolicy::Required,
            extensions: RegisteredExtensions::none(),
            attestation: ParsedAttestation::default(),
            attestation_format: AttestationFormat::None,
        })
    }
}
#[cfg(feature = "passkeys")]
pub(super) use with::agrees;
