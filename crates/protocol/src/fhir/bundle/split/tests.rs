use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

use super::*;
use crate::fhir::version::FhirVersion;
use crate::json::check;

fn bases() -> BaseUrls {
    BaseUrls {
        public: "https://gate.test/fhir".parse().unwrap(),
        upstream: "http://hapi:8080/fhir".parse().unwrap(),
        version: FhirVersion::R4,
    }
}

/// The entries of a text that arrives in pieces of so many bytes, and what stands around them.
fn split(text: &[u8], size: usize) -> Result<(Vec<String>, Outline), BadAnswer> {
    let mut entries = Vec::new();
    let mut splitter = Splitter::new(Entries::Given);
    for piece in text.chunks(size) {
        splitter.push(piece, |entry| entries.push(entry.to_vec()))?;
    }
    let outline = splitter.end("searchset", &bases())?;
    let entries: Result<Vec<_>, BadAnswer> = entries
        .iter()
        .map(|entry| {
            Object::parse(entry, ENTRY_DEPTH)?;
            Ok(String::from_utf8(entry.clone()).unwrap())
        })
        .collect();
    Ok((entries?, outline))
}

/// The same by one reader of the whole text.
fn whole(text: &[u8]) -> Option<(Vec<String>, Option<NextPage>)> {
    let bundle = Object::parse(text, MAX_DEPTH).ok()?;
    is_of_kind(&bundle, "searchset").ok()?;
    let _: Vec<Object<'_>> = list(&bundle, "entry").ok()?;
    let entries: Vec<&RawValue> = bundle.read("entry").ok()?.unwrap_or_default();
    let next = next_page(&bundle, &bases()).ok()?;
    Some((entries.into_iter().map(|entry| entry.get().to_owned()).collect(), next))
}

fn same(text: &[u8]) {
    let whole = whole(text);
    for size in [1, 2, 3, 7, text.len().max(1)] {
        let split = split(text, size).ok();
        let longest = split.as_ref().map(|(entries, _)| entries.iter().map(String::len).max().unwrap_or(0));
        assert_eq!(split.as_ref().map(|(_, outline)| outline.longest), longest);
        let split = split.map(|(entries, outline)| (entries, outline.next));
        assert_eq!(split, whole, "{} in pieces of {size}", String::from_utf8_lossy(text));
    }
}

#[test]
fn entries_are_those_of_a_reader_of_the_whole_text_however_it_arrives() {
    let bundle = |rest: &str| format!(r#"{{"resourceType":"Bundle","type":"searchset"{rest}}}"#);
    for rest in [
        "",
        r#","entry":[]"#,
        r#", "entry" : [ {"a":"]}\"[{"} , {} ,{"b":[1,{"c":"\\"}]}	] "#,
        r#","\u0065ntry":[{}],"total":1"#,
        r#","link":[{"relation":"next","url":"http://hapi:8080/fhir?x"}],"entry":[{"entry":[{}]}]"#,
        r#","entry":[{"\u00e4":"ä€😀"}],"meta":{"entry":[{"not":"one"}]}"#,
    ] {
        let text = bundle(rest);
        assert!(whole(text.as_bytes()).is_some(), "{text}");
        same(text.as_bytes());
    }
    for rest in [
        r#","entry":[{}],"entry":[{}]"#,
        r#","entry":[{}],"\u0065ntry":[{}]"#,
        r#","entry":[{"a":1,"a":2}]"#,
        r#","entry":[{},]"#,
        r#","entry":[,{}]"#,
        r#","entry":[{}{}]"#,
        r#","entry":[{}:{}]"#,
        r#","entry":[{}}"#,
        r#","entry":[{"a":1]]"#,
        r#","entry":[1]"#,
        r#","entry":["a"]"#,
        r#","entry":[null]"#,
        r#","entry":[[{}]]"#,
        r#","entry":null"#,
        r#","entry":{}"#,
        r#","x":"entry":[{}]"#,
        r#","entry":[{"a":"\ud800"}]"#,
        r#","type":"searchset""#,
    ] {
        let text = bundle(rest);
        assert!(whole(text.as_bytes()).is_none(), "{text}");
        same(text.as_bytes());
    }
    let broken: [&[u8]; 8] = [
        b"",
        b"[]",
        b"\xef\xbb\xbf{}",
        br#"{"resourceType":"Bundle","type":"searchset","entry":[{}]"#,
        br#"{"resourceType":"Bundle","type":"searchset","entry":[{}]}{}"#,
        br#"{"resourceType":"Bundle","type":"searchset","entry":[{}]}]"#,
        b"{\"resourceType\":\"Bundle\",\"type\":\"searchset\",\"entry\":[{\"a\":\"\xff\"}]}",
        b"{\"resourceType\":\"Bundle\",\"type\":\"searchset\",\"entry\":[{}]\xff}",
    ];
    for text in broken {
        assert!(whole(text).is_none());
        same(text);
    }
}

#[test]
fn what_nests_too_deeply_in_an_entry_is_what_nests_too_deeply_in_the_bundle() {
    for depth in [ENTRY_DEPTH - 1, ENTRY_DEPTH] {
        let nested = format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        let text = format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{nested}]}}"#);
        assert_eq!(check(text.as_bytes(), MAX_DEPTH).is_ok(), depth < ENTRY_DEPTH);
        same(text.as_bytes());
    }
}

#[test]
fn what_stands_around_the_entries_is_bounded() {
    let text = format!(
        r#"{{"resourceType":"Bundle","type":"searchset","x":"{}","entry":[]}}"#,
        "x".repeat(MOST_AROUND)
    );
    assert_eq!(split(text.as_bytes(), 1 << 16).err(), Some(BadAnswer::TooMuchAround));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        r#"[\[\]{}",:\\ a-c\u{e4}\u{1f600}]{0,6}"#.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(r#"entry|[a-b"\\]{1,2}"#, inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_stands_in_a_bundle_entries_are_entries(
        before in value(), entries in prop::collection::vec(value(), 0..5), after in value(), pretty in any::<bool>(),
    ) {
        let bundle = serde_json::json!({ "a": before, "entry": entries, "resourceType": "Bundle", "type": "searchset", "z": after });
        let text = if pretty { serde_json::to_string_pretty(&bundle) } else { serde_json::to_string(&bundle) }.unwrap();
        same(text.as_bytes());
    }

    #[test]
    fn a_byte_that_is_altered_is_found_or_is_of_no_account(
        entries in prop::collection::vec(value(), 0..4), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let entries: Vec<_> = entries.into_iter().map(|value| serde_json::json!({ "a": value })).collect();
        let bundle = serde_json::json!({ "entry": entries, "resourceType": "Bundle", "type": "searchset" });
        let mut text = bundle.to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        same(&text);
    }
}
