//! Asking a person who sits elsewhere: what a client asks and is told. OpenID Connect CIBA Core sections 7, 10.2 and 13.

use chartgate_values::Secret;
use serde::Serialize;

use crate::form::Form;
use crate::oauth::error::ErrorCode;
use crate::oauth::purpose_of_use::{PurposeOfUse, UnknownPurpose};
use crate::oauth::scope::ScopeSet;

/// CIBA Core section 4.
pub const CIBA: &str = "urn:openid:params:grant-type:ciba";

/// What a client asks.
#[derive(Debug)]
pub struct BackchannelAuthenticationRequest {
    /// What it wants to do; `openid` is among it.
    pub scope: ScopeSet,
    /// Whom it means.
    pub hint: Hint,
    /// What both screens are to show.
    pub binding_message: Option<String>,
    /// How many seconds it is ready to wait.
    pub requested_expiry: Option<u32>,
    /// Its own secret for being told of the answer.
    pub client_notification_token: Option<Secret<String>>,
    /// Where the token shall be good (RFC 8707).
    pub resource: Option<String>,
    /// Why records are to be looked at.
    pub purpose_of_use: Option<PurposeOfUse>,
}

/// Whom a client means.
#[derive(Debug)]
pub enum Hint {
    /// By their name.
    Login(String),
    /// By an ID token that it got for them.
    IdToken(Secret<String>),
}

/// Why a request is refused before anything is looked up.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BackchannelRequestError {
    /// CIBA Core section 7.1: `openid` is among the scopes.
    #[error("scope is missing, malformed or without openid")]
    Scope,
    /// CIBA Core section 7.1: one and only one.
    #[error("there has to be exactly one of login_hint and id_token_hint")]
    Hint,
    /// Not offered.
    #[error("`{0}` is not offered here")]
    NotOffered(&'static str),
    /// CIBA Core section 7.1: short and plain, for it is shown on small screens.
    #[error("binding_message has to be 1 to {MAX_MESSAGE} printable characters")]
    BindingMessage,
    /// There is no such purpose.
    #[error(transparent)]
    Purpose(#[from] UnknownPurpose),
    /// CIBA Core section 7.1: a positive number.
    #[error("requested_expiry has to be a positive number of seconds")]
    Expiry,
    /// CIBA Core section 7.1: a bearer token of 128 bits at least and 1024 characters at most.
    #[error("client_notification_token is no bearer token of 22 to 1024 characters")]
    NotificationToken,
}

impl BackchannelRequestError {
    /// The code for the client. CIBA Core section 13.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Scope => ErrorCode::InvalidScope,
            Self::BindingMessage => ErrorCode::InvalidBindingMessage,
            Self::Hint | Self::NotOffered(_) | Self::Expiry | Self::NotificationToken | Self::Purpose(_) => {
                ErrorCode::InvalidRequest
            }
        }
    }
}

impl BackchannelAuthenticationRequest {
    /// Reads the request.
    ///
    /// # Errors
    /// [`BackchannelRequestError`], by the first cause.
    pub fn read(form: &Form) -> Result<Self, BackchannelRequestError> {
        for name in ["request", "login_hint_token"] {
            if form.get(name).is_some() {
                return Err(BackchannelRequestError::NotOffered(name));
            }
        }
        let scope: Option<ScopeSet> =
            form.get("scope").map(str::parse).transpose().map_err(|_| BackchannelRequestError::Scope)?;
        let scope = scope.filter(|scope| scope.contains("openid")).ok_or(BackchannelRequestError::Scope)?;
        let hint = match (form.get("login_hint"), form.get("id_token_hint")) {
            (Some(name), None) => Hint::Login(name.to_owned()),
            (None, Some(token)) => Hint::IdToken(Secret::new(token.to_owned())),
            (Some(_), Some(_)) | (None, None) => return Err(BackchannelRequestError::Hint),
        };
        let binding_message = form.get("binding_message").map(message).transpose()?;
        let seconds = |text: &str| text.parse().ok().filter(|seconds: &u32| *seconds > 0);
        let requested_expiry = form
            .get("requested_expiry")
            .map(|text| seconds(text).ok_or(BackchannelRequestError::Expiry))
            .transpose()?;
        let client_notification_token =
            form.get("client_notification_token").map(notification_token).transpose()?;
        Ok(Self {
            scope,
            hint,
            binding_message,
            requested_expiry,
            client_notification_token,
            resource: form.get("resource").or_else(|| form.get("aud")).map(str::to_owned),
            purpose_of_use: form.get("purpose_of_use").map(str::parse).transpose()?,
        })
    }
}

