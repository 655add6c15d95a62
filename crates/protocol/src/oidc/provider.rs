//! What another OpenID provider says of itself, and what it answers to a code, for those whose people sign in there.
//! OpenID Connect Discovery 1.0 sections 3 and 4, RFC 8414 section 3.3, OpenID Connect Core section 3.1.3.3, RFC 9207,
//! OpenID Connect RP-Initiated Logout 1.0 section 2.1.

use crate::json::Object;
use crate::oauth::https_uri::HttpsUri;

/// Deeper than metadata and answers are.
const MAX_DEPTH: usize = 16;

/// What a provider says of itself, as far as we use it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProviderMetadata {
    /// Where people are sent.
    pub authorization_endpoint: HttpsUri,
    /// Where a code is redeemed.
    pub token_endpoint: HttpsUri,
    /// Where its keys are.
    pub jwks_uri: HttpsUri,
    /// Where people are sent to sign out there, if it has such a place.
    pub end_session_endpoint: Option<HttpsUri>,
    /// How it takes a client's secret.
    pub secret: SecretPlace,
    /// Whether each of its answers says whose it is.
    pub answers: Answers,
}

/// Where a client's secret is shown. RFC 6749 section 2.3.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SecretPlace {
    /// `client_secret_basic`, which is what holds where nothing is said.
    Header,
    /// `client_secret_post`.
    Form,
}

/// RFC 9207: against answers of one provider that are taken for another's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answers {
    /// Each has `iss`.
    NameTheirIssuer,
    /// They need not.
    MayNotSay,
}

/// Why metadata is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MetadataError {
    /// Not a JSON object, or a member of another type.
    #[error("metadata is malformed")]
    Malformed,
    /// Discovery section 4.3: `issuer` is the address that was asked, character by character.
    #[error("metadata is of another issuer")]
    OtherIssuer,
    /// A member that we cannot do without, and that has to be an https address.
    #[error("`{0}` is missing, or no https address")]
    Endpoint(&'static str),
    /// It takes neither of the two ways to show a secret.
    #[error("the provider takes neither client_secret_basic nor client_secret_post")]
    SecretRefused,
    /// RFC 7636: `S256` is not among what it takes.
    #[error("the provider does not take PKCE with S256")]
    NoPkce,
}

/// The answer to a code has no ID token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the answer has no ID token")]
pub struct NoIdToken;

impl ProviderMetadata {
    /// Reads the metadata of this issuer.
    ///
    /// # Errors
    /// [`MetadataError`], by the first cause.
    pub fn parse(bytes: &[u8], issuer: &str) -> Result<Self, MetadataError> {
        let object = Object::parse(bytes, MAX_DEPTH).map_err(|_| MetadataError::Malformed)?;
        match object.string("issuer") {
            Ok(Some(said)) if said == issuer => {}
            Ok(_) => return Err(MetadataError::OtherIssuer),
            Err(_) => return Err(MetadataError::Malformed),
        }
        let endpoint = |name: &'static str| {
            let said = object.string(name).map_err(|_| MetadataError::Malformed)?;
            said.and_then(|text| text.parse().ok()).ok_or(MetadataError::Endpoint(name))
        };
        let texts = |name: &str| -> Result<Option<Vec<String>>, MetadataError> {
            object.read(name).map_err(|_| MetadataError::Malformed)
        };
        let secret = match texts("token_endpoint_auth_methods_supported")? {
            None => SecretPlace::Header,
            Some(methods) if methods.iter().any(|method| method == "client_secret_basic") => {
                SecretPlace::Header
            }
            Some(methods) if methods.iter().any(|method| method == "client_secret_post") => SecretPlace::Form,
            Some(_) => return Err(MetadataError::SecretRefused),
        };
        // Who says nothing about PKCE has to ignore it, which harms nobody; who says something has to say S256.
        if texts("code_challenge_methods_supported")?
            .is_some_and(|methods| !methods.iter().any(|method| method == "S256"))
        {
            return Err(MetadataError::NoPkce);
        }
        let names_issuer = object.read::<bool>("authorization_response_iss_parameter_supported");
        let answers = match names_issuer.map_err(|_| MetadataError::Malformed)? {
            Some(true) => Answers::NameTheirIssuer,
            Some(false) | None => Answers::MayNotSay,
        };
        // What it cannot do without is refused where it is no https address; this is left alone.
        let leaving = object.string("end_session_endpoint").map_err(|_| MetadataError::Malformed)?;
        Ok(Self {
            authorization_endpoint: endpoint("authorization_endpoint")?,
            token_endpoint: endpoint("token_endpoint")?,
            jwks_uri: endpoint("jwks_uri")?,
            end_session_endpoint: leaving.and_then(|text| text.parse().ok()),
            secret,
            answers,
        })
    }
}

