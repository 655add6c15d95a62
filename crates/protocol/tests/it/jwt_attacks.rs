//! The attack corpus, through the very function behind `chartgate token inspect --jsonl`.

use std::time::Duration;

use chartgate_protocol::jose::inspect::{Inspector, Verdict};
use chartgate_protocol::jose::{AccessTokenVerifier, ExpectedAudience, KeySet};
use chartgate_values::Timestamp;
use serde_json::Value;

use crate::vectors::{self, Tally};

#[test]
fn every_token_of_the_corpus_gets_the_verdict_that_it_has_to_get() {
    let Some(folder) = vectors::folder("jwt-attacks") else { return };
    let config = vectors::json(&folder, "config.json");
    let keys = KeySet::parse(&std::fs::read(folder.join("jwks.json")).unwrap()).unwrap();
    let text = |name: &str| config[name].as_str().unwrap().to_owned();
    let names = config["allowed_algs"].as_array().unwrap();
    let verifier = AccessTokenVerifier {
        algorithms: names.iter().map(|name| name.as_str().unwrap().parse().unwrap()).collect(),
        skew: Duration::from_secs(config["leeway_seconds"].as_u64().unwrap()),
        ..AccessTokenVerifier::new(text("issuer"), ExpectedAudience::OneOf(vec![text("audience")]))
    };
    let now = Timestamp::from_unix(config["now"].as_i64().unwrap());
    let inspector = Inspector { verifier: &verifier, keys: &keys, now };

    let mut tally = Tally::default();
    let mut wrong = Vec::new();
    for line in std::fs::read_to_string(folder.join("tokens.jsonl")).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let found = inspector.line(line.as_bytes());
        assert_eq!(found.id.as_deref(), row["id"].as_str());
        let expected = row["expect"].as_str().unwrap();
        match (expected, found.verdict) {
            ("accept", Verdict::Accept) => tally.add("accepted"),
            ("reject", Verdict::Reject) => tally.add("refused"),
            ("either", _) => tally.add("either"),
            _ => wrong.push(format!("{} {}: {found:?}", row["id"], row["description"])),
        }
        if expected == "reject" && found.reason == row["reason"].as_str() {
            tally.add("for the hinted reason");
        } else if expected == "reject" {
            println!("{}: hinted {}, found {:?}", row["id"], row["reason"], found.reason);
        }
    }
    println!("jwt-attacks: {tally}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(tally.of("accepted") >= 20 && tally.of("refused") >= 200, "{tally}");
}