/// What both screens show: nothing that could make it look like something else.
fn message(text: &str) -> Result<String, BackchannelRequestError> {
    let shown = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let length = text.chars().count();
    if (1..=MAX_MESSAGE).contains(&length) && text.chars().all(shown) && !text.trim().is_empty() {
        return Ok(text.to_owned());
    }
    Err(BackchannelRequestError::BindingMessage)
}

fn notification_token(text: &str) -> Result<Secret<String>, BackchannelRequestError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    if (22..=1024).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(Secret::new(text.to_owned()));
    }
    Err(BackchannelRequestError::NotificationToken)
}

/// What the client is told. CIBA Core section 7.3.
#[derive(Serialize)]
pub struct BackchannelAuthenticationResponse {
    /// The name of its request.
    pub auth_req_id: String,
    /// Seconds until it ends.
    pub expires_in: u64,
    /// Seconds between two polls.
    pub interval: u64,
}

/// What a client is pinged with. CIBA Core section 10.2.
#[derive(Serialize)]
pub struct Ping<'a> {
    /// The name of its request.
    pub auth_req_id: &'a str,
}

/// Longer ones do not fit on a phone.
const MAX_MESSAGE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<BackchannelAuthenticationRequest, BackchannelRequestError> {
        BackchannelAuthenticationRequest::read(&Form::parse(text).unwrap())
    }

    #[test]
    fn a_request_names_one_person_and_what_both_screens_show() {
        let request =
            read("scope=openid&login_hint=dana&binding_message=Desk+4%3A+17-42&requested_expiry=60").unwrap();
        assert!(matches!(request.hint, Hint::Login(name) if name == "dana"));
        assert_eq!(
            (request.binding_message.as_deref(), request.requested_expiry),
            (Some("Desk 4: 17-42"), Some(60))
        );
        assert!(matches!(read("scope=openid&id_token_hint=a.b.c").unwrap().hint, Hint::IdToken(_)));
    }

    #[test]
    fn o19_what_is_ambiguous_or_unfit_to_be_shown_is_refused_with_its_code() {
        use BackchannelRequestError as E;
        let long = "x".repeat(65);
        for (text, cause) in [
            ("login_hint=dana".to_owned(), E::Scope),
            ("scope=profile&login_hint=dana".to_owned(), E::Scope),
            ("scope=openid".to_owned(), E::Hint),
            ("scope=openid&login_hint=dana&id_token_hint=t".to_owned(), E::Hint),
            ("scope=openid&login_hint_token=t".to_owned(), E::NotOffered("login_hint_token")),
            ("scope=openid&login_hint=dana&login_hint_token=t".to_owned(), E::NotOffered("login_hint_token")),
            ("scope=openid&login_hint=dana&request=a.b.c".to_owned(), E::NotOffered("request")),
            (format!("scope=openid&login_hint=dana&binding_message={long}"), E::BindingMessage),
            ("scope=openid&login_hint=dana&binding_message=+".to_owned(), E::BindingMessage),
            ("scope=openid&login_hint=dana&binding_message=a%E2%80%8Bb".to_owned(), E::BindingMessage),
            ("scope=openid&login_hint=dana&binding_message=a%E2%80%AEb".to_owned(), E::BindingMessage),
            ("scope=openid&login_hint=dana&requested_expiry=0".to_owned(), E::Expiry),
            ("scope=openid&login_hint=dana&requested_expiry=-1".to_owned(), E::Expiry),
            ("scope=openid&login_hint=dana&client_notification_token=short".to_owned(), E::NotificationToken),
            (
                format!("scope=openid&login_hint=dana&client_notification_token={}%20", "x".repeat(30)),
                E::NotificationToken,
            ),
        ] {
            assert_eq!(read(&text).err(), Some(cause), "{text}");
        }
        assert_eq!(E::BindingMessage.code(), ErrorCode::InvalidBindingMessage);
    }

    proptest! {
        #[test]
        fn o19_no_message_that_is_taken_has_characters_that_hide(text in ".{0,80}") {
            if let Ok(taken) = message(&text) {
                prop_assert!(taken.chars().count() <= MAX_MESSAGE);
                prop_assert!(!taken.chars().any(char::is_control));
            }
        }
    }
}
