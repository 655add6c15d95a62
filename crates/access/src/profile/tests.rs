use std::collections::BTreeSet;

use super::*;
use crate::client::{ClientOptions, Consent, GrantType};

/// A client that FAPI 2.0 has nothing against.
fn sound() -> Client {
    Client {
        client_id: "app".parse().unwrap(),
        kind: ClientKind::Confidential,
        token_endpoint_auth_method: AuthMethod::PrivateKeyJwt,
        redirect_uris: Vec::new(),
        grant_types: BTreeSet::from([GrantType::AuthorizationCode]),
        scope: "openid".parse().unwrap(),
        audience: None,
        roles: BTreeSet::new(),
        jwks: None,
        consent: Consent::Ask,
        options: ClientOptions {
            profile: Profile::Fapi2,
            pushed_requests: PushedRequests::Required,
            dpop_bound_access_tokens: BoundTokens::Required,
            id_token_signed_response_alg: Some(Algorithm::ES256),
            ..ClientOptions::default()
        },
    }
}

#[test]
fn a_registration_is_held_to_its_profile_as_a_whole() {
    assert_eq!(sound().check_profile(), Ok(()));
    let changed = |change: fn(&mut Client)| {
        let mut client = sound();
        change(&mut client);
        let outcome = client.check_profile();
        client.options.profile = Profile::Smart;
        assert_eq!(client.check_profile(), Ok(()), "which is no rule of others");
        outcome
    };
    assert_eq!(changed(|c| c.kind = ClientKind::Public), Err(NotInProfile::Method));
    let basic = |c: &mut Client| c.token_endpoint_auth_method = AuthMethod::ClientSecretBasic;
    assert_eq!(changed(basic), Err(NotInProfile::Method));
    let loose = |c: &mut Client| c.options.pushed_requests = PushedRequests::Optional;
    assert_eq!(changed(loose), Err(NotInProfile::NotPushed));
    let unbound = |c: &mut Client| c.options.dpop_bound_access_tokens = BoundTokens::Optional;
    assert_eq!(changed(unbound), Err(NotInProfile::NotBound));
    let by_certificate = |c: &mut Client| {
        c.options.dpop_bound_access_tokens = BoundTokens::Optional;
        c.options.tls_client_certificate_bound_access_tokens = BoundTokens::Required;
    };
    assert_eq!(changed(by_certificate), Ok(()));
    let unnamed = |c: &mut Client| c.options.id_token_signed_response_alg = None;
    assert_eq!(changed(unnamed), Err(NotInProfile::IdTokenAlgorithm));
    let rs256 = |c: &mut Client| c.options.id_token_signed_response_alg = Some(Algorithm::RS256);
    assert_eq!(changed(rs256), Err(NotInProfile::IdTokenAlgorithm));
    let introspection =
        |c: &mut Client| c.options.responses.introspection_signed_response_alg = Some(Algorithm::RS256);
    assert_eq!(changed(introspection), Err(NotInProfile::AnswerAlgorithm));
    let userinfo = |c: &mut Client| c.options.responses.userinfo_signed_response_alg = Some(Algorithm::ES384);
    assert_eq!(changed(userinfo), Err(NotInProfile::AnswerAlgorithm));
    let both = |c: &mut Client| {
        c.options.responses.userinfo_signed_response_alg = Some(Algorithm::PS256);
        c.options.responses.introspection_signed_response_alg = Some(Algorithm::EdDSA);
    };
    assert_eq!(changed(both), Ok(()));
}

#[test]
fn endpoints_ask_the_profile_whatever_the_registration_says() {
    let client =
        Client { options: ClientOptions { profile: Profile::Fapi2, ..ClientOptions::default() }, ..sound() };
    assert_eq!(client.pushed_requests(), PushedRequests::Required);
    assert!(client.bind(crate::token::binding::Possession::default()).is_err());
    let smart = Client { options: ClientOptions::default(), ..sound() };
    assert_eq!(smart.pushed_requests(), PushedRequests::Optional);
    assert_eq!(smart.bind(crate::token::binding::Possession::default()), Ok(None));
    assert_eq!(smart.rules(), Profile::Smart.rules(), "of clients from before profiles were known");
}
