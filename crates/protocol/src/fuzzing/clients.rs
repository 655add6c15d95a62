//! What clients say of themselves.

use crate::oauth::client_metadata::{ClientMetadata, PublishedKeys, UpdateRequest};

/// Anything that a client says of itself: under its address, in a registration, in a change of one.
pub fn fuzz_client_metadata(data: &[u8]) {
    let document = ClientMetadata::document(data, "https://app.example.org/client.json");
    let update = UpdateRequest::parse(data);
    let secret = update.as_ref().is_ok_and(|update| update.client_secret.is_some());
    let registration = ClientMetadata::registration(data);
    assert!(!(registration.is_ok() && secret), "nobody chooses their own secret");
    let update = update.map(|update| update.metadata);
    for client in [document, registration, update].into_iter().flatten() {
        for uri in client.redirect_uris.iter().chain(&client.post_logout_redirect_uris) {
            assert!(uri.matches(uri.as_str()), "what is taken leads back");
            let plain = uri.origin().filter(|origin| origin.starts_with("http:"));
            let here = ["http://127.0.0.1", "http://[::1]", "http://localhost"];
            let is_here = |origin: &str, host: &str| {
                origin.strip_prefix(host).is_some_and(|port| port.is_empty() || port.starts_with(':'))
            };
            assert!(
                plain.is_none_or(|origin| here.iter().any(|host| is_here(&origin, host))),
                "and unprotected to the person's own machine alone"
            );
        }
        if let Some(PublishedKeys::These(keys)) = &client.keys {
            let keys = keys.get("keys").and_then(|keys| keys.as_array()).into_iter().flatten();
            assert!(keys.into_iter().all(|key| key.get("d").is_none() && key.get("k").is_none()));
        }
    }
}
