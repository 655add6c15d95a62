//! What clients ask of sign-ins, and what other providers say of theirs.

use std::time::Duration;

use chartgate_values::Timestamp;

use crate::jose::jws::MAX_JSON_DEPTH;
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
        for endpoint in [&metadata.authorization_endpoint, &metadata.token_endpoint, &metadata.jwks_uri] {
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

const ISSUER: &str = "https://login.example.org";
