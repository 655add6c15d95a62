//! What a client says of itself under its own address. draft-ietf-oauth-client-id-metadata-document section 4, with the
//! members of RFC 7591 section 2.
//!
//! Members that we do not know are passed over, as RFC 7591 has it; of those that we know each one has to be what it shall
//! be. A secret that is published is none, so a document that has one or wants one says nothing.

use std::collections::BTreeSet;

use serde_json::Value;

use super::https_uri::HttpsUri;
use super::redirect::{RedirectUri, RedirectUriError};
use super::scope::ScopeSet;
use crate::json::{JsonError, Object};

/// A document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientMetadata {
    /// Where codes may be sent. Plain http to `localhost` by name is left out, for anybody may be meant by it.
    pub redirect_uris: Vec<RedirectUri>,
    /// What it may ask for at the most, if it says so.
    pub scope: Option<ScopeSet>,
    /// Whether it refreshes its tokens.
    pub refreshing: Refreshing,
    /// How it shows who it is.
    pub authentication: Authentication,
    /// Where a browser may go once its person is signed out.
    pub post_logout_redirect_uris: Vec<RedirectUri>,
    /// What it asks to be held to.
    pub demands: BTreeSet<Demand>,
}

/// Whether a client may use refresh tokens: whether it named that grant beside the code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refreshing {
    /// It named it.
    Yes,
    /// It did not.
    No,
}

/// How a client shows who it is, where it published how.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Authentication {
    /// It does not: `none`.
    None,
    /// By `private_key_jwt` and one of these keys.
    Keys(Value),
    /// By `private_key_jwt` and one of the keys under this address.
    KeysAt(HttpsUri),
}

/// Something that a client wants to be held to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Demand {
    /// RFC 9449 section 5.2.
    DpopBoundTokens,
    /// RFC 9126 section 6.
    PushedRequests,
    /// RFC 9101 section 10.5.
    SignedRequests,
}

/// Why a document describes no client.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ClientMetadataError {
    /// Not an object that can be read in one way only.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A member is not of its form.
    #[error("`{0}` is not of its form")]
    Member(&'static str),
    /// Section 4: `client_id` is the address itself, character by character.
    #[error("`client_id` is not the address of the document")]
    ClientId,
    /// Section 4.1: neither a secret nor a method that needs one.
    #[error("a document has no secret")]
    Secret,
    /// What we take of clients that nobody registered.
    #[error(
        "`token_endpoint_auth_method` has to be `none`, or `private_key_jwt` with either `jwks` or `jwks_uri`"
    )]
    Authentication,
    /// RFC 7591 section 2.
    #[error(transparent)]
    RedirectUri(#[from] RedirectUriError),
    /// RFC 7591 section 2: codes are all that such a client gets.
    #[error("the client does not use the grant `authorization_code` with the response type `code`")]
    Grant,
}

impl ClientMetadata {
    /// Reads what was found under an address.
    ///
    /// # Errors
    /// [`ClientMetadataError`], by the first cause.
    pub fn parse(document: &[u8], address: &str) -> Result<Self, ClientMetadataError> {
        let object = Object::parse(document, MAX_DEPTH)?;
        if text(&object, "client_id")?.as_deref() != Some(address) {
            return Err(ClientMetadataError::ClientId);
        }
        if object.get("client_secret").is_some() || object.get("client_secret_expires_at").is_some() {
            return Err(ClientMetadataError::Secret);
        }
        let grants = texts(&object, "grant_types")?;
        let names = |list: &Option<Vec<String>>, name: &str| match list {
            Some(list) => list.iter().any(|one| one == name),
            None => name == "authorization_code" || name == "code",
        };
        if !names(&grants, "authorization_code") || !names(&texts(&object, "response_types")?, "code") {
            return Err(ClientMetadataError::Grant);
        }
        let demands = DEMANDS
            .into_iter()
            .filter_map(|(name, demand)| match object.read::<bool>(name) {
                Ok(Some(true)) => Some(Ok(demand)),
                Ok(Some(false) | None) => None,
                Err(_) => Some(Err(ClientMetadataError::Member(name))),
            })
            .collect::<Result<_, _>>()?;
        let scope = text(&object, "scope")?;
        Ok(Self {
            redirect_uris: redirect_uris(&object, "redirect_uris")?,
            scope: scope
                .map(|scope| scope.parse().map_err(|_| ClientMetadataError::Member("scope")))
                .transpose()?,
            refreshing: if names(&grants, "refresh_token") { Refreshing::Yes } else { Refreshing::No },
            authentication: authentication(&object)?,
            post_logout_redirect_uris: redirect_uris(&object, "post_logout_redirect_uris")?,
            demands,
        })
    }
}

