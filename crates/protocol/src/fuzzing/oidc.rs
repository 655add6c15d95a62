//! What clients ask of sign-ins.

use crate::oidc::claims_request::{ClaimsRequest, MalformedClaims};

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
