use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::*;

fn fault(text: &[u8]) -> JsonError {
    parse(text, 32).unwrap_err()
}

#[test]
fn a_name_is_refused_when_it_comes_twice_at_any_depth_however_it_is_written() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":1}"#,
        r#"{"x":{"y":[{"a":1,"b":2,"a":3}]}}"#,
        r#"[{"":0,"":0}]"#,
    ] {
        assert_eq!(fault(text.as_bytes()), JsonError::DuplicateName, "{text}");
    }
    let apart = r#"{"a":{"a":1},"A":[{"a":1},{"a":2}]}"#;
    let expected = json!({"a": {"a": 1}, "A": [{"a": 1}, {"a": 2}]});
    assert_eq!(parse(apart.as_bytes(), 32).unwrap(), Node::from(&expected));
    let many = |last: usize| {
        let names: Vec<_> = (0..100).chain([last]).map(|name| format!("\"{name}\":0")).collect();
        parse(format!("{{{}}}", names.join(",")).as_bytes(), 32).map(|_| ())
    };
    assert_eq!(many(100), Ok(()));
    assert_eq!(many(57), Err(JsonError::DuplicateName));
}

#[test]
fn nesting_is_refused_one_level_beyond_the_limit() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        assert!(check(nested(32).as_bytes(), 32).is_ok());
        assert_eq!(fault(nested(33).as_bytes()), JsonError::TooDeep);
        assert_eq!(fault(nested(100_000).as_bytes()), JsonError::TooDeep);
        assert!(check(nested(DEEPEST).as_bytes(), usize::MAX).is_ok());
        assert_eq!(check(nested(DEEPEST + 1).as_bytes(), usize::MAX), Err(JsonError::TooDeep));
    }
    assert!(check(b"1", 0).is_ok());
    assert_eq!(check(b"[]", 0), Err(JsonError::TooDeep));
}

#[test]
fn what_is_no_json_is_refused_in_parts_that_nobody_reads_too() {
    for text in [
        "",
        " ",
        "{",
        "{}{}",
        "{}x",
        "{'a':1}",
        "{\"a\":1,}",
        "[1,]",
        "01",
        "+1",
        "1.",
        ".5",
        "NaN",
        "Infinity",
        "1e999",
        "// c\n1",
        "\u{feff}{}",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"\n\"",
        "\"\0\"",
        "\"\\x\"",
        "{\"a\":{\"b\":[\"\\udfff\"]}}",
    ] {
        assert_eq!(fault(text.as_bytes()), JsonError::Syntax, "{text:?}");
    }
    assert_eq!(fault(b"\"\xff\""), JsonError::NotUtf8);
    assert_eq!(fault(b"\"\xed\xa0\x80\""), JsonError::NotUtf8);
    assert_eq!(parse(br#" {"a":"\ud83d\ude42"} "#, 32).unwrap(), Node::from(&json!({"a": "🙂"})));
}

#[test]
fn a_member_is_read_as_what_it_has_to_be_and_null_is_not_absence() {
    let object = Object::parse(br#"{"n":null,"s":"x","\u0065":"\u0066","i":1}"#, 32).unwrap();
    assert_eq!(object.len(), 4);
    assert_eq!(object.string("s").unwrap().as_deref(), Some("x"));
    assert_eq!(object.string("e").unwrap().as_deref(), Some("f"));
    assert_eq!(object.string("n"), Err(WrongType));
    assert_eq!(object.string("i"), Err(WrongType));
    assert_eq!(object.string("S"), Ok(None));
    assert_eq!(object.read::<u8>("i"), Ok(Some(1)));
    for text in ["[]", "1", "null", "\"{}\""] {
        assert_eq!(Object::parse(text.as_bytes(), 32).unwrap_err(), JsonError::NotAnObject, "{text}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(".*", inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_a_writer_wrote_is_read_back(value in any_value()) {
        let text = serde_json::to_vec(&value).unwrap();
        prop_assert_eq!(parse(&text, 32).unwrap(), Node::from(&value));
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_read_as_serde_json_reads_them(bytes: Vec<u8>) {
        if let Ok(node) = parse(&bytes, 32) {
            let value: Value = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(node, Node::from(&value));
        }
    }

    #[test]
    fn an_object_is_refused_for_what_the_check_refuses(value in any_value(), cut: Index, byte: u8) {
        let mut text = serde_json::to_vec(&json!({ "a": value })).unwrap();
        let at = cut.index(text.len());
        text[at] = byte;
        match (check(&text, 8), Object::parse(&text, 8)) {
            (Ok(_), object) => prop_assert!(matches!(object, Ok(_) | Err(JsonError::NotAnObject))),
            (Err(fault), object) => prop_assert_eq!(object.unwrap_err(), fault),
        }
    }

    #[test]
    fn a_string_or_number_is_refused_alone_as_in_an_object(scalar in r#"("[ -~\x00\n\\ud89]{0,12}"|[-+0-9.eE]{1,24}|true|nul|null)"#) {
        let text = format!("{{\"a\":{scalar}}}");
        prop_assert_eq!(Object::parse(text.as_bytes(), 8).map(|_| ()), check(text.as_bytes(), 8).map(|_| ()));
    }
}
