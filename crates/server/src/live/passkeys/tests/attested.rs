//! What is believed of what keeps a passkey, by the word of a maker of our own.

use chartgate_access::login::assurance::{Assurance, Holds};
use chartgate_protocol::webauthn::authenticator::{Maker, Statement};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::super::authenticators::{Authenticators, Model, Root};
use super::*;
use crate::live::factors::Factors;

const MODEL: [u8; 16] = [0xcb; 16];
const OTHER: [u8; 16] = [0xee; 16];

/// The first of January 2026.
fn today() -> Timestamp {
    Timestamp::from_micros(1_767_225_600_000_000)
}

fn root(maker: &Maker) -> Root {
    Root::from_der(&CertificateDer::from_pem_slice(maker.root().as_bytes()).unwrap()).unwrap()
}

/// A place where these makers are believed, of these models.
fn believing(name: &str, makers: &[&Maker], models: &[[u8; 16]]) -> Scratch {
    let scratch = Scratch::new(name);
    scratch.passkeys.known.reconfigure(authenticators(makers, models));
    scratch
}

fn authenticators(makers: &[&Maker], models: &[[u8; 16]]) -> Arc<Authenticators> {
    let roots = makers.iter().map(|maker| root(maker)).collect();
    let models = models.iter().map(|model| (Model::of(*model).unwrap(), None)).collect();
    Arc::new(Authenticators { roots, models })
}

/// A new passkey in hardware of this model, with this said of it.
fn hardware(seed: u64, model: [u8; 16], statement: Statement) -> SoftPasskey {
    let mut soft = SoftPasskey::new(ISSUER, &mut SeededEntropy::new(seed));
    (soft.flags, soft.model, soft.statement) = (DEVICE_BOUND, model, statement);
    soft
}

impl Scratch {
    fn made_today(&self, soft: &mut SoftPasskey) -> Result<StoredPasskey, PasskeyRefused> {
        let ceremony = Ceremony::Enrol { half: "h-1" };
        let options = self.passkeys.creation(ceremony, &dana(), (&[], SecondFactor::HardwareKey), today());
        self.passkeys.registered(&soft.create(&options), ceremony, &dana(), "", today())
    }
}

#[test]
fn a_makers_word_makes_a_passkey_a_hardware_key_until_it_is_believed_no_more() {
    let maker = Maker::new("Keys of tests");
    let scratch = believing("attested", &[&Maker::new("Another"), &maker], &[OTHER, MODEL]);
    let mut soft = hardware(1, MODEL, Statement::Makers(maker.attests(MODEL, 2030)));
    let stored = scratch.made_today(&mut soft).unwrap();
    let attested = stored.attested.clone().unwrap();
    assert_eq!((attested.model, attested.by.as_str()), (Model::of(MODEL).unwrap(), "CN=Keys of tests"));
    // As it is stored it is read.
    let added = stored.clone();
    let added = scratch.passkeys.store.write_blocking::<_, StoreError, _>(move |sql| sql.add_passkey(&added));
    assert_eq!(added.unwrap(), Added::Now);
    let read = scratch.passkeys.store.read(|sql| sql.passkey(&stored.credential_id)).unwrap().unwrap();
    assert_eq!(read, stored);
    let factors = Factors {
        store: Arc::clone(&scratch.passkeys.store),
        seal: MasterKey::from_bytes([7; 32]).derive("test").unwrap(),
        known: Arc::clone(&scratch.passkeys.known),
    };
    assert_eq!(factors.holds(&dana()).unwrap(), Holds::AHardwareKey);
    assert_eq!(Assurance::of(&scratch.passkeys.factor_of(&read).amr()), Assurance::HardwareKey);
    for (makers, models) in [(vec![], vec![]), (vec![&maker], vec![OTHER]), (vec![&Maker::new("X")], vec![])]
    {
        scratch.passkeys.known.reconfigure(authenticators(&makers, &models));
        assert_eq!(scratch.passkeys.factor_of(&read), SecondFactor::Passkey, "{models:?}");
        assert_eq!(factors.holds(&dana()).unwrap(), Holds::APasskey);
    }
    scratch.passkeys.known.reconfigure(authenticators(&[&maker], &[]));
    assert_eq!(scratch.passkeys.factor_of(&read), SecondFactor::HardwareKey, "of any model");
}

#[test]
fn what_nobody_known_vouches_for_is_a_passkey_like_others() {
    let maker = Maker::new("Keys of tests");
    let scratch = believing("unattested", &[&maker], &[MODEL]);
    let attests = |model| Statement::Makers(maker.attests(model, 2030));
    // The same name, and another key.
    let stranger = Maker::new("Keys of tests");
    for (what, mut soft) in [
        ("nothing said", hardware(1, MODEL, Statement::None)),
        ("its own word", hardware(2, MODEL, Statement::Own)),
        ("another root", hardware(3, MODEL, Statement::Makers(stranger.attests(MODEL, 2030)))),
        ("a certificate that is over", hardware(4, MODEL, Statement::Makers(maker.attests(MODEL, 2025)))),
        ("a model that does not count", hardware(5, OTHER, attests(OTHER))),
        ("no model", hardware(6, [0; 16], attests([0; 16]))),
        ("a TPM's, which is not looked at", hardware(9, MODEL, Statement::Other("tpm"))),
        ("what names no model", hardware(10, MODEL, Statement::Other("apple"))),
        ("what nobody knows", hardware(11, MODEL, Statement::Other("paper"))),
    ] {
        let stored = scratch.made_today(&mut soft).unwrap();
        assert_eq!(stored.attested, None, "{what}");
        assert_eq!(scratch.passkeys.factor_of(&stored), SecondFactor::Passkey, "{what}");
    }
    // One that may be copied is no hardware key, whoever vouches for it.
    for flags in [SYNCED, 0b1101] {
        let mut soft = hardware(7, MODEL, attests(MODEL));
        soft.flags = flags;
        assert_eq!(scratch.made_today(&mut soft).unwrap().attested, None);
    }
    // Nobody is believed who was not named.
    let nobody = Scratch::new("nobody-believed");
    assert_eq!(nobody.made_today(&mut hardware(8, MODEL, attests(MODEL))).unwrap().attested, None);
}

