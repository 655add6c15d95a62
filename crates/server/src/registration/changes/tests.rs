use std::collections::BTreeSet;

use chartgate_access::client::{ClientKind, GrantType};

use super::*;
use crate::registration::{NewClient, settle};

const NOW: Timestamp = Timestamp::EPOCH;

fn client() -> Client {
    let bare = NewClient::bare("app".parse().unwrap(), ClientKind::Confidential);
    settle(NewClient {
        redirect_uris: vec!["https://app.example.org/cb".parse().unwrap()],
        scope: "openid user/*.rs".parse().unwrap(),
        roles: BTreeSet::from(["service".parse().unwrap()]),
        ..bare
    })
    .unwrap()
}

fn cuts(change: impl FnOnce(&mut Client)) -> bool {
    let mut after = client();
    change(&mut after);
    !cut_by(&client(), &after, NOW).is_empty()
}

#[test]
fn what_only_adds_ends_no_token() {
    assert!(!cuts(|_| {}));
    assert!(!cuts(|client| client.scope = "openid user/*.cruds orders.read".parse().unwrap()));
    assert!(!cuts(|client| client.redirect_uris.push("https://app.example.org/two".parse().unwrap())));
    assert!(!cuts(|client| client.grant_types.extend([GrantType::DeviceCode])));
    assert!(!cuts(|client| client.options.may_act.extend(["agent".parse().unwrap()])));
}

#[test]
fn what_takes_away_or_makes_something_another_ends_all_tokens() {
    assert!(cuts(|client| client.scope = "openid user/Patient.rs".parse().unwrap()));
    assert!(cuts(|client| client.redirect_uris = vec!["https://app.example.org/two".parse().unwrap()]));
    assert!(cuts(|client| client.grant_types.retain(|one| *one != GrantType::RefreshToken)));
    assert!(cuts(|client| client.audience = Some("https://gate.example.org/fhir".to_owned())));
    assert!(cuts(|client| client.roles.clear()));
    assert!(cuts(|client| client.roles.extend(["trainee".parse().unwrap()])), "a policy may forbid by it");
    assert!(cuts(|client| client.jwks = Some(serde_json::json!({ "keys": [] }))));
    let both = |client: &mut Client| {
        client.scope = "openid user/*.rs orders.read".parse().unwrap();
        client.grant_types.remove(&GrantType::RefreshToken);
    };
    assert!(cuts(both), "more of one thing pays for no other");
}

#[test]
fn a_scope_that_nothing_enforces_does_not_end_the_tokens_of_a_client_that_stays_as_it_is() {
    let odd = Client { scope: "patient/Observation.rs?value-string=x".parse().unwrap(), ..client() };
    assert!(cut_by(&odd, &odd.clone(), NOW).is_empty());
}
