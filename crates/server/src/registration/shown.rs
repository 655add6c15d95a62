//! A registration as it is told: to operators whole, to the client itself as RFC 7591 section 3.2.1 has it, to the log by what
//! others have to take its word for.

use std::collections::BTreeSet;

use chartgate_access::client::{
    BoundTokens, Client, ClientOptions, GrantType, PushedRequests, Registrar, SignedRequests, TokenStatus,
};
use serde_json::{Map, Value, json};

use crate::entropy::digest_of;

/// What is no client metadata, and for operators alone.
const OURS: [&str; 10] = [
    "registered_by",
    "kind",
    "profile",
    "audience",
    "roles",
    "consent",
    "permissions",
    "may_act",
    "token_status_list",
    "authorization_details_types",
];

/// What its client is told of it.
pub(crate) fn metadata(client: &Client) -> Map<String, Value> {
    let Value::Object(mut members) = shown(client) else { return Map::new() };
    members.retain(|name, value| !OURS.contains(&name.as_str()) && !value.is_null());
    let has = |grant| client.grant_types.contains(&grant);
    let types: &[&str] = if has(GrantType::AuthorizationCode) { &["code"] } else { &[] };
    members.insert("response_types".to_owned(), json!(types));
    if has(GrantType::Ciba) {
        let mode = match client.options.backchannel_client_notification_endpoint {
            Some(_) => "ping",
            None => "poll",
        };
        members.insert("backchannel_token_delivery_mode".to_owned(), mode.into());
    }
    members
}

/// All of it, by registered names where there are some.
pub(crate) fn shown(client: &Client) -> Value {
    let options = &client.options;
    let certificates = options.tls_client_certificate_bound_access_tokens;
    let mut shown = json!({
        "client_id": client.client_id,
        "registered_by": registered_by(client),
        "kind": client.kind,
        "profile": options.profile,
        "token_endpoint_auth_method": client.token_endpoint_auth_method,
        "redirect_uris": client.redirect_uris,
        "grant_types": client.grant_types,
        "scope": client.scope,
        "audience": client.audience,
        "roles": client.roles,
        "jwks": client.jwks,
        "jwks_uri": options.jwks_uri,
        "backchannel_client_notification_endpoint": options.backchannel_client_notification_endpoint,
        "backchannel_authentication_request_signing_alg":
            options.backchannel_authentication_request_signing_alg,
        "consent": client.consent,
        "permissions": options.permissions,
        "may_act": options.may_act,
        "require_pushed_authorization_requests": options.pushed_requests == PushedRequests::Required,
        "backchannel_logout_uri": options.backchannel_logout_uri,
        "backchannel_logout_session_required": options.backchannel_logout_uri.is_some(),
        "frontchannel_logout_uri": options.frontchannel_logout_uri,
        "frontchannel_logout_session_required": options.frontchannel_logout_uri.is_some(),
        "token_status_list": options.token_status == TokenStatus::Listed,
        "authorization_details_types": options.authorization_details_types,
        "require_signed_request_object": options.require_signed_request_object == SignedRequests::Required,
        "id_token_signed_response_alg": options.id_token_signed_response_alg,
        "dpop_bound_access_tokens": options.dpop_bound_access_tokens == BoundTokens::Required,
        "tls_client_certificate_bound_access_tokens": certificates == BoundTokens::Required,
        "post_logout_redirect_uris": options.post_logout_redirect_uris,
    });
    show_responses(options, &mut shown);
    if let (Some(subject), Value::Object(members)) = (&options.tls_client_auth, &mut shown) {
        members.insert(subject.member().to_owned(), subject.name().into());
    }
    shown
}

/// What is on record of one that somebody outside describes, for the first time or anew.
pub(crate) fn recorded(client: &Client) -> Vec<(&'static str, String)> {
    let grants: Vec<String> = client.grant_types.iter().map(ToString::to_string).collect();
    let uris: Vec<String> = client.redirect_uris.iter().map(ToString::to_string).collect();
    let mut members = vec![
        ("kind", client.kind.to_string()),
        ("profile", client.options.profile.to_string()),
        ("scope", client.scope.to_string()),
        ("auth_method", client.token_endpoint_auth_method.to_string()),
        ("grant_types", grants.join(" ")),
        ("redirect_uris", uris.join(" ")),
    ];
    // Whose word it takes from now on.
    members.extend(client.options.jwks_uri.iter().map(|uri| ("jwks_uri", uri.to_string())));
    members.extend(client.jwks.iter().map(|jwks| ("jwks_sha256", digest_of(jwks.to_string()))));
    members
}

/// A member that is another.
pub(crate) struct Difference {
    pub(crate) name: String,
    pub(crate) before: String,
    pub(crate) after: String,
}

/// What is another, in words for the log: key sets by their digests.
pub(crate) fn differences(before: &Client, after: &Client) -> Vec<Difference> {
    let (Value::Object(before), Value::Object(after)) = (shown(before), shown(after)) else {
        return Vec::new();
    };
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differs = |name: &&String| before.get(*name) != after.get(*name);
    names
        .into_iter()
        .filter(differs)
        .map(|name| Difference {
            name: if name == "jwks" { "jwks_sha256".to_owned() } else { name.clone() },
            before: in_words(name, before.get(name)),
            after: in_words(name, after.get(name)),
        })
        .collect()
}

fn in_words(name: &str, value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(jwks) if name == "jwks" => digest_of(jwks.to_string()),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => {
            items.iter().map(|item| in_words(name, Some(item))).collect::<Vec<_>>().join(" ")
        }
        Some(other) => other.to_string(),
    }
}

/// How it came to be.
fn registered_by(client: &Client) -> &'static str {
    match client.options.registrar {
        _ if client.client_id.is_document() => "document",
        Registrar::Operator => "operator",
        Registrar::Invited => "invitation",
        Registrar::Anybody => "anybody",
    }
}

/// By their registered names.
fn show_responses(options: &ClientOptions, shown: &mut Value) {
    let (responses, Value::Object(members)) = (&options.responses, shown) else { return };
    for (name, algorithm) in [
        ("userinfo", responses.userinfo_signed_response_alg),
        ("introspection", responses.introspection_signed_response_alg),
    ] {
        members.extend(algorithm.map(|algorithm| (format!("{name}_signed_response_alg"), json!(algorithm))));
    }
    for (name, encryption) in [
        ("request_object_encryption", options.request_object_encryption),
        ("id_token_encrypted_response", responses.id_token_encrypted_response),
        ("userinfo_encrypted_response", responses.userinfo_encrypted_response),
        ("introspection_encrypted_response", responses.introspection_encrypted_response),
    ] {
        let Some(encryption) = encryption else { continue };
        let (alg, enc) = (encryption.management.name(), encryption.content.name());
        members.insert(format!("{name}_alg"), alg.into());
        members.insert(format!("{name}_enc"), enc.into());
    }
}
