//! The request to sign a person out. OpenID Connect RP-Initiated Logout 1.0 section 2.

use chartgate_values::Secret;

use crate::form::Form;

/// Longest `state` that we carry.
const MAX_STATE: usize = 2048;

/// What an application says when it wants its person signed out; nothing of it is looked up yet. `logout_hint` and
/// `ui_locales` are not read.
#[derive(Debug)]
pub struct LogoutRequest {
    /// An ID token that the application once got, perhaps long ago.
    pub id_token_hint: Option<Secret<String>>,
    /// The application.
    pub client_id: Option<String>,
    /// Where the person goes afterwards.
    pub post_logout_redirect_uri: Option<String>,
    /// Given back there.
    pub state: Option<String>,
}

/// Why a request makes no sense.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LogoutRequestError {
    /// A limit of ours.
    #[error("state is too long")]
    TooLong,
}

impl LogoutRequest {
    /// Reads the request.
    ///
    /// # Errors
    /// [`LogoutRequestError`].
    pub fn read(form: &Form) -> Result<Self, LogoutRequestError> {
        let text = |name| form.get(name).map(str::to_owned);
        let state = text("state");
        if state.as_ref().is_some_and(|state| state.len() > MAX_STATE) {
            return Err(LogoutRequestError::TooLong);
        }
        Ok(Self {
            id_token_hint: text("id_token_hint").map(Secret::new),
            client_id: text("client_id"),
            post_logout_redirect_uri: text("post_logout_redirect_uri"),
            state,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_may_be_absent_and_nothing_may_be_long() {
        let read = |text: &str| LogoutRequest::read(&Form::parse(text).unwrap());
        let empty = read("").unwrap();
        assert!(empty.id_token_hint.is_none() && empty.post_logout_redirect_uri.is_none());
        let full =
            read("id_token_hint=a.b.c&client_id=app&post_logout_redirect_uri=https://a/&state=s").unwrap();
        assert_eq!(full.id_token_hint.unwrap().expose(), "a.b.c");
        assert_eq!(full.state.as_deref(), Some("s"));
        assert_eq!(read(&format!("state={}", "s".repeat(2049))).unwrap_err(), LogoutRequestError::TooLong);
    }
}
