//! The corpus of forged tokens, rows J01 to J23: through `chartgate token inspect --jsonl`, and each of its tokens at the
//! gateway too, where none of them is from our issuer.

use serde_json::Value;

use crate::gateway::chartgate;
use crate::shared;
use crate::wire::{Connection, fresh_address};

#[test]
fn the_command_gives_every_row_the_verdict_that_it_has_to_get() {
    let Some(folder) = shared::folder("vectors/jwt-attacks") else { return };
    let config: Value = serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
    let (jwks, tokens) = (folder.join("jwks.json"), folder.join("tokens.jsonl"));
    let now = config["now"].to_string();
    let mut words = vec!["token", "inspect", "--jwks", jwks.to_str().unwrap(), "--now", &now];
    for (option, name) in [("--issuer", "issuer"), ("--audience", "audience")] {
        words.extend([option, config[name].as_str().unwrap()]);
    }
    for algorithm in config["allowed_algs"].as_array().unwrap() {
        words.extend(["--alg", algorithm.as_str().unwrap()]);
    }
    words.extend(["--jsonl", tokens.to_str().unwrap()]);
    let done = chartgate(&words);
    assert!(!done.success, "some are refused, so it exits 1");
    let rows = std::fs::read_to_string(&tokens).unwrap();
    let (mut accepted, mut rejected) = (0, 0);
    let rows: Vec<Value> = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found: Vec<Value> = done.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((rows.len(), found.len()), (281, 281));
    for (row, found) in rows.iter().zip(&found) {
        assert_eq!(row["id"], found["id"]);
        match row["expect"].as_str().unwrap() {
            "either" => {}
            expected => {
                assert_eq!(found["verdict"], expected, "{} {}: {found}", row["id"], row["description"])
            }
        }
        if found["verdict"] == "accept" { accepted += 1 } else { rejected += 1 }
    }
    println!("jwt-attacks: {} rows, {accepted} accepted, {rejected} rejected", rows.len());
    assert!(accepted >= 20 && rejected >= 200);
}

#[tokio::test]
async fn no_token_of_the_corpus_opens_the_gateway_or_breaks_it() {
    let Some(folder) = shared::folder("vectors/jwt-attacks") else { return };
    let gateway = shared::demo();
    let mut sent = 0;
    for line in std::fs::read_to_string(folder.join("tokens.jsonl")).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let token = row["token"].as_str().unwrap();
        let value = format!("Bearer {token}");
        if http::HeaderValue::from_str(&value).is_err() {
            continue;
        }
        let call = crate::wire::Call::get("/fhir/Patient").bearer(token);
        match Connection::open_from(gateway, fresh_address()).await.try_send(call).await {
            Ok(answer) => {
                assert!([400, 401, 431].contains(&answer.status), "{}: {}", row["id"], answer.status)
            }
            // Longer than any head may be: closed before all of it was sent.
            Err(error) => assert!(token.len() > 64 << 10, "{}: {error}", row["id"]),
        }
        sent += 1;
    }
    assert!(sent > 250, "{sent}");
}
