use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn patched(text: &str, patch: &str) -> Result<String, PatchConflict> {
    JsonPatch::parse(patch.as_bytes(), 32).unwrap().apply(text, 1 << 20)
}

fn malformed(patch: &str) -> MalformedPatch {
    JsonPatch::parse(patch.as_bytes(), 32).map(drop).unwrap_err()
}

#[test]
fn the_examples_of_rfc_6902_appendix_a_come_out_as_it_says() {
    for (text, patch, expected) in [
        (
            json!({"foo": "bar"}),
            json!([{"op": "add", "path": "/baz", "value": "qux"}]),
            Some(json!({"baz": "qux", "foo": "bar"})),
        ),
        (
            json!({"foo": ["bar", "baz"]}),
            json!([{"op": "add", "path": "/foo/1", "value": "qux"}]),
            Some(json!({"foo": ["bar", "qux", "baz"]})),
        ),
        (
            json!({"baz": "qux", "foo": "bar"}),
            json!([{"op": "remove", "path": "/baz"}]),
            Some(json!({"foo": "bar"})),
        ),
        (
            json!({"foo": ["bar", "qux", "baz"]}),
            json!([{"op": "remove", "path": "/foo/1"}]),
            Some(json!({"foo": ["bar", "baz"]})),
        ),
        (
            json!({"baz": "qux", "foo": "bar"}),
            json!([{"op": "replace", "path": "/baz", "value": "boo"}]),
            Some(json!({"baz": "boo", "foo": "bar"})),
        ),
        (
            json!({"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}}),
            json!([{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}]),
            Some(json!({"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}})),
        ),
        (
            json!({"foo": ["all", "grass", "cows", "eat"]}),
            json!([{"op": "move", "from": "/foo/1", "path": "/foo/3"}]),
            Some(json!({"foo": ["all", "cows", "eat", "grass"]})),
        ),
        (
            json!({"baz": "qux", "foo": ["a", 2, "c"]}),
            json!([{"op": "test", "path": "/baz", "value": "qux"}, {"op": "test", "path": "/foo/1", "value": 2}]),
            Some(json!({"baz": "qux", "foo": ["a", 2, "c"]})),
        ),
        (json!({"baz": "qux"}), json!([{"op": "test", "path": "/baz", "value": "bar"}]), None),
        (
            json!({"foo": "bar"}),
            json!([{"op": "add", "path": "/child", "value": {"grandchild": {}}}]),
            Some(json!({"foo": "bar", "child": {"grandchild": {}}})),
        ),
        (
            json!({"foo": "bar"}),
            json!([{"op": "add", "path": "/baz", "value": "qux", "xyz": 123}]),
            Some(json!({"foo": "bar", "baz": "qux"})),
        ),
        (json!({"foo": "bar"}), json!([{"op": "add", "path": "/baz/bat", "value": "qux"}]), None),
        (
            json!({"/": 9, "~1": 10}),
            json!([{"op": "test", "path": "/~01", "value": 10}]),
            Some(json!({"/": 9, "~1": 10})),
        ),
        (json!({"/": 9, "~1": 10}), json!([{"op": "test", "path": "/~01", "value": "10"}]), None),
        (
            json!({"foo": ["bar"]}),
            json!([{"op": "add", "path": "/foo/-", "value": ["abc", "def"]}]),
            Some(json!({"foo": ["bar", ["abc", "def"]]})),
        ),
    ] {
        let outcome = patched(&text.to_string(), &patch.to_string()).ok();
        assert_eq!(outcome.map(|text| serde_json::from_str::<Value>(&text).unwrap()), expected, "{patch}");
    }
}

#[test]
fn what_a_patch_does_not_name_keeps_every_letter() {
    let text = r#"{"b": 1.10, "a":[ 1e-3,"\u00e4", {"x" : 0.30000000000000000001}],"c":{"k":[2.50]}}"#;
    let after = patched(text, r#"[{"op":"add","path":"/c/k/0","value":3.1400}]"#).unwrap();
    assert_eq!(
        after,
        r#"{"b":1.10,"a":[ 1e-3,"\u00e4", {"x" : 0.30000000000000000001}],"c":{"k":[3.1400,2.50]}}"#
    );
}

#[test]
fn a_place_that_there_is_not_is_a_conflict_and_nothing_is_changed() {
    let text = r#"{"a":[1,2],"b":{"c":"x"}}"#;
    for operation in [
        r#"{"op":"remove","path":"/x"}"#,
        r#"{"op":"remove","path":""}"#,
        r#"{"op":"remove","path":"/a/2"}"#,
        r#"{"op":"remove","path":"/a/-"}"#,
        r#"{"op":"remove","path":"/a/01"}"#,
        r#"{"op":"replace","path":"/x","value":1}"#,
        r#"{"op":"replace","path":"/a/-","value":1}"#,
        r#"{"op":"add","path":"/a/3","value":1}"#,
        r#"{"op":"add","path":"/a/x","value":1}"#,
        r#"{"op":"add","path":"/b/c/d","value":1}"#,
        r#"{"op":"move","from":"/x","path":"/y"}"#,
        r#"{"op":"move","from":"/b","path":"/b/c"}"#,
        r#"{"op":"move","from":"/x","path":"/x"}"#,
        r#"{"op":"copy","from":"/x","path":"/y"}"#,
        r#"{"op":"test","path":"/x","value":null}"#,
    ] {
        let patch = format!(r#"[{{"op":"add","path":"/n","value":1}},{operation}]"#);
        assert_eq!(patched(text, &patch), Err(PatchConflict::Place(1)), "{operation}");
    }
}

#[test]
fn values_are_the_same_by_what_they_mean() {
    let is_same = |a: &str, b: &str| {
        let patch = format!(r#"[{{"op":"test","path":"/v","value":{b}}}]"#);
        patched(&format!(r#"{{"v":{a}}}"#), &patch).is_ok()
    };
    for (a, b) in [
        ("1.10", "1.1"),
        ("100", "1e2"),
        ("0", "-0.0e9"),
        ("12.5", "125E-1"),
        (r#""\u00e4""#, "\"ä\""),
        (r#"{"a":1,"b":[2]}"#, r#"{"b":[2.0],"a":1}"#),
        ("[]", "[ ]"),
    ] {
        assert!(is_same(a, b) && is_same(b, a), "{a} {b}");
    }
    for (a, b) in [
        ("1", "\"1\""),
        ("1", "-1"),
        ("0.30000000000000000001", "0.3"),
        ("9007199254740993", "9007199254740992"),
        ("null", "false"),
        ("null", "0"),
        ("[1,2]", "[2,1]"),
        ("[1]", "[1,1]"),
        (r#"{"a":1}"#, r#"{"a":1,"b":null}"#),
        (r#"{"a":1}"#, r#"{"b":1}"#),
        ("{}", "[]"),
        ("\"a\"", "\"A\""),
    ] {
        assert!(!is_same(a, b) && !is_same(b, a), "{a} {b}");
    }
}

#[test]
fn what_is_no_patch_is_refused() {
    for (patch, fault) in [
        ("", MalformedPatch::Json(JsonError::Syntax)),
        ("{}", MalformedPatch::NotOperations),
        ("null", MalformedPatch::NotOperations),
        ("[1]", MalformedPatch::NotOperations),
        (r#"[{"op":"test","op":"add","path":"","value":1}]"#, MalformedPatch::Json(JsonError::DuplicateName)),
        (r#"[{"path":"/a"}]"#, MalformedPatch::Operation(0)),
        (r#"[{"op":"remove","path":"/a"},{"op":"spam","path":"/a"}]"#, MalformedPatch::Operation(1)),
        (r#"[{"op":"Remove","path":"/a"}]"#, MalformedPatch::Operation(0)),
        (r#"[{"op":["remove"],"path":"/a"}]"#, MalformedPatch::Operation(0)),
        (r#"[{"op":"remove"}]"#, MalformedPatch::Operation(0)),
        (r#"[{"op":"remove","path":"a"}]"#, MalformedPatch::Operation(0)),
        (r#"[{"op":"remove","path":"/~a"}]"#, MalformedPatch::Operation(0)),
        (r#"[{"op":"add","path":"/a"}]"#, MalformedPatch::Operation(0)),
        (r#"[{"op":"replace","path":"/a"}]"#, MalformedPatch::Operation(0)),
        (r#"[{"op":"test","path":"/a"}]"#, MalformedPatch::Operation(0)),
        (r#"[{"op":"move","path":"/a"}]"#, MalformedPatch::Operation(0)),
        (r#"[{"op":"copy","path":"/a","from":7}]"#, MalformedPatch::Operation(0)),
    ] {
        assert_eq!(malformed(patch), fault, "{patch}");
    }
    assert!(JsonPatch::parse(br#"[{"op":"add","path":"/a","value":null}]"#, 32).is_ok(), "null is a value");
    let many = |count: usize| format!("[{}]", vec![r#"{"op":"remove","path":"/a"}"#; count].join(","));
    assert!(JsonPatch::parse(many(MAX_OPERATIONS).as_bytes(), 32).is_ok());
    assert_eq!(malformed(&many(MAX_OPERATIONS + 1)), MalformedPatch::TooMany);
}

#[test]
fn copies_of_copies_grow_no_further_than_there_is_room_and_nest_no_deeper() {
    let copy = |number: usize| format!(r#"{{"op":"copy","from":"","path":"/{number}"}}"#);
    let doubling = (0..200).map(copy).collect::<Vec<_>>().join(",");
    let patch = format!("[{doubling}]");
    assert!(matches!(patched(r#"{"b":"x"}"#, &patch), Err(PatchConflict::TooLarge(_))));
    let into_itself = vec![r#"{"op":"copy","from":"/a","path":"/a/-"}"#; 200].join(",");
    assert!(matches!(patched(r#"{"a":[]}"#, &format!("[{into_itself}]")), Err(PatchConflict::TooLarge(_))));
    let small = JsonPatch::parse(br#"[{"op":"add","path":"/a","value":"0123456789"}]"#, 32).unwrap();
    assert_eq!(small.apply("{}", 18).as_deref(), Ok(r#"{"a":"0123456789"}"#));
    assert_eq!(small.apply("{}", 17), Err(PatchConflict::TooLarge(0)));
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        "[a-c~/\"ä]{0,3}".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c~/]{0,2}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Every place of a value, as `serde_json` reads pointers.
fn places(value: &Value, at: String, all: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| places(item, format!("{at}/{n}"), all))
        }
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            places(value, format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), all);
        }),
        _ => {}
    }
    all.push(at);
}

proptest! {
    #[test]
    fn a_replaced_value_stands_there_and_testing_for_it_holds(text in any_value(), value in any_value(), which: prop::sample::Index) {
        let mut all = Vec::new();
        places(&text, String::new(), &mut all);
        let path = which.get(&all);
        let mut expected = text.clone();
        *expected.pointer_mut(path).unwrap() = value.clone();
        let patch = json!([{"op": "replace", "path": path, "value": value}, {"op": "test", "path": path, "value": value}, {"op": "test", "path": "", "value": expected}]);
        let after = patched(&text.to_string(), &patch.to_string()).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(&after).unwrap(), expected);
    }

    #[test]
    fn what_is_moved_away_and_back_was_never_gone(text in any_value(), which: prop::sample::Index) {
        let whole = json!({"in": text});
        let mut all = Vec::new();
        places(&whole, String::new(), &mut all);
        let path = which.get(&all);
        prop_assume!(!path.is_empty());
        let patch = json!([{"op": "move", "from": path, "path": "/out"}, {"op": "move", "from": "/out", "path": path}]);
        let after = patched(&whole.to_string(), &patch.to_string()).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(&after).unwrap(), whole);
    }

    #[test]
    fn a_patch_of_any_bytes_is_refused_or_leaves_json(bytes: Vec<u8>, text in any_value(), path in "(/[a-c0-9~-]{0,2}){0,3}", op in "add|remove|replace|move|copy|test") {
        let _ = JsonPatch::parse(&bytes, 32).map(|patch| patch.apply("{}", 4096));
        let patch = json!([{"op": op, "path": path, "from": "/a", "value": text}]).to_string();
        if let Ok(patch) = JsonPatch::parse(patch.as_bytes(), 64) && let Ok(after) = patch.apply(&text.to_string(), 4096) {
            prop_assert!(super::super::check(after.as_bytes(), DEEPEST).is_ok());
        }
    }
}