fn authentication(object: &Object<'_>) -> Result<Authentication, ClientMetadataError> {
    let keys = object.read::<Value>("jwks").map_err(|_| ClientMetadataError::Member("jwks"))?;
    let keys_at = text(object, "jwks_uri")?
        .map(|uri| uri.parse::<HttpsUri>().map_err(|_| ClientMetadataError::Member("jwks_uri")))
        .transpose()?;
    if keys.as_ref().is_some_and(has_private_half) {
        return Err(ClientMetadataError::Secret);
    }
    match (text(object, "token_endpoint_auth_method")?.as_deref(), keys, keys_at) {
        // Keys may be there for other ends, such as encryption, which nobody gets who did not register here.
        (Some("none"), _, _) => Ok(Authentication::None),
        (Some("private_key_jwt"), Some(keys), None) => Ok(Authentication::Keys(keys)),
        (Some("private_key_jwt"), None, Some(uri)) => Ok(Authentication::KeysAt(uri)),
        (Some("client_secret_basic" | "client_secret_post" | "client_secret_jwt"), _, _) => {
            Err(ClientMetadataError::Secret)
        }
        // RFC 7591 section 2: the method that is meant where none is named needs a secret, so nobody can mean it.
        (None, None, None) => Ok(Authentication::None),
        (Some(_) | None, _, _) => Err(ClientMetadataError::Authentication),
    }
}

/// Whether a key set, or one key in it, shows what its owner has to keep: RFC 7518 sections 6.2.2, 6.3.2 and 6.4.
fn has_private_half(keys: &Value) -> bool {
    let keys = keys.get("keys").and_then(Value::as_array).into_iter().flatten();
    keys.into_iter().any(|key| PRIVATE_MEMBERS.iter().any(|name| key.get(name).is_some()))
}

