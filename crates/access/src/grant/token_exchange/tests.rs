use std::collections::BTreeSet;

use chartgate_protocol::jose::claims::Audience;

use super::*;
use crate::client::{AuthMethod, ClientKind, ClientOptions, Consent, GrantType};

fn client(id: &str, scope: &str, may_act: &[&str]) -> Client {
    Client {
        client_id: id.parse().unwrap(),
        kind: ClientKind::Confidential,
        token_endpoint_auth_method: AuthMethod::ClientSecretBasic,
        redirect_uris: Vec::new(),
        grant_types: BTreeSet::from([GrantType::TokenExchange]),
        scope: scope.parse().unwrap(),
        audience: None,
        roles: BTreeSet::new(),
        jwks: None,
        consent: Consent::Ask,
        options: ClientOptions {
            may_act: may_act.iter().map(|id| id.parse().unwrap()).collect(),
            ..ClientOptions::default()
        },
    }
}

fn token(sub: &str, client_id: &str, exp: i64) -> AccessTokenClaims {
    AccessTokenClaims {
        iss: "https://g".into(),
        sub: sub.parse().unwrap(),
        aud: Audience::several(vec!["https://g/fhir".into(), "https://g/x".into()]),
        exp: Timestamp::from_unix(exp).into(),
        iat: Timestamp::from_unix(1000).into(),
        nbf: None,
        jti: "j".parse().unwrap(),
        client_id: client_id.parse().unwrap(),
        scope: "openid offline_access patient/*.rs".parse().unwrap(),
        sid: None,
        grant_id: Some("g".parse().unwrap()),
        roles: Vec::new(),
        acr: None,
        amr: Vec::new(),
        auth_time: None,
        fhir_user: None,
        patient: None,
        encounter: None,
        purpose_of_use: None,
        act: None,
        cnf: None,
        authorization_details: Vec::new(),
        status: None,
    }
}

fn names(act: Option<&Actor>) -> Vec<&str> {
    chain(act).map(|actor| actor.sub.as_str()).collect()
}

const AGENT: &str = "openid offline_access patient/*.cruds";

#[test]
fn whoever_acts_is_named_in_front_of_those_before_them() {
    let (app, agent) = (client("app", AGENT, &["agent"]), client("agent", AGENT, &["tool"]));
    let subject = token("dana", "app", 1300);
    let exchange = Exchange { subject: &subject, subject_client: &app, actor: None, by: &agent, cnf: None };
    let first = exchange.decide(None, None).unwrap();
    assert_eq!(names(first.act.as_ref()), ["agent"]);
    assert_eq!(first.scope.to_string(), "openid patient/*.rs", "no exchanged token keeps access for later");
    assert_eq!(first.not_after, Timestamp::from_unix(1300));

    let tool = client("tool", AGENT, &[]);
    let subject = AccessTokenClaims { act: first.act, ..token("dana", "agent", 1300) };
    let actor = token("nils", "tool", 1200);
    let exchange =
        Exchange { subject: &subject, subject_client: &agent, actor: Some(&actor), by: &tool, cnf: None };
    let second = exchange.decide(None, None).unwrap();
    assert_eq!(names(second.act.as_ref()), ["nils", "agent"]);
    assert_eq!(second.not_after, Timestamp::from_unix(1200), "and no longer than the actor's");
    let own = Exchange { by: &agent, actor: None, ..exchange };
    assert_eq!(names(own.decide(None, None).unwrap().act.as_ref()), ["agent"]);
}

#[test]
fn o26_nobody_acts_unless_the_registration_of_the_tokens_client_says_so() {
    let (app, agent) = (client("app", AGENT, &["other"]), client("agent", AGENT, &[]));
    let subject = token("dana", "app", 1300);
    let exchange = Exchange { subject: &subject, subject_client: &app, actor: None, by: &agent, cnf: None };
    assert_eq!(exchange.decide(None, None), Err(ExchangeError::MayNotAct));
    let itself = token("app", "app", 1300);
    let exchange = Exchange { subject: &itself, by: &app, ..exchange };
    assert_eq!(exchange.decide(None, None), Err(ExchangeError::NotAPersons));
    let app = client("app", AGENT, &["agent"]);
    let stolen = token("nils", "app", 1300);
    let exchange =
        Exchange { subject: &subject, subject_client: &app, actor: Some(&stolen), by: &agent, cnf: None };
    assert_eq!(exchange.decide(None, None), Err(ExchangeError::ActorOfAnother));
    let delegated = AccessTokenClaims {
        act: Some(link("x".parse().unwrap(), "x".parse().unwrap(), &subject)),
        ..token("nils", "agent", 1300)
    };
    let exchange = Exchange { actor: Some(&delegated), ..exchange };
    assert_eq!(exchange.decide(None, None), Err(ExchangeError::ActorActsForAnother));
}

