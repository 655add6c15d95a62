use proptest::prelude::*;

use super::*;

const OFFERED: [(&str, u8); 3] = [("en", 0), ("es", 1), ("zh-hant", 2)];

fn accepted(header: &str) -> Option<u8> {
    Languages::accepted(header).unwrap().best(&OFFERED)
}

#[test]
fn the_best_that_there_is_comes_of_weights_and_then_of_their_order() {
    assert_eq!(accepted("es"), Some(1));
    assert_eq!(accepted("es-MX, en;q=0.9"), Some(1));
    assert_eq!(accepted("en;q=0.8, es;q=0.9"), Some(1));
    assert_eq!(accepted("en;q=0.8\t,  ES-419 ;\tQ=0.80"), Some(0));
    assert_eq!(accepted("fr, de;q=0.9, es;q=0.001"), Some(1));
    assert_eq!(accepted("fr,,de, "), None);
    assert_eq!(accepted("*"), None);
    assert_eq!(accepted(""), None);
}

#[test]
fn what_is_refused_is_not_had_by_a_longer_name() {
    assert_eq!(accepted("es;q=0, en"), Some(0));
    assert_eq!(accepted("es-MX, es;q=0.000, en;q=0.1"), Some(0));
}

#[test]
fn a_range_is_shortened_from_its_end_and_never_within_a_subtag() {
    assert_eq!(accepted("zh-Hant-TW"), Some(2));
    assert_eq!(accepted("zh-Hans-CN"), None);
    assert_eq!(accepted("es-a-valencia"), Some(1));
    assert_eq!(accepted("esx"), None);
}

#[test]
fn of_a_list_that_is_wrong_somewhere_nothing_counts() {
    for wrong in
        ["es es", "e_s", "es-", "-es", "es--mx", "1es", "abcdefghi", "es-abcdefghi", "*-es", "español"]
    {
        assert_eq!(Languages::accepted(wrong), Err(LanguagesError::Range), "{wrong}");
    }
    for wrong in
        ["es;", "es;q", "es;q=", "es;q=2", "es;q=1.001", "es;q=.5", "es;q=0.1234", "es;q=-0", "es;x=1"]
    {
        assert_eq!(Languages::accepted(wrong), Err(LanguagesError::Weight), "{wrong}");
    }
    assert_eq!(Languages::accepted("es;q=0.5;q=0.5"), Err(LanguagesError::Weight));
    assert_eq!(Languages::accepted(&"es,".repeat(400)), Err(LanguagesError::TooLong));
    assert_eq!(Languages::accepted(&"es,".repeat(51)), Err(LanguagesError::TooLong));
    assert!(Languages::accepted(&"es,".repeat(50)).is_ok());
}

#[test]
fn locales_come_in_their_order() {
    let locales = |text: &str| Languages::locales(text).map(|languages| languages.best(&OFFERED));
    assert_eq!(locales("fr-CA es en"), Ok(Some(1)));
    assert_eq!(locales("se"), Ok(None));
    assert_eq!(locales(""), Ok(None));
    assert_eq!(locales("es,en"), Ok(None));
    assert_eq!(locales("en_US es"), Ok(Some(1)), "what is no tag silences none that is");
    assert_eq!(locales(&"es ".repeat(51)), Err(LanguagesError::TooLong));
}

proptest! {
    #[test]
    fn whatever_is_written_by_the_rules_is_read_so(
        list in prop::collection::vec(("[a-zA-Z]{1,8}(-[a-zA-Z0-9]{1,8}){0,3}", 1_u16..=1000), 1..20),
    ) {
        let written: Vec<String> = list
            .iter()
            .map(|(range, weight)| format!("{range};q={}.{:03}", weight / 1000, weight % 1000))
            .collect();
        let read = Languages::accepted(&written.join(", "));
        prop_assume!(written.join(", ").len() <= LONGEST);
        let mut expected = list.clone();
        expected.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
        let expected: Vec<String> = expected.iter().map(|(range, _)| range.to_ascii_lowercase()).collect();
        prop_assert_eq!(read.map(|languages| languages.wanted), Ok(expected));
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,80}") {
        crate::fuzzing::fuzz_languages(text.as_bytes());
    }
}