#[test]
fn a08_a_statement_that_is_wrong_is_refused_and_not_overlooked() {
    let maker = Maker::new("Keys of tests");
    let scratch = believing("misattested", &[&maker], &[]);
    // The certificate is of another model than the authenticator says.
    let mut soft = hardware(1, MODEL, Statement::Makers(maker.attests(OTHER, 2030)));
    assert_eq!(scratch.made_today(&mut soft).unwrap_err().code(), "wrong-passkey");
    // What was signed is not what was brought: a model, a flag, and the key itself.
    for place in ["model", "flag", "key"] {
        let mut soft = hardware(2, MODEL, Statement::Makers(maker.attests(MODEL, 2030)));
        let ceremony = Ceremony::Enrol { half: "h-1" };
        let options = scratch.passkeys.creation(ceremony, &dana(), (&[], SecondFactor::HardwareKey), today());
        let brought = soft.create(&options);
        let object: serde_json::Value = serde_json::from_str(&brought).unwrap();
        let written = object["response"]["attestationObject"].as_str().unwrap();
        let mut bytes = chartgate_protocol::base64url::decode(written).unwrap();
        let model = bytes.windows(16).rposition(|window| window == MODEL).unwrap();
        match place {
            "model" => bytes[model] ^= 1,
            // User verified stays; the one after it says that there is a copy.
            "flag" => bytes[model - 5] ^= 0b0000_1000,
            _ => *bytes.last_mut().unwrap() ^= 1,
        }
        let altered = brought.replace(written, &chartgate_protocol::base64url::encode(&bytes));
        let came = scratch.passkeys.registered(&altered, ceremony, &dana(), "", today());
        assert_eq!(came.unwrap_err().code(), "wrong-passkey", "{place}");
    }
}

#[test]
fn a_key_from_before_its_maker_was_named_makes_another_passkey_where_hardware_is_needed() {
    let maker = Maker::new("Keys of tests");
    let scratch = Scratch::new("from-before");
    let mut soft = hardware(1, MODEL, Statement::None);
    let before = scratch.made_today(&mut soft).unwrap();
    scratch.passkeys.known.reconfigure(authenticators(&[&maker], &[]));
    let ceremony = Ceremony::Enrol { half: "h-1" };
    let options =
        |has: &[StoredPasskey], needs| scratch.passkeys.creation(ceremony, &dana(), (has, needs), today());
    let excluded = |has: &[StoredPasskey], needs| {
        let options: serde_json::Value = serde_json::from_str(&options(has, needs)).unwrap();
        let excluded = options["excludeCredentials"].as_array().unwrap().iter();
        excluded.map(|one| one["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let id = |passkey: &StoredPasskey| chartgate_protocol::base64url::encode(&passkey.credential_id);
    assert_eq!(excluded(std::slice::from_ref(&before), SecondFactor::Passkey), [id(&before)]);
    soft.credential_id = vec![7; 32];
    soft.statement = Statement::Makers(maker.attests(MODEL, 2030));
    let brought = soft.create(&options(std::slice::from_ref(&before), SecondFactor::HardwareKey));
    let known = scratch.passkeys.registered(&brought, ceremony, &dana(), "", today()).unwrap();
    assert_eq!(scratch.passkeys.factor_of(&known), SecondFactor::HardwareKey);
    // Of that it makes no second one.
    assert_eq!(excluded(&[before, known.clone()], SecondFactor::HardwareKey), [id(&known)]);
}

#[test]
fn attestation_is_asked_for_where_somebody_is_believed_and_hardware_where_it_is_needed() {
    let maker = Maker::new("Keys of tests");
    let asked = |scratch: &Scratch, needs| {
        let text = scratch.passkeys.creation(Ceremony::Enrol { half: "h-1" }, &dana(), (&[], needs), today());
        let options: serde_json::Value = serde_json::from_str(&text).unwrap();
        let formats = if options["attestation"] == "none" { vec![] } else { vec!["packed"] };
        assert_eq!(options["attestationFormats"], serde_json::json!(formats));
        (options["attestation"].as_str().unwrap().to_owned(), options["hints"].clone())
    };
    let scratch = believing("asks", &[&maker], &[]);
    let security_key = serde_json::json!(["security-key"]);
    assert_eq!(asked(&scratch, SecondFactor::HardwareKey), ("direct".to_owned(), security_key));
    assert_eq!(asked(&scratch, SecondFactor::Passkey), ("direct".to_owned(), serde_json::json!([])));
    let nobody = Scratch::new("asks-nobody");
    assert_eq!(asked(&nobody, SecondFactor::Passkey), ("none".to_owned(), serde_json::json!([])));
}
