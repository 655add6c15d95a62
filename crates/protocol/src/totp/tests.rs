use proptest::prelude::*;
use totp_rs::{Algorithm, Builder, Secret as OracleSecret};

use super::*;

fn secret() -> TotpSecret {
    TotpSecret::from_bytes(b"12345678901234567890").unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(seconds)
}

#[test]
fn the_vectors_of_rfc_6238_appendix_b() {
    // Of eight digits there; the last six are what a code of six digits is.
    for (seconds, shown) in [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ] {
        assert_eq!(secret().shown(at(seconds)).expose(), shown, "{seconds}");
        assert_eq!(secret().matching(shown.parse().unwrap(), at(seconds)), Some(Step::at(at(seconds))));
    }
}

#[test]
fn the_vectors_of_rfc_4226_appendix_d() {
    let codes =
        ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
    for (step, code) in (0..).zip(codes) {
        assert_eq!(secret().shown(at(step * 30)).expose(), code);
    }
}

#[test]
fn a_code_is_good_in_its_step_and_in_the_ones_beside_it_and_says_which_it_is_of() {
    let code = secret().shown(at(3000)).expose().parse().unwrap();
    for (seconds, is_good) in [(2969, false), (2970, true), (3029, true), (3059, true), (3060, false)] {
        let found = secret().matching(code, at(seconds));
        assert_eq!(found, is_good.then_some(Step(100)), "{seconds}");
    }
}

#[test]
fn a04_a_code_has_exactly_six_ascii_digits() {
    for bad in [
        "",
        "12345",
        "1234567",
        " 123456",
        "123456 ",
        "123 456",
        "+12345",
        "-12345",
        "12345a",
        "１２３４５６",
        "123456\n",
        "123\u{0}56",
    ] {
        assert_eq!(bad.parse::<Code>(), Err(NotACode), "{bad:?}");
    }
    assert_eq!("000000".parse(), Ok(Code(0)));
    assert_eq!(format!("{:?} {:?}", Code(7), secret()), "<code> <secret of an authenticator application>");
}

#[test]
fn a_secret_is_written_as_applications_read_it() {
    assert_eq!(secret().base32().expose(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    assert_eq!(
        secret().key_uri("clinic.example:8443", "dana").expose(),
        "otpauth://totp/clinic.example%3A8443:dana?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=clinic.example%3A8443"
    );
    // RFC 4648 section 10, without padding.
    for (bytes, text) in [
        ("", ""),
        ("f", "MY"),
        ("fo", "MZXQ"),
        ("foo", "MZXW6"),
        ("foob", "MZXW6YQ"),
        ("foobar", "MZXW6YTBOI"),
    ] {
        assert_eq!(base32(bytes.as_bytes()), text);
    }
    assert_eq!(TotpSecret::from_bytes(&[0; 19]).unwrap_err(), NotASecret);
}

proptest! {
    #[test]
    fn another_implementation_shows_the_same_codes_and_secrets(
        bytes in prop::array::uniform20(any::<u8>()),
        seconds in 0..=253_402_300_799_i64,
    ) {
        let own = TotpSecret::from_bytes(&bytes).unwrap();
        let oracle_secret = OracleSecret::from(bytes.to_vec());
        let written = own.base32();
        prop_assert_eq!(written.expose(), &oracle_secret.to_base32());
        let oracle = Builder::new().with_algorithm(Algorithm::SHA1).with_digits(6).with_secret(oracle_secret).build().unwrap();
        let shown = own.shown(at(seconds));
        prop_assert_eq!(shown.expose(), &oracle.generate(u64::try_from(seconds).unwrap()).to_string());
    }

    #[test]
    fn no_text_but_six_digits_is_a_code(text in ".{0,8}") {
        let is_plain = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit());
        prop_assert_eq!(text.parse::<Code>().is_ok(), is_plain);
    }
}
