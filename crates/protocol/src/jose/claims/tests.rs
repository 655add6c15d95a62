use chartgate_values::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn read<T: value::FromClaim>(value: &Value) -> Result<T, Rejection> {
    T::from_claim("c", &value.to_string())
}

#[test]
fn a_scope_is_tokens_with_single_spaces() {
    for text in ["openid", "openid patient/Observation.rs?category=x|y", "!#[]~"] {
        assert_eq!(read::<ScopeSet>(&json!(text)).unwrap().to_string(), text);
    }
    for text in ["", " ", " a", "a ", "a  b", "a\tb", "a\"b", "a\\b", "é", "a\u{a0}b", "a\u{7f}"] {
        assert_eq!(read::<ScopeSet>(&json!(text)), Err(Rejection::Scope), "{text:?}");
    }
    for value in [json!(null), json!(["a"]), json!(1)] {
        assert_eq!(read::<ScopeSet>(&value), Err(Rejection::ClaimType("c")), "{value}");
    }
    let scope: ScopeSet = read(&json!("b a b")).unwrap();
    assert_eq!(serde_json::to_value(scope).unwrap(), json!("a b"), "each once, in order");
}

#[test]
fn an_actor_has_a_name_and_so_has_everybody_before() {
    let chain =
        json!({"sub": "agent-7", "client_id": "mcp-1", "act": {"sub": "agent-6", "iss": "https://a.test"}});
    let actor = read::<Actor>(&chain).unwrap();
    assert_eq!(serde_json::to_value(&actor).unwrap(), chain);
    assert_eq!(actor.act.unwrap().sub.as_str(), "agent-6");
    for (value, cause) in [
        (json!({}), Rejection::MissingClaim("sub")),
        (json!({"sub": "a", "act": {}}), Rejection::MissingClaim("sub")),
        (json!({"sub": "a", "act": null}), Rejection::ClaimType("act")),
        (json!({"sub": "a\n"}), Rejection::ClaimCharacters("sub")),
        (json!("agent"), Rejection::ClaimType("c")),
    ] {
        assert_eq!(read::<Actor>(&value), Err(cause), "{value}");
    }
}

#[test]
fn one_place_is_written_as_a_string_and_several_as_an_array() {
    assert_eq!(serde_json::to_value(Audience::one("a")).unwrap(), json!("a"));
    let several = Audience::several(vec!["a".to_owned(), "b".to_owned()]);
    assert_eq!(serde_json::to_value(&several).unwrap(), json!(["a", "b"]));
    assert!(several.contains("b") && !several.contains("B") && !several.contains(""));
    assert_eq!(several.iter().count(), 2);
}

#[test]
fn a_time_is_written_in_whole_seconds_and_read_to_the_last_bit() {
    let time = Timestamp::from_micros(1_900_000_000_999_999);
    assert_eq!(serde_json::to_string(&NumericDate::from(time)).unwrap(), "1900000000");
    let half = read::<NumericDate>(&json!(1_900_000_000.5)).unwrap();
    assert_eq!(half.timestamp(), Timestamp::from_micros(1_900_000_000_500_000));
    assert_eq!(serde_json::to_string(&half).unwrap(), "1900000000.5");
    assert_eq!(read::<NumericDate>(&json!(-0.5)).unwrap().timestamp(), Timestamp::from_micros(-500_000));
    for seconds in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, 253_402_300_800.0] {
        assert_eq!(NumericDate::from_seconds(seconds), Err(OutOfRange));
    }
    assert_eq!(NumericDate::from_claim_text("253402300799"), Ok(Timestamp::from_unix(253_402_300_799)));
}

impl NumericDate {
    fn from_claim_text(text: &str) -> Result<Timestamp, Rejection> {
        value::FromClaim::from_claim("c", text).map(Self::timestamp)
    }
}

proptest! {
    #[test]
    fn whole_seconds_survive_writing_and_reading(seconds in -62_167_219_200_i64..253_402_300_800) {
        let time = Timestamp::from_unix(seconds);
        let text = serde_json::to_string(&NumericDate::from(time)).unwrap();
        prop_assert_eq!(&text, &seconds.to_string());
        prop_assert_eq!(NumericDate::from_claim_text(&text), Ok(time));
    }
}
