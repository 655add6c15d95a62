//! What people type to sign in, and what their browsers bring.

use crate::language::Languages;
use crate::recovery_code::RecoveryCode;
use crate::totp::Code;
use crate::web_push::Subscription;
use crate::webauthn::{Assertion, ClientData, CoseKey, Evidence, RelyingParty};

/// Any text as a code: an authenticator application's, a recovery code, or neither; never both.
pub fn fuzz_sign_in_code(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let code = text.parse::<Code>();
    assert!(
        code.is_ok() == (text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit())),
        "six digits alone"
    );
    if let Ok(recovery) = text.parse::<RecoveryCode>() {
        assert!(code.is_err(), "one kind of code is not the other");
        let again = recovery.grouped().expose().parse::<RecoveryCode>();
        assert!(
            again.is_ok_and(|again| again.expose() == recovery.expose()),
            "what is read has one spelling"
        );
    }
}

/// Any text as what a browser brings of a passkey, any bytes as a key and as what was signed: nothing is signed by a key that
/// nobody has.
pub fn fuzz_passkey(data: &[u8]) {
    if let Ok(key) = CoseKey::from_bytes(data) {
        assert!(key.to_bytes() == data, "a key has one form");
    }
    let _ = ClientData::parse(data);
    let (party, key) = (
        RelyingParty { id: "gate.example".to_owned(), origin: "https://gate.example".to_owned() },
        CoseKey::Es256 { x: [1; 32], y: [2; 32] },
    );
    let taken = |evidence: &Evidence| evidence.verify(&key, &party, b"challenge").is_ok();
    if let Ok(assertion) =
        std::str::from_utf8(data).map_err(drop).and_then(|text| Assertion::parse(text).map_err(drop))
    {
        assert!(!assertion.credential_id.is_empty(), "it names a credential");
        assert!(!taken(&assertion.evidence), "not signed");
    }
    let (authenticator_data, rest) = data.split_at(data.len().min(40));
    let evidence = Evidence {
        authenticator_data: authenticator_data.to_vec(),
        client_data: rest.to_vec(),
        signature: rest.to_vec(),
    };
    assert!(!taken(&evidence), "not signed");
}

/// Any bytes as a push subscription: what is read is kept in one spelling, and leads to a host.
pub fn fuzz_push_subscription(data: &[u8]) {
    let Ok(read) = Subscription::parse(data) else { return };
    let again = Subscription::parse(read.to_json().as_bytes());
    assert!(again.is_ok_and(|again| again.to_json() == read.to_json()), "what is kept is read again");
    assert!(read.origin().len() > "https://".len(), "there is a host");
    assert!(read.endpoint().as_str().starts_with(read.origin()), "it is the endpoint's");
}

/// Any text as a list of languages: whatever is chosen is one of those that there are, and is named in the text.
pub fn fuzz_languages(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lower = text.to_ascii_lowercase();
    for languages in [Languages::accepted(text), Languages::locales(text)].into_iter().flatten() {
        let best = languages.best(&[("en", "en"), ("es", "es")]);
        assert!(best.is_none_or(|best| lower.contains(best)), "nobody is given what they did not name");
    }
}
