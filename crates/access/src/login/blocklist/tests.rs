use std::fs;
use std::path::Path;

use chartgate_values::{Entropy, SeededEntropy};
use proptest::prelude::*;

use super::*;

/// The list, of the file as `gzip -n` writes it.
fn source() -> String {
    let packed = include_bytes!("../../../data/common-passwords.txt.gz");
    let body = packed.strip_prefix(b"\x1f\x8b\x08\x00").unwrap().split_at(6).1;
    String::from_utf8(miniz_oxide::inflate::decompress_to_vec(body).unwrap()).unwrap()
}

fn encoded(list: &str) -> Vec<u8> {
    let words: BTreeSet<String> = list.lines().map(normal).collect();
    let count = u32::try_from(words.len()).unwrap();
    let places: BTreeSet<u64> = words.iter().map(|word| place(word, count)).collect();
    // Two that fall on one place are one in the set, and are both found.
    let count = u32::try_from(places.len()).unwrap();
    let places: BTreeSet<u64> = words.iter().map(|word| place(word, count)).collect();
    let mut bits: Vec<bool> = (0..32).rev().map(|bit| count >> bit & 1 == 1).collect();
    let mut before = 0;
    for at in places {
        let distance = at.checked_sub(before).unwrap();
        before = at;
        bits.extend((0..distance >> REST).map(|_| true));
        bits.push(false);
        bits.extend((0..REST).rev().map(|bit| distance >> bit & 1 == 1));
    }
    let byte =
        |bits: &[bool]| (0..8).fold(0_u8, |byte, at| byte << 1 | u8::from(bits.get(at) == Some(&true)));
    bits.chunks(8).map(byte).collect()
}

#[test]
fn what_ships_is_made_of_the_list() {
    let made = encoded(&source());
    if std::env::var_os("UPDATE_BLOCKLIST").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/common-passwords.bin");
        fs::write(path, &made).unwrap();
        return;
    }
    assert!(made == COMMON, "run it with UPDATE_BLOCKLIST=1");
    assert!(COMMON.len() < 100_000, "it is small: {}", COMMON.len());
}

#[test]
fn all_of_the_list_is_found() {
    let list = source();
    for word in list.lines().step_by(499) {
        assert!(is_common(&normal(word)), "{word}");
    }
    assert!(is_common(list.lines().next().unwrap()) && is_common(list.lines().last().unwrap()));
}

#[test]
fn little_else_is_taken_for_one_of_it() {
    let entropy: &mut dyn Entropy = &mut SeededEntropy::new(7);
    let made = (0..1_000).map(|_| format!("{:032x}", u128::from_be_bytes(entropy.bytes::<16>())));
    // One in 65,536 is.
    assert!(made.filter(|word| is_common(word)).count() <= 1);
}

fn check(password: &str) -> Result<(), Listed> {
    Blocklist::with_lines("Winterhaven-2026\n\n  Lantern Clinic \n")
        .check(password, &["dana.ortiz", "chartgate", "clinic"])
}

#[test]
fn common_passwords_are_refused_however_they_are_dressed() {
    for password in [
        "1qaz2wsx3edc4rfv",
        "1QAZ2wsx3edc4rfv",
        "passwordpassword",
        "PasswordPasswordPassword",
        "liverpool123456789",
        "!!2026Liverpool2026!!",
        "dragondragondragon!1",
        "ｐａｓｓｗｏｒｄ1234567",
    ] {
        assert_eq!(check(password), Err(Listed::Common), "{password}");
    }
    for password in
        ["lantern gravel orbit mustard", "kX9!vQ2#mmPl04z8", "xq1!", "correct horse battery staple liverpool"]
    {
        assert_eq!(check(password), Ok(()), "{password}");
    }
}

#[test]
fn what_a_place_adds_is_refused_in_any_spelling() {
    for password in ["winterhaven-2026", "WINTERHAVEN-2026", "lantern clinic", "12345 Lantern Clinic 12345"] {
        assert_eq!(check(password), Err(Listed::OfThisPlace), "{password}");
    }
    assert_eq!(check("lantern gravel clinic mustard"), Ok(()));
    assert_eq!(Blocklist::default().check("winterhaven-2026", &[]), Ok(()));
}

#[test]
fn passwords_of_names_are_refused_and_names_among_other_words_are_not() {
    for password in ["dana.ortiz-2026-11", "OrtizChartgate2026", "chartgatechartgate", "chartgate dana 99"] {
        assert_eq!(check(password), Err(Listed::Names), "{password}");
    }
    assert_eq!(check("dana gravel orbit mustard"), Ok(()));
    // What nobody is called is no name.
    assert_eq!(Blocklist::default().check("1234 99 #+# 1234", &["al", ""]), Ok(()));
}

proptest! {
    #[test]
    fn a_listed_word_is_refused_with_any_digits_around_it(before in "[0-9!#. ]{0,6}", after in "[0-9!#. ]{0,6}") {
        prop_assert_eq!(check(&format!("{before}superman{after}")), Err(Listed::Common));
    }

    #[test]
    fn any_text_is_judged(password in ".{0,60}", name in ".{0,20}") {
        let _ = Blocklist::with_lines(&name).check(&password, &[&name]);
    }
}
