//! How passwords are hashed, in the build with the FIPS module and in the one without: `make fips` runs these in the first. Row
//! A01 of the corpus.

use std::num::NonZeroU32;

use aws_lc_rs::{hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chartgate_values::seal::MasterKey;

use crate::browser::Browser;
use crate::gateway::{Gateway, Person};
use crate::passkeys::is_signed_in;
use crate::wire::Answer;

const OWN: &str =
    if cfg!(feature = "fips") { "$pbkdf2-sha512$i=250000$" } else { "$argon2id$v=19$m=19456,t=2,p=1$" };

fn database(gateway: &Gateway) -> rusqlite::Connection {
    rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap()
}

fn hash_of(gateway: &Gateway, person: &Person) -> String {
    let text = "SELECT password_hash FROM users WHERE name = ?1";
    database(gateway).query_row(text, [&person.name], |row| row.get(0)).unwrap()
}

fn set_hash(gateway: &Gateway, person: &Person, hash: &str) {
    let text = "UPDATE users SET password_hash = ?2 WHERE name = ?1";
    assert_eq!(database(gateway).execute(text, [&person.name, hash]).unwrap(), 1);
}

/// A hash as PBKDF2 makes it with few rounds: RFC 8018 section 5.2, under the pepper.
fn old_hash(gateway: &Gateway, password: &str) -> String {
    let key = std::fs::read_to_string(gateway.folder().join("data/master.key")).unwrap();
    let number = u128::from_str_radix;
    let (front, back) = key.trim().split_at(32);
    let halves = [number(front, 16).unwrap().to_be_bytes(), number(back, 16).unwrap().to_be_bytes()];
    let key = MasterKey::from_bytes(halves.concat().try_into().unwrap());
    let pepper = hmac::Key::new(hmac::HMAC_SHA512, key.secret_for("password pepper").unwrap().as_ref());
    let keyed = hmac::sign(&pepper, password.as_bytes());
    let (salt, mut hash) = ([3; 16], [0; 32]);
    let rounds = NonZeroU32::new(1000).unwrap();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, rounds, &salt, keyed.as_ref(), &mut hash);
    format!("$pbkdf2-sha512$i=1000${}${}", STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash))
}

#[tokio::test]
async fn a_password_is_hashed_as_this_build_does_at_its_next_right_sign_in() {
    let gateway = &mut Gateway::demo("hashes", &[]);
    let (dana, pia) = (gateway.demo_person("dana"), gateway.demo_person("pia"));
    assert!(hash_of(gateway, &dana).starts_with(OWN));
    let old = old_hash(gateway, &dana.password);
    set_hash(gateway, &dana, &old);
    gateway.kill_and_restart();
    let wrong = Person { password: "another lantern in the orbit".to_owned(), ..dana.clone() };
    assert!(!is_signed_in(&Browser::default().sign_in(gateway, &wrong).await));
    assert_eq!(hash_of(gateway, &dana), old, "a wrong one changes nothing");
    assert!(is_signed_in(&Browser::default().sign_in(gateway, &dana).await));
    let new = hash_of(gateway, &dana);
    assert!(new.starts_with(OWN), "{new}");
    assert!(is_signed_in(&Browser::default().sign_in(gateway, &dana).await));
    assert_eq!(hash_of(gateway, &dana), new, "once");

    // Whose hash cannot be verified here is told to the administrator, and gets no other answer than a wrong password.
    set_hash(gateway, &pia, "$scrypt$ln=16,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAA");
    gateway.kill_and_restart();
    let page = Browser::default().sign_in(gateway, &pia).await;
    let wrong = Browser::default().sign_in(gateway, &wrong).await;
    let told = |page: &Answer| {
        page.text().split("role=\"alert\"").nth(1).and_then(|text| text.split('<').next()).map(str::to_owned)
    };
    assert!(told(&page).is_some() && told(&page) == told(&wrong), "{}", page.text());
    assert!(gateway.output().contains("cannot be verified in this build"), "{}", gateway.output());
}

#[tokio::test]
async fn a_gateway_says_what_computes() {
    let gateway = Gateway::demo("says-what-computes", &[]);
    let version = gateway.command(&["--version"]);
    assert_eq!(version.contains("FIPS-capable"), cfg!(feature = "fips"), "{version}");
    let module = if cfg!(feature = "fips") { "aws-lc, FIPS-capable module" } else { "aws-lc" };
    assert!(gateway.output().contains(module), "{}", gateway.output());
}
