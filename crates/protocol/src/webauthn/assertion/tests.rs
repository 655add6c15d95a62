use chartgate_values::SeededEntropy;
use proptest::prelude::*;

use super::super::authenticator::{DEVICE_BOUND, SYNCED, SoftPasskey};
use super::*;

const ORIGIN: &str = "https://gate.example:8443";
const CHALLENGE: &[u8] = &[7; 32];

fn party() -> RelyingParty {
    RelyingParty { id: "gate.example".to_owned(), origin: ORIGIN.to_owned() }
}

fn options() -> String {
    format!("{{\"challenge\":\"{}\",\"rpId\":\"gate.example\"}}", base64url::encode(CHALLENGE))
}

fn passkey() -> SoftPasskey {
    SoftPasskey::new(ORIGIN, &mut SeededEntropy::new(1))
}

fn verified(passkey: &mut SoftPasskey) -> Result<Signed, AssertionRefused> {
    let assertion = Assertion::parse(&passkey.get(&options())).unwrap();
    assertion.evidence.verify(&passkey.public_key(), &party(), CHALLENGE)
}

#[test]
fn what_was_signed_for_us_is_taken_with_what_it_says() {
    for (flags, is_eligible, is_backed_up) in
        [(DEVICE_BOUND, false, false), (SYNCED, true, true), (0b0000_1101, true, false)]
    {
        let mut passkey = passkey();
        (passkey.flags, passkey.sign_count) = (flags, 41);
        let signed = verified(&mut passkey).unwrap();
        assert_eq!((signed.sign_count, signed.flags.byte()), (41, flags));
        assert_eq!(
            (signed.flags.is_backup_eligible(), signed.flags.is_backed_up()),
            (is_eligible, is_backed_up)
        );
    }
}

#[test]
fn a08_what_was_signed_otherwise_or_elsewhere_is_refused() {
    use AssertionRefused::*;
    type Otherwise = fn(&mut SoftPasskey);
    let cases: [(Otherwise, AssertionRefused); 12] = [
        (|p| p.kind = Some("webauthn.create"), OtherCeremony),
        (|p| p.kind = Some("payment.get"), OtherCeremony),
        (|p| p.challenge = Some(base64url::encode(&[8; 32])), OtherChallenge),
        (|p| p.challenge = Some(base64url::encode(&[7; 31])), OtherChallenge),
        (|p| p.origin = "https://gate.example".to_owned(), OtherOrigin),
        (|p| p.origin = "http://gate.example:8443".to_owned(), OtherOrigin),
        (|p| p.origin = "https://evil.gate.example:8443".to_owned(), OtherOrigin),
        (|p| p.rp_id = Some("example".to_owned()), OtherRelyingParty),
        (|p| p.flags = 0b0000_0100, UserNotPresent),
        (|p| p.flags = 0b0000_0001, UserNotVerified),
        (|p| p.flags = 0b0001_0101, Flags),
        (|p| p.flags = SYNCED | 1 << 6, Malformed),
    ];
    for (number, (otherwise, cause)) in cases.into_iter().enumerate() {
        let mut passkey = passkey();
        otherwise(&mut passkey);
        assert_eq!(verified(&mut passkey), Err(cause), "{number}");
    }
    // Another key; and whoever says that there are extensions and has none.
    let assertion = Assertion::parse(&passkey().get(&options())).unwrap();
    let another = passkey().public_key();
    assert_eq!(assertion.evidence.verify(&another, &party(), CHALLENGE), Err(Signature));
    let mut boastful = passkey();
    boastful.flags = SYNCED | 1 << 7;
    assert_eq!(verified(&mut boastful), Err(Malformed));
}

