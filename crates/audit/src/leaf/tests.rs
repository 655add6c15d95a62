use std::collections::BTreeMap;
use std::sync::Arc;

use chartgate_values::seal::MasterKey;
use chartgate_values::{Phi, SeededEntropy, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::record::{Actor, ActorKind, Decision, Delegate, Event, Outcome, Request, Response};
use crate::storage::memory::MemoryDisk;

struct Bench {
    disk: MemoryDisk,
    keys: DataKeys,
    entropy: SeededEntropy,
}

impl Bench {
    fn new() -> Self {
        let disk = MemoryDisk::new();
        let keys = DataKeys::new(Arc::new(disk.clone()), &MasterKey::from_bytes([7; 32])).unwrap();
        Self { disk, keys, entropy: SeededEntropy::new(1) }
    }

    fn encode(&mut self, record: &Record) -> Result<EncodedLeaf, EncodeError> {
        let key = self.keys.for_sealing(&Month::of(record.time), &mut self.entropy).unwrap();
        self.keys.save_new().unwrap();
        encode(record, &key, &mut self.entropy)
    }

    fn read(&self, leaf: &[u8]) -> Result<Record, UnsealError> {
        Leaf::parse(leaf).unwrap().unseal(&self.keys, &self.disk).map_err(|unopened| unopened.cause)
    }
}

pub(crate) fn record() -> Record {
    let phi = |text: &str| Phi::new(text.to_owned());
    let text = |text: &str| Some(text.to_owned());
    let time = Timestamp::from_micros(1_793_836_800_000_001);
    Record {
        actor: Actor {
            sub: text("dana"),
            client_id: text("demo-web"),
            kind: ActorKind::Human,
            fhir_user: Some(phi("Practitioner/dana")),
            roles: vec!["physician".into()],
        },
        on_behalf_of: vec![Delegate { sub: "agent-7".into(), client_id: None }],
        action: text("read"),
        resource: Some(phi("Observation/17")),
        patients: vec![phi("pat-1")],
        purpose_of_use: text("TREAT"),
        decision: Decision { policies: vec!["care".into()], reason: None, obligations: vec![] },
        session: text("s1"),
        jti: text("j1"),
        source_ip: Some(Phi::new([192, 0, 2, 1].into())),
        request_id: text("r1"),
        route: text("ehr"),
        request: Request { method: text("GET"), digest: None, query: Some(phi("code=\"1\"\u{1f}\n")) },
        response: Response { status: Some(200), count: Some(1), bytes: Some(1400), ..Response::default() },
        acr: text("aal2"),
        amr: vec!["pwd".into(), "otp".into()],
        auth_time: Some(Timestamp::from_unix(1_793_836_000)),
        grant: text("g1"),
        entry: Some(0),
        detail: BTreeMap::from([("why".to_owned(), phi("Trenton asked"))]),
        ..Record::new(Event::Access, Outcome::Allow, time)
    }
}

#[test]
fn the_format_is_the_documented_one() {
    let mut bench = Bench::new();
    let leaf = bench.encode(&record()).unwrap();
    assert!(leaf.blob.is_none());
    let text = String::from_utf8(leaf.bytes).unwrap();
    let (before, rest) = text.split_once(r#""text":""#).unwrap();
    let (_, after) = rest.split_once('"').unwrap();
    assert_eq!(
        before,
        concat!(
            r#"{"record":{"acr":"aal2","action":"read","actor":{"client_id":"demo-web","kind":"human","#,
            r#""roles":["physician"],"sub":"dana"},"amr":["pwd","otp"],"auth_time":"2026-11-04T23:46:40.000000Z","#,
            r#""decision":{"policies":["care"]},"entry":0,"event":"access","grant":"g1","jti":"j1","#,
            r#""on_behalf_of":[{"sub":"agent-7"}],"outcome":"allow","purpose_of_use":"TREAT","#,
            r#""request":{"method":"GET"},"request_id":"r1","response":{"bytes":1400,"count":1,"status":200},"#,
            r#""route":"ehr","session":"s1","time":"2026-11-05T00:00:00.000001Z"},"sealed":{"key":"2026-11","#,
        )
    );
    assert_eq!(after, r#"},"v":1}"#);
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let mut bench = Bench::new();
    let leaf = bench.encode(&record()).unwrap();
    assert_eq!(bench.read(&leaf.bytes).unwrap(), record());
    let bare = Record::new(Event::Started, Outcome::Allow, Timestamp::EPOCH);
    let leaf = bench.encode(&bare).unwrap();
    let text = r#"{"record":{"actor":{"kind":"anonymous"},"event":"gateway.start","outcome":"allow","time":"1970-01-01T00:00:00.000000Z"},"v":1}"#;
    assert_eq!(leaf.bytes, text.as_bytes());
    assert_eq!(bench.read(&leaf.bytes).unwrap(), bare);
}

/// What a leaf says, clear and hidden, is the same when it is written anew from sorted maps.
fn assert_canonical(record: &Record, leaf: &EncodedLeaf) {
    let mut hidden = Vec::new();
    if let Some(to_hide) = ToHide::of(record) {
        to_hide.push_json(&mut hidden);
    }
    for json in [&leaf.bytes, &hidden].into_iter().filter(|json| !json.is_empty()) {
        let mut value: serde_json::Value = serde_json::from_slice(json).unwrap();
        value.sort_all_objects();
        assert_eq!(String::from_utf8_lossy(json), serde_json::to_string(&value).unwrap());
    }
}

#[test]
fn a_record_of_which_every_field_says_something_is_canonical_and_comes_back() {
    let phi = |text: &str| Phi::new(text.to_owned());
    let text = |text: &str| Some(text.to_owned());
    let mut full = record();
    full.on_behalf_of = vec![
        Delegate { sub: "agent-7".into(), client_id: text("agents") },
        Delegate { sub: "agent-8".into(), client_id: None },
    ];
    full.decision.reason = text("masked");
    full.decision.obligations = vec!["mask:name".into(), "note".into()];
    full.request.digest = Some(phi("d1"));
    full.response.withheld = Some((1 << 53) - 1);
    full.response.digests = vec![phi("d2"), phi("d3")];
    full.response.truncated = text("hung-up");
    full.detail = BTreeMap::from([
        ("\"\\".to_owned(), phi("\u{8}\u{c}\r\t\u{7f}\u{2028}😀")),
        ("".to_owned(), phi("")),
    ]);
    for ip in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] {
        full.source_ip = Some(Phi::new(ip.parse().unwrap()));
        let mut bench = Bench::new();
        let leaf = bench.encode(&full).unwrap();
        assert_canonical(&full, &leaf);
        assert_eq!(bench.read(&leaf.bytes).unwrap(), full);
    }
}

#[test]
fn nothing_of_a_patient_stands_in_the_clear() {
    let leaf = Bench::new().encode(&record()).unwrap();
    let text = String::from_utf8(leaf.bytes).unwrap();
    for word in ["pat-1", "Observation", "Practitioner", "192.0.2.1", "code=", "Trenton", "why"] {
        assert!(!text.contains(word), "{word}");
    }
}

#[test]
fn what_is_too_long_for_a_leaf_lies_in_a_file_that_the_leaf_names() {
    let mut bench = Bench::new();
    let patients: Vec<_> = (0..4000).map(|i| Phi::new(format!("patient-{i}"))).collect();
    let long = Record { patients, ..record() };
    let leaf = bench.encode(&long).unwrap();
    let blob = leaf.blob.unwrap();
    let parsed = Leaf::parse(&leaf.bytes).unwrap();
    assert_eq!(parsed.blob().unwrap(), (blob.path.clone(), Hash::of(&[&blob.bytes])));
    assert!(matches!(bench.read(&leaf.bytes), Err(UnsealError::Blob { .. })));
    bench.disk.put(std::slice::from_ref(&blob)).unwrap();
    assert_eq!(bench.read(&leaf.bytes).unwrap(), long);
}

#[test]
fn every_length_around_the_limit_fits_or_moves_to_a_file() {
    let mut bench = Bench::new();
    let mut kinds = [0, 0];
    for length in 23_600..24_000 {
        let padded = Record { resource: Some(Phi::new("x".repeat(length))), ..record() };
        let leaf = bench.encode(&padded).unwrap();
        assert!(leaf.bytes.len() <= MAX_LEAF);
        kinds[usize::from(leaf.blob.is_some())] += 1;
    }
    assert!(kinds[0] > 0 && kinds[1] > 0, "{kinds:?}");
}

#[test]
fn a_record_that_cannot_be_stored_is_refused() {
    let mut bench = Bench::new();
    let response = Response { bytes: Some(1 << 53), ..Response::default() };
    assert_eq!(bench.encode(&Record { response, ..record() }).unwrap_err(), EncodeError::NumberTooLarge);
    let action = Some("x".repeat(MAX_LEAF));
    assert_eq!(bench.encode(&Record { action, ..record() }).unwrap_err(), EncodeError::TooLong);
    let resource = Some(Phi::new("x".repeat(MAX_SEALED)));
    assert_eq!(bench.encode(&Record { resource, ..record() }).unwrap_err(), EncodeError::TooLong);
}

#[test]
fn a_sealed_part_does_not_open_beside_another_clear_part() {
    let mut bench = Bench::new();
    let one = String::from_utf8(bench.encode(&record()).unwrap().bytes).unwrap();
    let other = one.replace(r#""jti":"j1""#, r#""jti":"j2""#);
    assert!(matches!(bench.read(other.as_bytes()), Err(UnsealError::Seal(SealError))));
    let moved = one.replace(r#""key":"2026-11""#, r#""key":"2026-10""#);
    assert!(
        matches!(bench.read(moved.as_bytes()), Err(UnsealError::Shredded(month)) if month.as_str() == "2026-10")
    );
}

#[test]
fn a_shredded_month_keeps_its_clear_part() {
    let mut bench = Bench::new();
    let leaf = bench.encode(&record()).unwrap();
    let month = Month::of(record().time);
    bench.keys.shred(&month).unwrap();
    assert!(matches!(bench.read(&leaf.bytes), Err(UnsealError::Shredded(_))));
    let parsed = Leaf::parse(&leaf.bytes).unwrap();
    assert_eq!(parsed.sealed_in(), Some(&month));
    assert_eq!(parsed.clear_record().actor.sub.as_deref(), Some("dana"));
    assert_eq!(parsed.clear_record().resource, None);
}

#[test]
fn another_spelling_of_a_leaf_is_refused() {
    let leaf = String::from_utf8(Bench::new().encode(&record()).unwrap().bytes).unwrap();
    for (from, to, error) in [
        (r#""v":1"#, r#""v":2"#, LeafError::Malformed),
        (r#""v":1"#, r#""v":1,"w":1"#, LeafError::Malformed),
        (r#""v":1"#, r#""v":1,"v":1"#, LeafError::Malformed),
        (r#""bytes":1400"#, r#""bytes":9007199254740992"#, LeafError::Malformed),
        (r#""bytes":1400"#, r#""bytes":1400.0"#, LeafError::Malformed),
        (r#""event":"access""#, r#""event":"success""#, LeafError::Malformed),
        (r#""key":"2026-11""#, r#""key":"../../x""#, LeafError::Malformed),
        (r#""v":1"#, r#""v": 1"#, LeafError::NotCanonical),
        (r#"{"record":"#, r#"{"record": "#, LeafError::NotCanonical),
        (r#","v":1"#, r#","sealed":null,"v":1"#, LeafError::Malformed),
        (r#""entry":0"#, r#""entry":-0"#, LeafError::Malformed),
        (r#""acr":"aal2""#, r#""acr":"\u0061al2""#, LeafError::NotCanonical),
        (r#""entry":0,"event":"access""#, r#""event":"access","entry":0"#, LeafError::NotCanonical),
        (".000001Z", ".000001+00:00", LeafError::NotCanonical),
        (r#""decision":{"#, r#""decision":{"obligations":[],"#, LeafError::NotCanonical),
    ] {
        let altered = leaf.replacen(from, to, 1);
        assert_ne!(altered, leaf, "{from}");
        assert_eq!(Leaf::parse(altered.as_bytes()).unwrap_err(), error, "{from} {to}");
    }
    assert_eq!(Leaf::parse(&vec![b' '; MAX_LEAF.strict_add(1)]).unwrap_err(), LeafError::TooLong);
}

fn text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("\\PC{0,6}|[\u{0}-\u{7f}]{0,6}")
}

proptest! {
    #[test]
    fn whatever_text_a_record_holds_comes_back(
        (sub, action, resource, query) in (text(), text(), text(), text()),
        detail in proptest::collection::btree_map(".{0,4}", ".{0,4}", 0..3),
    ) {
        let mut bench = Bench::new();
        let detail = detail.into_iter().map(|(k, v)| (k, Phi::new(v))).collect();
        let written = Record {
            actor: Actor { sub, ..Actor::default() },
            action,
            resource: resource.map(Phi::new),
            request: Request { query: query.map(Phi::new), ..Request::default() },
            detail,
            ..Record::new(Event::LoginFailed, Outcome::Deny, Timestamp::EPOCH)
        };
        let leaf = bench.encode(&written).unwrap();
        assert_canonical(&written, &leaf);
        prop_assert_eq!(bench.read(&leaf.bytes).unwrap(), written);
    }
}