/// The ID token of a token endpoint's answer.
///
/// # Errors
/// [`NoIdToken`].
pub fn id_token_of(answer: &[u8]) -> Result<String, NoIdToken> {
    let object = Object::parse(answer, MAX_DEPTH).map_err(|_| NoIdToken)?;
    object.string("id_token").ok().flatten().map(std::borrow::Cow::into_owned).ok_or(NoIdToken)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(changes: &Value) -> Result<ProviderMetadata, MetadataError> {
        let mut said = json!({
            "issuer": "https://login.example.org",
            "authorization_endpoint": "https://login.example.org/authorize",
            "token_endpoint": "https://login.example.org/token",
            "jwks_uri": "https://keys.example.org/jwks",
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(said.as_object_mut().unwrap().remove(name)),
                value => said[name] = value.clone(),
            }
        }
        ProviderMetadata::parse(said.to_string().as_bytes(), "https://login.example.org")
    }

    #[test]
    fn metadata_says_where_to_go_and_how() {
        let plain = read(&json!({})).unwrap();
        assert_eq!(plain.jwks_uri.as_str(), "https://keys.example.org/jwks");
        assert_eq!((plain.secret, plain.answers), (SecretPlace::Header, Answers::MayNotSay));
        assert_eq!(plain.end_session_endpoint, None);
        let leaving = |uri: &str| read(&json!({"end_session_endpoint": uri})).unwrap().end_session_endpoint;
        let there = leaving("https://login.example.org/bye").unwrap();
        assert_eq!(there.as_str(), "https://login.example.org/bye");
        for elsewhere in ["http://login.example.org/bye", "javascript:alert(1)", "/bye", ""] {
            assert_eq!(leaving(elsewhere), None, "{elsewhere}");
        }
        let more = read(&json!({
            "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_post"],
            "authorization_response_iss_parameter_supported": true,
            "code_challenge_methods_supported": ["plain", "S256"],
        }));
        let more = more.unwrap();
        assert_eq!((more.secret, more.answers), (SecretPlace::Form, Answers::NameTheirIssuer));
    }

    #[test]
    fn a10_metadata_of_another_or_without_what_is_needed_is_refused() {
        for (changes, cause) in [
            (json!({"issuer": "https://login.example.org/"}), MetadataError::OtherIssuer),
            (json!({"issuer": null}), MetadataError::OtherIssuer),
            (json!({"issuer": 1}), MetadataError::Malformed),
            (json!({"end_session_endpoint": ["https://login.example.org/bye"]}), MetadataError::Malformed),
            (json!({"token_endpoint": null}), MetadataError::Endpoint("token_endpoint")),
            (
                json!({"token_endpoint": "http://login.example.org/token"}),
                MetadataError::Endpoint("token_endpoint"),
            ),
            (json!({"jwks_uri": "https://me@login.example.org/"}), MetadataError::Endpoint("jwks_uri")),
            (json!({"token_endpoint_auth_methods_supported": ["none"]}), MetadataError::SecretRefused),
            (json!({"code_challenge_methods_supported": ["plain"]}), MetadataError::NoPkce),
        ] {
            assert_eq!(read(&changes), Err(cause), "{changes}");
        }
        assert_eq!(ProviderMetadata::parse(b"[]", "x"), Err(MetadataError::Malformed));
        let twice = br#"{"issuer": "x", "issuer": "x"}"#;
        assert_eq!(ProviderMetadata::parse(twice, "x"), Err(MetadataError::Malformed));
    }

    #[test]
    fn an_answer_has_one_id_token_or_none() {
        assert_eq!(id_token_of(br#"{"access_token": "a", "id_token": "i"}"#).as_deref(), Ok("i"));
        for none in [
            r#"{"access_token": "a"}"#,
            r#"{"id_token": ["i"]}"#,
            r#"{"id_token": "i", "id_token": "j"}"#,
            "i",
        ] {
            assert_eq!(id_token_of(none.as_bytes()), Err(NoIdToken), "{none}");
        }
    }
}