#[test]
fn a_page_in_somebody_elses_frame_is_elsewhere() {
    let mut passkey = passkey();
    let mut assertion = Assertion::parse(&passkey.get(&options())).unwrap();
    for framed in ["\"crossOrigin\":true", "\"topOrigin\":\"https://evil.example\""] {
        let text = String::from_utf8(assertion.evidence.client_data.clone()).unwrap();
        let other = text.replace("\"crossOrigin\":false", framed);
        assert_ne!(text, other);
        let evidence = Evidence { client_data: other.into_bytes(), ..assertion.evidence.clone() };
        let refused = evidence.verify(&passkey.public_key(), &party(), CHALLENGE);
        assert_eq!(refused, Err(AssertionRefused::OtherOrigin));
    }
    // A member that comes twice says two things.
    let twice = String::from_utf8(assertion.evidence.client_data.clone()).unwrap();
    assertion.evidence.client_data = twice.replacen('{', "{\"type\":\"webauthn.get\",", 1).into_bytes();
    let refused = assertion.evidence.verify(&passkey.public_key(), &party(), CHALLENGE);
    assert_eq!(refused, Err(AssertionRefused::Malformed));
}

#[test]
fn keys_have_one_form_and_a_vector_of_others_has_it() {
    // RFC 9052 appendix C.7.1 has such a key for ECDSA; this one is of the Web Authentication vectors of webauthn-rs.
    let key = "a501020326200121582065eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d\
               2258201e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c";
    let digit = |byte: &u8| u8::try_from(char::from(*byte).to_digit(16).unwrap()).unwrap();
    let bytes: Vec<u8> =
        key.as_bytes().chunks(2).map(|pair| (digit(&pair[0]) << 4) | digit(&pair[1])).collect();
    let read = CoseKey::from_bytes(&bytes).unwrap();
    assert!(matches!(read, CoseKey::Es256 { .. }));
    assert_eq!(read.to_bytes(), bytes);
    // The same members in another order, or with one more, are another spelling.
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(CoseKey::from_bytes(&longer).is_err() && CoseKey::from_bytes(&bytes[..76]).is_err());
    let weak = CoseKey::Rs256 { n: Box::new([0x7f; 256]), e: [1, 0, 1] };
    assert!(CoseKey::from_bytes(&weak.to_bytes()).is_err(), "2047 bits");
    for key in [
        CoseKey::Es384 { x: [1; 48], y: [2; 48] },
        CoseKey::Ed25519 { x: [3; 32] },
        CoseKey::Rs256 { n: Box::new([0xff; 256]), e: [1, 0, 1] },
    ] {
        assert_eq!(CoseKey::from_bytes(&key.to_bytes()), Ok(key));
    }
}

#[test]
fn the_two_names_of_a_credential_are_one() {
    let text = passkey().get(&options());
    let id = base64url::encode(&passkey().credential_id);
    let other = text.replacen(&format!("\"id\":\"{id}\""), "\"id\":\"AAAA\"", 1);
    assert_ne!(text, other);
    assert_eq!(Assertion::parse(&other), Err(AssertionRefused::Malformed));
    for (from, to) in [
        ("public-key", "password"),
        ("\"signature\":\"", "\"signature\":\"="),
        ("\"response\":{", "\"answer\":{"),
    ] {
        assert_eq!(Assertion::parse(&text.replacen(from, to, 1)), Err(AssertionRefused::Malformed), "{from}");
    }
    assert!(Assertion::parse(&format!("{text}{}", " ".repeat(MAX_ASSERTION))).is_err());
}

proptest! {
    #[test]
    fn whatever_bytes_are_altered_nothing_is_taken(place in 0_usize..400, bit in 0_u8..8) {
        let mut passkey = passkey();
        let sound = Assertion::parse(&passkey.get(&options())).unwrap().evidence;
        let mut altered = sound.clone();
        let pieces = [&mut altered.authenticator_data, &mut altered.client_data, &mut altered.signature];
        let mut left = place;
        for piece in pieces {
            match piece.get_mut(left) {
                Some(byte) => { *byte ^= 1 << bit; break; }
                None => left = left.saturating_sub(piece.len()),
            }
        }
        if altered != sound {
            prop_assert!(altered.verify(&passkey.public_key(), &party(), CHALLENGE).is_err());
        }
    }

    #[test]
    fn any_bytes_are_a_key_in_its_one_form_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(key) = CoseKey::from_bytes(&bytes) {
            prop_assert_eq!(key.to_bytes(), bytes);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,300}") {
        let _ = Assertion::parse(&text);
        let _ = ClientData::parse(text.as_bytes());
    }
}
