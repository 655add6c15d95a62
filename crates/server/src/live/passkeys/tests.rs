mod attested;

use std::path::PathBuf;

use chartgate_protocol::webauthn::authenticator::{DEVICE_BOUND, SYNCED, SoftPasskey};
use chartgate_values::SeededEntropy;
use chartgate_values::seal::MasterKey;

use super::*;
use crate::store::passkeys::{Added, CHALLENGE_LIFE};

const ISSUER: &str = "https://gate.example:8443";
const NOW: Timestamp = Timestamp::EPOCH;
const HERE: Ceremony<'_> = Ceremony::SignIn { browser: "b-1" };

struct Scratch {
    passkeys: Passkeys,
    path: PathBuf,
}

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("chartgate-passkeys-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        let store = Arc::new(Store::open(&path.join("db")).unwrap());
        let marks = MasterKey::from_bytes([7; 32]).marking(PURPOSE).unwrap();
        let known = Arc::new(KnownAuthenticators::default());
        Self { passkeys: Passkeys::new(store, marks, ISSUER, known), path }
    }

    /// A passkey of dana's, as it is stored, and the one that signs.
    fn added(&self, flags: u8, sign_count: u32) -> (StoredPasskey, SoftPasskey) {
        let mut soft = SoftPasskey::new(ISSUER, &mut SeededEntropy::new(u64::from(flags) + 1));
        (soft.flags, soft.sign_count) = (flags, sign_count);
        let stored = self.made(&mut soft).unwrap();
        let added = stored.clone();
        let added =
            self.passkeys.store.write_blocking::<_, StoreError, _>(move |sql| sql.add_passkey(&added));
        assert_eq!(added.unwrap(), Added::Now);
        (stored, soft)
    }

    fn made(&self, soft: &mut SoftPasskey) -> Result<StoredPasskey, PasskeyRefused> {
        let ceremony = Ceremony::Enrol { half: "h-1" };
        let options = self.passkeys.creation(ceremony, &dana(), (&[], SecondFactor::Passkey), NOW);
        self.passkeys.registered(&soft.create(&options), ceremony, &dana(), " My\u{7} laptop ", NOW)
    }

    fn verify(&self, brought: &str, ceremony: Ceremony<'_>) -> Result<Shown, PasskeyRefused> {
        let claimed = self.passkeys.claimed(brought).unwrap().expect("it is known");
        self.passkeys.verify(claimed, ceremony, NOW)
    }

    fn signed(&self, soft: &mut SoftPasskey) -> Result<Shown, PasskeyRefused> {
        let options = self.passkeys.request(HERE, &[], NOW);
        self.verify(&soft.get(&options), HERE)
    }

    fn use_up(&self, shown: &Shown) -> Used {
        let shown = shown.clone();
        self.passkeys.store.write_blocking::<_, StoreError, _>(move |sql| shown.use_up(sql, NOW)).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.passkeys.store.close();
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn dana() -> Subject {
    "dana".parse().unwrap()
}

#[test]
fn a_passkey_is_made_and_signs_and_both_judges_take_it() {
    let scratch = Scratch::new("signs");
    for (flags, backup) in
        [(DEVICE_BOUND, Backup::DeviceBound), (SYNCED, Backup::BackedUp), (0b1101, Backup::Eligible)]
    {
        let (stored, mut soft) = scratch.added(flags, 0);
        assert_eq!((stored.backup, stored.label.as_str()), (backup, "My laptop"));
        assert_eq!(stored.transports, ["hybrid", "internal"]);
        assert_eq!(stored.public_key, soft.public_key().to_bytes());
        let shown = scratch.signed(&mut soft).unwrap();
        assert_eq!(shown.passkey.of, dana());
        assert_eq!((scratch.use_up(&shown), scratch.use_up(&shown)), (Used::Now, Used::Before));
        let again = scratch.passkeys.store.read(|sql| sql.passkey(&stored.credential_id)).unwrap().unwrap();
        assert_eq!(again.last_used_at, Some(NOW));
    }
}

#[test]
fn what_browsers_are_asked_wants_the_person_verified_and_found() {
    let scratch = Scratch::new("options");
    let (stored, _) = scratch.added(SYNCED, 0);
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let ceremony = Ceremony::Enrol { half: "h-1" };
    let has = std::slice::from_ref(&stored);
    let creation = read(&scratch.passkeys.creation(ceremony, &dana(), (has, SecondFactor::Passkey), NOW));
    assert_eq!(creation["authenticatorSelection"]["userVerification"], "required");
    assert_eq!(creation["authenticatorSelection"]["residentKey"], "required");
    assert_eq!((&creation["rp"]["id"], &creation["attestation"]), (&"gate.example".into(), &"none".into()));
    let handle = creation["user"]["id"].as_str().unwrap();
    assert!(handle.len() == 43 && !handle.contains("dana"));
    let again = read(&scratch.passkeys.creation(ceremony, &dana(), (&[], SecondFactor::Passkey), NOW));
    assert_eq!(again["user"]["id"], handle, "authenticators keep one for each person");
    let id = chartgate_protocol::base64url::encode(&stored.credential_id);
    assert_eq!(creation["excludeCredentials"][0]["id"], id.as_str());
    let request = read(&scratch.passkeys.request(HERE, &[], NOW));
    assert_eq!(
        (&request["userVerification"], &request["rpId"]),
        (&"required".into(), &"gate.example".into())
    );
    // ATTACKS A01: before somebody has shown anything, nobody's passkeys are named.
    assert_eq!(request["allowCredentials"], serde_json::json!([]));
}

#[test]
fn a08_no_passkey_is_made_otherwise_or_elsewhere() {
    let scratch = Scratch::new("made");
    type Otherwise = fn(&mut SoftPasskey);
    let cases: [(Otherwise, &str); 8] = [
        (|p| p.flags = 0b0000_0001, "wrong-passkey"),
        (|p| p.flags = 0b0000_0100, "wrong-passkey"),
        (|p| p.flags = 0b0001_0101, "wrong-passkey"),
        (|p| p.origin = "https://gate.example".to_owned(), "wrong-passkey"),
        (|p| p.origin = "https://evil.example:8443".to_owned(), "wrong-passkey"),
        (|p| p.rp_id = Some("evil.example".to_owned()), "wrong-passkey"),
        (|p| p.kind = Some("webauthn.get"), "wrong-passkey"),
        (|p| p.challenge = Some("AAAA".to_owned()), "passkey-challenge"),
    ];
    for (number, (otherwise, code)) in cases.into_iter().enumerate() {
        let mut soft = SoftPasskey::new(ISSUER, &mut SeededEntropy::new(1));
        otherwise(&mut soft);
        assert_eq!(scratch.made(&mut soft).unwrap_err().code(), code, "{number}");
    }
    // The challenge of another ceremony.
    let mut soft = SoftPasskey::new(ISSUER, &mut SeededEntropy::new(1));
    let none = (&[][..], SecondFactor::Passkey);
    let options = scratch.passkeys.creation(Ceremony::Enrol { half: "h-1" }, &dana(), none, NOW);
    let other = Ceremony::Enrol { half: "h-2" };
    let refused = scratch.passkeys.registered(&soft.create(&options), other, &dana(), "", NOW).unwrap_err();
    assert_eq!(refused.code(), "passkey-challenge");
    assert!(scratch.passkeys.registered("{}", other, &dana(), "", NOW).is_err());
}

#[test]
fn a08_a_signature_for_another_ceremony_browser_or_person_is_refused() {
    let scratch = Scratch::new("refused");
    let (_, mut soft) = scratch.added(SYNCED, 0);
    let brought = soft.get(&scratch.passkeys.request(HERE, &[], NOW));
    for elsewhere in [Ceremony::SignIn { browser: "b-2" }, Ceremony::SecondFactor { half: "b-1" }] {
        assert_eq!(scratch.verify(&brought, elsewhere).unwrap_err().code(), "passkey-challenge");
    }
    let claimed = scratch.passkeys.claimed(&brought).unwrap().unwrap();
    let late = NOW.plus(crate::store::passkeys::CHALLENGE_LIFE);
    assert_eq!(scratch.passkeys.verify(claimed, HERE, late).unwrap_err().code(), "passkey-challenge");
    // Whom its authenticator made it for.
    for handle in [None, Some(vec![1; 32])] {
        let own = std::mem::replace(&mut soft.user_handle, handle);
        assert_eq!(scratch.signed(&mut soft).unwrap_err().code(), "passkey-of-another");
        soft.user_handle = own;
    }
    soft.flags = DEVICE_BOUND;
    // webauthn-rs speaks of it first.
    assert!(matches!(
        scratch.signed(&mut soft).unwrap_err().code(),
        "wrong-passkey" | "passkey-backup-changed"
    ));
    // Another's key under the same name.
    let mut another = SoftPasskey::new(ISSUER, &mut SeededEntropy::new(99));
    another.credential_id.clone_from(&soft.credential_id);
    another.user_handle.clone_from(&soft.user_handle);
    assert_eq!(scratch.signed(&mut another).unwrap_err().code(), "wrong-passkey");
    let unknown =
        SoftPasskey::new(ISSUER, &mut SeededEntropy::new(98)).get(&scratch.passkeys.request(HERE, &[], NOW));
    assert!(scratch.passkeys.claimed(&unknown).unwrap().is_none());
    assert!(scratch.passkeys.claimed("{}").unwrap().is_none());
}

#[test]
fn a08_a_counter_that_does_not_go_on_is_suspected_and_none_is_where_nobody_counts() {
    let scratch = Scratch::new("counter");
    let (stored, mut soft) = scratch.added(DEVICE_BOUND, 5);
    assert_eq!(stored.sign_count, 5);
    let shown = scratch.signed(&mut soft).unwrap();
    assert_eq!(scratch.use_up(&shown), Used::Now);
    for count in [6, 5, 1, 0] {
        soft.sign_count = count;
        assert!(matches!(scratch.signed(&mut soft), Err(PasskeyRefused::Suspected)), "{count}");
    }
    // Two with one counter at once: one of them.
    soft.sign_count = 9;
    let first = scratch.signed(&mut soft).unwrap();
    soft.sign_count = 9;
    let second = scratch.signed(&mut soft).unwrap();
    assert_eq!((scratch.use_up(&first), scratch.use_up(&second)), (Used::Now, Used::Before));
    // Out of use, for good.
    let (id, of) = (stored.id.clone(), dana());
    let suspected = scratch
        .passkeys
        .store
        .write_blocking::<_, StoreError, _>(move |sql| sql.suspect_passkey(&id, &of, NOW));
    assert_eq!(suspected.unwrap(), Used::Now);
    soft.sign_count = 20;
    assert!(matches!(scratch.signed(&mut soft), Err(PasskeyRefused::OutOfUse)));
}

#[test]
fn a_challenge_of_the_callers_is_signed_by_the_person_who_was_asked() {
    let scratch = Scratch::new("over");
    let (stored, mut soft) = scratch.added(SYNCED, 0);
    let challenge = [9; 32];
    let brought = soft.get(&scratch.passkeys.request_over(&challenge, std::slice::from_ref(&stored)));
    let claimed = || scratch.passkeys.claimed(&brought).unwrap().unwrap();
    let shown = scratch.passkeys.verify_over(claimed(), &dana(), &challenge).unwrap();
    // All that somebody else needs to verify it, later.
    let key = CoseKey::from_bytes(&stored.public_key).unwrap();
    let party = RelyingParty { id: "gate.example".to_owned(), origin: ISSUER.to_owned() };
    assert_eq!(shown.evidence.verify(&key, &party, &challenge), Ok(shown.signed));
    assert!(scratch.passkeys.verify_over(claimed(), &dana(), &[8; 32]).is_err());
    assert!(scratch.passkeys.verify_over(claimed(), &"bea".parse().unwrap(), &challenge).is_err());
    // It signs nobody in.
    assert!(scratch.verify(&brought, HERE).is_err());
    assert_eq!(scratch.use_up(&shown), Used::Now);
}

#[test]
fn passkeys_are_for_a_name_and_its_origin() {
    for (issuer, id, origin, offered) in [
        ("https://gate.example", "gate.example", "https://gate.example", Offered::Passkeys),
        ("https://Gate.Example:443/x", "gate.example", "https://gate.example", Offered::Passkeys),
        ("https://localhost:8443", "localhost", "https://localhost:8443", Offered::Passkeys),
        ("https://192.0.2.1:8443", "192.0.2.1", "https://192.0.2.1:8443", Offered::CodesAlone),
        ("https://[2001:db8::1]", "[2001:db8::1]", "https://[2001:db8::1]", Offered::CodesAlone),
        ("", "", "https://", Offered::CodesAlone),
    ] {
        assert_eq!(relying_party(issuer), RelyingParty { id: id.to_owned(), origin: origin.to_owned() });
        assert_eq!(can_be_offered(issuer), offered, "{issuer}");
    }
}

#[test]
fn a01_an_answer_to_a_page_that_stood_open_for_too_long_is_told_apart_whosever_passkey_it_is_of() {
    let scratch = Scratch::new("old-page");
    let (_, mut soft) = scratch.added(SYNCED, 0);
    let mut unknown = SoftPasskey::new(ISSUER, &mut SeededEntropy::new(99));
    let options = scratch.passkeys.request(HERE, &[], NOW);
    let later = NOW.plus(CHALLENGE_LIFE);
    for brought in [soft.get(&options), unknown.get(&options)] {
        let is_old = |ceremony, now| scratch.passkeys.is_of_an_old_page(&brought, ceremony, now);
        assert!(!is_old(HERE, NOW) && is_old(HERE, later));
        assert!(!is_old(Ceremony::SignIn { browser: "b-2" }, later), "another browser's is none of ours");
    }
    assert!(!scratch.passkeys.is_of_an_old_page("{}", HERE, later));
}
