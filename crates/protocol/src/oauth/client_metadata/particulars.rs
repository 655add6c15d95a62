//! What registrations alone say.

use super::reading::{choices, text};
use super::{ClientMetadataError, Encryption, Particulars};
use crate::jose::claims::is_control;
use crate::json::Object;
use crate::oauth::https_uri::HttpsUri;
use crate::oauth::mtls::{RegisteredSubject, SUBJECT_MEMBERS};

impl Particulars {
    pub(super) fn read(object: &Object<'_>) -> Result<Self, ClientMetadataError> {
        Ok(Self {
            client_name: words(object, "client_name")?,
            software_id: words(object, "software_id")?,
            software_version: words(object, "software_version")?,
            backchannel_logout_uri: choices(object, "backchannel_logout_uri")?,
            frontchannel_logout_uri: choices(object, "frontchannel_logout_uri")?,
            backchannel_client_notification_endpoint: notification_endpoint(object)?,
            backchannel_authentication_request_signing_alg: choices(
                object,
                "backchannel_authentication_request_signing_alg",
            )?,
            tls_client_auth: subject(object)?,
            id_token_signed_response_alg: choices(object, "id_token_signed_response_alg")?,
            id_token_encrypted_response: encryption(
                object,
                "id_token_encrypted_response_alg",
                "id_token_encrypted_response_enc",
            )?,
            userinfo_signed_response_alg: choices(object, "userinfo_signed_response_alg")?,
            userinfo_encrypted_response: encryption(
                object,
                "userinfo_encrypted_response_alg",
                "userinfo_encrypted_response_enc",
            )?,
            introspection_signed_response_alg: choices(object, "introspection_signed_response_alg")?,
            introspection_encrypted_response: encryption(
                object,
                "introspection_encrypted_response_alg",
                "introspection_encrypted_response_enc",
            )?,
            request_object_encryption: encryption(
                object,
                "request_object_encryption_alg",
                "request_object_encryption_enc",
            )?,
        })
    }
}

/// Words for operators: short, and none that steer a terminal, change the order of what stands there or cannot be seen.
fn words(object: &Object<'_>, name: &'static str) -> Result<Option<String>, ClientMetadataError> {
    match text(object, name)? {
        Some(words) if words.chars().count() > MAX_WORDS || words.chars().any(steers) => {
            Err(ClientMetadataError::Member(name))
        }
        words => Ok(words.filter(|words| !words.is_empty())),
    }
}

/// What is no letter of a name. The joiners (U+200C, U+200D) are, in some writing systems.
fn steers(c: char) -> bool {
    is_control(c)
        || matches!(
            c,
            '\u{ad}' | '\u{200b}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}'
                | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// CIBA Core section 4: only who wants to be pinged is called; nobody is given tokens that way.
fn notification_endpoint(object: &Object<'_>) -> Result<Option<HttpsUri>, ClientMetadataError> {
    const MODE: &str = "backchannel_token_delivery_mode";
    let endpoint = choices(object, "backchannel_client_notification_endpoint")?;
    match (text(object, MODE)?.as_deref(), endpoint) {
        (Some("ping"), Some(endpoint)) => Ok(Some(endpoint)),
        (Some("poll") | None, _) => Ok(None),
        (Some(_), _) => Err(ClientMetadataError::Member(MODE)),
    }
}

/// RFC 8705 section 2.1.2: one name, by one of five members.
fn subject(object: &Object<'_>) -> Result<Option<RegisteredSubject>, ClientMetadataError> {
    let mut found = None;
    for member in SUBJECT_MEMBERS {
        let Some(name) = text(object, member)? else { continue };
        let subject =
            RegisteredSubject::new(member, &name).map_err(|_| ClientMetadataError::Member(member))?;
        if found.replace(subject).is_some() {
            return Err(ClientMetadataError::Member(member));
        }
    }
    Ok(found)
}

/// OpenID Connect Registration section 2: `enc` without `alg` says nothing that could be done.
fn encryption(
    object: &Object<'_>,
    alg: &'static str,
    enc: &'static str,
) -> Result<Option<Encryption>, ClientMetadataError> {
    match (text(object, alg)?, text(object, enc)?) {
        (Some(named), content) => Encryption::named(&named, content.as_deref())
            .map(Some)
            .map_err(|_| ClientMetadataError::Member(alg)),
        (None, Some(_)) => Err(ClientMetadataError::Member(enc)),
        (None, None) => Ok(None),
    }
}

const MAX_WORDS: usize = 200;
