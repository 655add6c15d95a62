//! What clients ask of sign-ins, and what other providers say of theirs.

use std::time::Duration;

use chartgate_values::Timestamp;

use crate::jose::KeySet;
use crate::jose::claims::Identifier;
use crate::jose::jws::MAX_JSON_DEPTH;
use crate::jose::logout_token::LogoutTokenVerifier;
use crate::jose::provider_token::ProviderTokenVerifier;
use crate::json::Object;
use crate::oidc::claims_request::{ClaimsRequest, MalformedClaims};
use crate::oidc::provider::{ProviderMetadata, id_token_of};

/// Any text as the parameter `claims`.
pub fn fuzz_claims_request(data: &[u8]) {
    let Ok((asked, demands)) = std::str::from_utf8(data).map_or(Err(MalformedClaims), ClaimsRequest::read)
    else {
        return;
    };
    let kept = serde_json::to_vec(&asked).unwrap_or_default();
    assert!(serde_json::from_slice(&kept).ok().as_ref() == Some(&asked), "what is kept reads back");
    assert!(demands.acr_values.len() <= 65, "bounded");
}

/// Any bytes as a provider's metadata, as its answer to a code, and as the claims of its ID token.
pub fn fuzz_identity_provider(data: &[u8]) {
    if let Ok(metadata) = ProviderMetadata::parse(data, ISSUER) {
        let needed = [&metadata.authorization_endpoint, &metadata.token_endpoint, &metadata.jwks_uri];
        for endpoint in needed.into_iter().chain(&metadata.end_session_endpoint) {
            assert!(endpoint.as_str().starts_with("https://"), "nobody is sent elsewhere");
        }
    }
    let _ = id_token_of(data);
    let Ok(claims) = Object::parse(data, MAX_JSON_DEPTH) else { return };
    let path = "groups".parse().ok();
    let verifier = ProviderTokenVerifier {
        issuer: ISSUER,
        client_id: "gate",
        nonce: "n",
        groups: path.as_ref(),
        name: path.as_ref(),
        skew: Duration::from_secs(30),
    };
    if let Ok(there) = verifier.accept(&claims, Timestamp::from_unix(1_760_000_000)) {
        assert!((1..=255).contains(&there.sub.as_str().len()), "somebody in particular");
        assert!(claims.string("nonce").is_ok_and(|nonce| nonce.as_deref() == Some("n")), "asked for by us");
    }
}

/// Any text as a logout token, and any bytes as its claims.
pub fn fuzz_logout_token(data: &[u8]) {
    let verifier = LogoutTokenVerifier { issuer: ISSUER, client_id: "gate", skew: Duration::from_secs(30) };
    let now = Timestamp::from_unix(1_760_000_000);
    if let Ok(token) = std::str::from_utf8(data) {
        assert!(verifier.verify(token, &KeySet::default(), now).is_err(), "nobody signed it");
    }
    let Ok(claims) = Object::parse(data, MAX_JSON_DEPTH) else { return };
    if let Ok(there) = verifier.accept(&claims, now) {
        assert!(there.of.sid().is_some() || there.of.sub().is_some(), "of something in particular");
        let names = [Some(&there.jti), there.of.sid(), there.of.sub()];
        let is_kept = |name: &Identifier| (1..=255).contains(&name.as_str().len());
        assert!(names.into_iter().flatten().all(is_kept), "names that can be kept");
        assert!(claims.get("nonce").is_none(), "no ID token");
        assert!(there.issued_at <= now.plus(verifier.skew), "not of another time");
    }
}

const ISSUER: &str = "https://login.example.org";
