//! An address that failed too often is not heard; whoever shows a good token from there is.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use crate::browser::{App, Tokens, USER_SCOPE};
use crate::gateway::Gateway;
use crate::possession::DpopKey;
use crate::wire::{Call, Connection, tls};

#[tokio::test]
async fn a02_a_good_token_is_served_from_an_address_that_is_turned_away() {
    let gateway = &Gateway::demo("throttled", &[]);
    let path = format!("/fhir/Patient/{}", gateway.panel("dana")[0]);
    let token = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await.access;
    let (good, bad) = (Call::get(&path).bearer(&token), Call::get(&path).bearer("not-a-token"));
    let key = DpopKey::new();
    let code = App::public(USER_SCOPE).code(gateway, &gateway.demo_person("dana")).await;
    let bound = Tokens::of(&key.send(gateway, &App::public(USER_SCOPE).exchange_call(&code)).await).access;
    let mut connection = Connection::open_from(gateway, Ipv4Addr::new(127, 7, 7, 9)).await;
    let mut failed = 0;
    loop {
        match connection.send(bad.clone()).await.status {
            401 => failed += 1,
            429 => break,
            other => panic!("{other}"),
        }
        assert!(failed < 20_000, "never turned away");
    }
    assert!(failed >= 1000, "turned away after {failed}");
    // Tries are regained with time: use up what there is, around each good request.
    for _ in 0..5 {
        while connection.send(bad.clone()).await.status != 429 {}
        assert_eq!(connection.send(good.clone()).await.status, 200);
        while connection.send(bad.clone()).await.status != 429 {}
        let proved = key.using(gateway, Call::get(&path), &bound);
        assert_eq!(connection.send(proved.clone()).await.status, 200, "looked at before it is used up");
        while connection.send(bad.clone()).await.status != 429 {}
        assert_eq!(connection.send(proved).await.status, 401, "o13: and used up once");
    }
    // Nor are pages shown, and what stands behind a route is not public by its name.
    let within = "/fhir/x/.well-known/y";
    for (path, turned_away) in
        [("/account", Call::get("/account")), (within, Call::get(within).bearer("not-a-token"))]
    {
        let mut status = 0;
        // A try may be regained in between.
        for _ in 0..20 {
            while connection.send(bad.clone()).await.status != 429 {}
            status = connection.send(turned_away.clone()).await.status;
            if status == 429 {
                break;
            }
        }
        assert_eq!(status, 429, "{path}");
    }
    let own = Call::get("/fhir/.well-known/smart-configuration");
    assert_eq!(connection.send(own).await.status, 200, "a route's own document is");
    assert_eq!(connection.send(Call::get("/jwks")).await.status, 200, "public documents are");
    let records = gateway.audit(&[]);
    let throttled: Vec<_> = records.iter().filter(|r| r["event"] == "access.throttled").collect();
    assert_eq!(throttled.len(), 1, "one a minute and address");
    assert_eq!(throttled[0]["source"]["ip"], "127.7.7.9");
}

#[tokio::test]
async fn a02_forms_that_break_off_are_counted_against_their_address() {
    let gateway = &Gateway::demo("throttled-forms", &[]);
    let from = Ipv4Addr::new(127, 7, 7, 10);
    let authority = gateway.issuer.strip_prefix("https://").unwrap();
    let begun =
        format!("POST /token HTTP/1.1\r\nhost: {authority}\r\ncontent-length: 100\r\n\r\ngrant_type=");
    for number in 0..5_000 {
        let mut stream = tls(gateway, from, &[b"http/1.1"]).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        if number % 100 == 99 {
            let asked = Connection::open_from(gateway, from).await.send(Call::get("/account")).await;
            if asked.status == 429 {
                assert!(number >= 999, "turned away after {number}");
                return;
            }
        }
    }
    panic!("never turned away");
}

#[tokio::test]
async fn a02_so_many_forms_of_an_address_are_on_their_way_at_once_and_others_are_heard() {
    let gateway = Arc::new(Gateway::demo("throttled-slow-forms", &[]));
    let (from, other) = (Ipv4Addr::new(127, 7, 7, 11), Ipv4Addr::new(127, 7, 7, 12));
    let authority = gateway.issuer.strip_prefix("https://").unwrap();
    let begun =
        format!("POST /token HTTP/1.1\r\nhost: {authority}\r\ncontent-length: 100\r\n\r\ngrant_type=");
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..512 {
        let (gateway, begun) = (Arc::clone(&gateway), begun.clone());
        opening.spawn(async move {
            let mut stream = tls(&gateway, from, &[b"http/1.1"]).await.unwrap();
            stream.write_all(begun.as_bytes()).await.unwrap();
            stream
        });
    }
    let slow = opening.join_all().await;
    let form = || async {
        let form = Call::form("/token", &[("grant_type", "client_credentials")]);
        Connection::open_from(&gateway, from).await.send(form).await.status
    };
    // The last of them may be on its way still. A hundred failures more turn no address away.
    let mut told = Vec::new();
    while told.last() != Some(&429) && told.len() < 100 {
        told.push(form().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(told.last(), Some(&429), "a form more is taken: {told:?}");
    let throttled = gateway.audit(&["--event", "access.throttled"]);
    assert_eq!(throttled.len(), 1, "it is on record: {throttled:?}");
    let public = Connection::open_from(&gateway, from).await.send(Call::get("/jwks")).await;
    assert_eq!(public.status, 200, "what has no form waits for none");
    let elsewhere = Call::form("/token", &[("grant_type", "client_credentials")]);
    assert_eq!(Connection::open_from(&gateway, other).await.send(elsewhere).await.status, 401);
    drop(slow);
    while told.last() == Some(&429) && told.len() < 200 {
        told.push(form().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(told.last(), Some(&401), "those that broke off make room: {told:?}");
}