#[test]
fn o26_scope_and_audience_are_narrowed_and_never_widened() {
    let (app, agent) = (client("app", AGENT, &["agent"]), client("agent", "patient/Observation.rs", &[]));
    let subject = token("dana", "app", 1300);
    let exchange = Exchange { subject: &subject, subject_client: &app, actor: None, by: &agent, cnf: None };
    let decide = |scope: &str, audience| exchange.decide(Some(&scope.parse().unwrap()), audience);
    let narrowed = decide("patient/Observation.rs", Some("https://g/x")).unwrap();
    assert_eq!(narrowed.scope.to_string(), "patient/Observation.rs");
    assert_eq!(narrowed.audience, "https://g/x");
    for wider in
        ["patient/*.cruds", "user/Observation.rs", "patient/Observation.rs user/*.rs", "openid profile"]
    {
        assert_eq!(decide(wider, None), Err(ExchangeError::WiderScope), "{wider}");
    }
    // Within the subject token, but beyond the client that asks.
    assert_eq!(decide("openid", None), Err(ExchangeError::WiderScope));
    for elsewhere in ["https://g", "https://g/fhir/", "https://other"] {
        assert_eq!(decide("patient/Observation.rs", Some(elsewhere)), Err(ExchangeError::WiderAudience));
    }
}

#[test]
fn a_chain_of_those_who_act_has_an_end() {
    let app = client("app", AGENT, &["agent"]);
    let agent = client("agent", AGENT, &[]);
    let mut subject = token("dana", "app", 1300);
    for _ in 0..LONGEST_CHAIN {
        let exchange =
            Exchange { subject: &subject, subject_client: &app, actor: None, by: &agent, cnf: None };
        let act = exchange.decide(None, None).unwrap().act;
        subject = AccessTokenClaims { act, ..subject };
    }
    let exchange = Exchange { subject: &subject, subject_client: &app, actor: None, by: &agent, cnf: None };
    assert_eq!(exchange.decide(None, None), Err(ExchangeError::ChainTooLong));
}

#[test]
fn o12_what_is_bound_is_exchanged_for_what_is_bound_by_its_own_client_to_the_same_key() {
    let bound_to = |key: &str| Confirmation { jkt: Some(key.to_owned()), x5t_s256: None };
    let (own, other) = (bound_to("own"), bound_to("other"));
    let (app, agent) = (client("app", AGENT, &["agent"]), client("agent", AGENT, &[]));
    let unbound = token("dana", "app", 2000);
    let subject = AccessTokenClaims { cnf: Some(own.clone()), ..unbound.clone() };
    let decide = |subject, by, cnf| {
        let exchange = Exchange { subject, subject_client: &app, actor: None, by, cnf };
        exchange.decide(None, None).map(|_| ())
    };
    for by in [&app, &agent] {
        assert_eq!(decide(&subject, by, None), Err(ExchangeError::NotBound));
        assert_eq!(decide(&subject, by, Some(&own)), Ok(()));
        assert_eq!(decide(&unbound, by, None), Ok(()));
    }
    assert_eq!(decide(&subject, &app, Some(&other)), Err(ExchangeError::NotBound));
    assert_eq!(decide(&subject, &agent, Some(&other)), Ok(()), "bound to the agent's key from here on");
    let actor = AccessTokenClaims { cnf: Some(other.clone()), ..token("agent", "agent", 2000) };
    let with_actor = |cnf| {
        let actor = Some(&actor);
        Exchange { subject: &unbound, subject_client: &app, actor, by: &agent, cnf }
            .decide(None, None)
            .map(|_| ())
    };
    assert_eq!(with_actor(None), Err(ExchangeError::NotBound), "a stolen token names nobody");
    assert_eq!(with_actor(Some(&own)), Err(ExchangeError::NotBound));
    assert_eq!(with_actor(Some(&other)), Ok(()));
}