fn redirect_uris(object: &Object<'_>, name: &'static str) -> Result<Vec<RedirectUri>, ClientMetadataError> {
    let mut found = Vec::new();
    for uri in texts(object, name)?.unwrap_or_default() {
        match uri.parse() {
            Ok(uri) => found.push(uri),
            Err(RedirectUriError::PlainHttp) if is_localhost(&uri) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(found)
}

/// RFC 8252 section 8.3: `localhost` is not recommended, yet many programs list it beside the address.
fn is_localhost(uri: &str) -> bool {
    let rest = uri.strip_prefix("http://localhost");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/', '?']))
}

fn text(object: &Object<'_>, name: &'static str) -> Result<Option<String>, ClientMetadataError> {
    let found = object.string(name).map_err(|_| ClientMetadataError::Member(name))?;
    Ok(found.map(Into::into))
}

fn texts(object: &Object<'_>, name: &'static str) -> Result<Option<Vec<String>>, ClientMetadataError> {
    object.read(name).map_err(|_| ClientMetadataError::Member(name))
}

const DEMANDS: [(&str, Demand); 3] = [
    ("dpop_bound_access_tokens", Demand::DpopBoundTokens),
    ("require_pushed_authorization_requests", Demand::PushedRequests),
    ("require_signed_request_object", Demand::SignedRequests),
];
const PRIVATE_MEMBERS: [&str; 2] = ["d", "k"];
/// A key in a set in a document, and something to spare for members of others.
const MAX_DEPTH: usize = 8;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ADDRESS: &str = "https://app.example.org/client.json";

    fn read(changes: &Value) -> Result<ClientMetadata, ClientMetadataError> {
        let mut document = json!({
            "client_id": ADDRESS,
            "redirect_uris": ["https://app.example.org/cb"],
            "token_endpoint_auth_method": "none",
        });
        let members = document.as_object_mut().unwrap();
        members.extend(changes.as_object().unwrap().clone());
        members.retain(|_, value| !value.is_null());
        ClientMetadata::parse(document.to_string().as_bytes(), ADDRESS)
    }

    #[test]
    fn a_document_says_what_a_client_is() {
        let plain = read(&json!({ "client_name": "App", "unknown": [[{ "a": 1.5 }]] })).unwrap();
        assert_eq!(
            (plain.refreshing, plain.authentication, plain.scope),
            (Refreshing::No, Authentication::None, None)
        );
        // As editors publish it.
        let editor = read(&json!({
            "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
            "response_types": ["code"],
            "redirect_uris": ["http://localhost/callback", "http://127.0.0.1/callback"],
            "scope": "openid",
            "dpop_bound_access_tokens": true,
        }))
        .unwrap();
        assert_eq!(editor.refreshing, Refreshing::Yes);
        assert_eq!(editor.redirect_uris, ["http://127.0.0.1/callback".parse().unwrap()]);
        assert_eq!(editor.demands, BTreeSet::from([Demand::DpopBoundTokens]));
        let by_key = json!({ "token_endpoint_auth_method": "private_key_jwt" });
        let with = |name: &str, value: Value| {
            let mut changes = by_key.clone();
            changes.as_object_mut().unwrap().insert(name.to_owned(), value);
            read(&changes).map(|read| read.authentication)
        };
        assert!(matches!(with("jwks", json!({ "keys": [] })), Ok(Authentication::Keys(_))));
        assert!(matches!(
            with("jwks_uri", json!("https://app.example.org/keys")),
            Ok(Authentication::KeysAt(_))
        ));
        assert_eq!(with("scope", json!("openid")), Err(ClientMetadataError::Authentication), "no keys");
    }

    #[test]
    fn a_document_that_is_anothers_or_has_a_secret_says_nothing() {
        use ClientMetadataError as E;
        for (changes, cause) in [
            (json!({ "client_id": null }), E::ClientId),
            (json!({ "client_id": "https://app.example.org/client.json/" }), E::ClientId),
            (json!({ "client_id": "https://APP.example.org/client.json" }), E::ClientId),
            (json!({ "client_id": [ADDRESS] }), E::Member("client_id")),
            (json!({ "client_secret": "s" }), E::Secret),
            (json!({ "client_secret_expires_at": 0 }), E::Secret),
            (json!({ "token_endpoint_auth_method": "client_secret_basic" }), E::Secret),
            (json!({ "token_endpoint_auth_method": "client_secret_jwt" }), E::Secret),
            (json!({ "token_endpoint_auth_method": "tls_client_auth" }), E::Authentication),
            (json!({ "jwks": { "keys": [{ "kty": "EC", "d": "x" }] } }), E::Secret),
            (json!({ "jwks": { "keys": [{ "kty": "oct", "k": "x" }] } }), E::Secret),
            (json!({ "jwks_uri": "http://app.example.org/keys" }), E::Member("jwks_uri")),
            (json!({ "grant_types": ["client_credentials"] }), E::Grant),
            (json!({ "response_types": ["token"] }), E::Grant),
            (json!({ "redirect_uris": "https://app.example.org/cb" }), E::Member("redirect_uris")),
            (json!({ "redirect_uris": ["javascript:alert(1)"] }), E::RedirectUri(RedirectUriError::Scheme)),
            (
                json!({ "redirect_uris": ["http://localhost.evil.example/"] }),
                E::RedirectUri(RedirectUriError::PlainHttp),
            ),
            (json!({ "scope": "a  b" }), E::Member("scope")),
            (json!({ "dpop_bound_access_tokens": "yes" }), E::Member("dpop_bound_access_tokens")),
        ] {
            assert_eq!(read(&changes), Err(cause), "{changes}");
        }
        let twice = format!(r#"{{"client_id":"{ADDRESS}","client_id":"{ADDRESS}"}}"#);
        let parse = |text: &str| ClientMetadata::parse(text.as_bytes(), ADDRESS);
        assert_eq!(parse(&twice), Err(E::Json(JsonError::DuplicateName)));
        assert_eq!(parse("[]"), Err(E::Json(JsonError::NotAnObject)));
    }
}
