//! How a client shows who it is. RFC 6749 section 2.3.1, RFC 7523 section 2.2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chartgate_values::Secret;

use crate::form::Form;

/// RFC 7523 section 2.2.
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What a client presents; not checked yet.
#[derive(Debug)]
pub enum Presented {
    /// `client_secret_basic`.
    Basic {
        /// The client's name.
        client_id: String,
        /// Its secret.
        secret: Secret<String>,
    },
    /// `client_secret_post`.
    Post {
        /// The client's name.
        client_id: String,
        /// Its secret.
        secret: Secret<String>,
    },
    /// `private_key_jwt`.
    Assertion {
        /// The client's name, where the request says it besides.
        client_id: Option<String>,
        /// The signed assertion.
        assertion: Secret<String>,
    },
    /// `none`: a public client says its name.
    Public {
        /// The client's name.
        client_id: String,
    },
}

/// Why a request shows no client. All are `invalid_client`, but for two methods at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PresentedError {
    /// RFC 6749 section 2.3: one method a request.
    #[error("more than one way of client authentication")]
    Several,
    /// RFC 7617.
    #[error("Authorization is not well-formed Basic")]
    Basic,
    /// RFC 7521 section 4.2.
    #[error("client_assertion_type is not `{JWT_BEARER}`")]
    AssertionType,
    /// Nobody at all.
    #[error("no client is named")]
    Nobody,
}

impl Presented {
    /// Reads the one way in which the request shows its client.
    ///
    /// # Errors
    /// [`PresentedError`].
    pub fn read(authorization: Option<&str>, form: &Form) -> Result<Self, PresentedError> {
        let named = form.get("client_id").map(str::to_owned);
        let secret = form.get("client_secret");
        let assertion = form.get("client_assertion");
        if [authorization.is_some(), secret.is_some(), assertion.is_some()].iter().filter(|x| **x).count() > 1
        {
            return Err(PresentedError::Several);
        }
        if let Some(header) = authorization {
            let basic = Self::basic(header)?;
            return match (&basic, named) {
                (Self::Basic { client_id, .. }, Some(other)) if *client_id != other => {
                    Err(PresentedError::Several)
                }
                _ => Ok(basic),
            };
        }
        if let Some(assertion) = assertion {
            if form.get("client_assertion_type") != Some(JWT_BEARER) {
                return Err(PresentedError::AssertionType);
            }
            let assertion = Secret::new(assertion.to_owned());
            return Ok(Self::Assertion { client_id: named, assertion });
        }
        let client_id = named.ok_or(PresentedError::Nobody)?;
        Ok(match secret {
            Some(secret) => Self::Post { client_id, secret: Secret::new(secret.to_owned()) },
            None => Self::Public { client_id },
        })
    }

    /// Name and secret are form-encoded inside the base64 (RFC 6749 section 2.3.1).
    fn basic(header: &str) -> Result<Self, PresentedError> {
        let (scheme, encoded) = header.split_once(' ').ok_or(PresentedError::Basic)?;
        if !scheme.eq_ignore_ascii_case("Basic") {
            return Err(PresentedError::Basic);
        }
        let decoded = STANDARD.decode(encoded.trim()).map_err(|_| PresentedError::Basic)?;
        let text = Secret::new(String::from_utf8(decoded).map_err(|_| PresentedError::Basic)?);
        let (client_id, secret) = text.expose().split_once(':').ok_or(PresentedError::Basic)?;
        let pair =
            Form::parse_repeating(&format!("{client_id}={secret}")).map_err(|_| PresentedError::Basic)?;
        match pair.iter().next() {
            Some((client_id, secret)) if !client_id.is_empty() => {
                Ok(Self::Basic { client_id: client_id.to_owned(), secret: Secret::new(secret.to_owned()) })
            }
            Some(_) | None => Err(PresentedError::Basic),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(authorization: Option<&str>, form: &str) -> Result<Presented, PresentedError> {
        Presented::read(authorization, &Form::parse(form).unwrap())
    }

    #[test]
    fn basic_is_form_decoded() {
        let header = format!("Basic {}", STANDARD.encode("my%20app:a%3Ab%2B"));
        match read(Some(&header), "") {
            Ok(Presented::Basic { client_id, secret }) => {
                assert_eq!(client_id, "my app");
                assert_eq!(secret.expose(), "a:b+");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn two_ways_at_once_are_refused() {
        let header = format!("Basic {}", STANDARD.encode("a:b"));
        assert_eq!(read(Some(&header), "client_secret=b").unwrap_err(), PresentedError::Several);
        assert_eq!(read(Some(&header), "client_id=other").unwrap_err(), PresentedError::Several);
        assert_eq!(read(None, "client_secret=b&client_assertion=x").unwrap_err(), PresentedError::Several);
    }

    #[test]
    fn what_shows_nobody_is_refused() {
        assert_eq!(read(None, "").unwrap_err(), PresentedError::Nobody);
        assert_eq!(read(Some("Basic !!"), "").unwrap_err(), PresentedError::Basic);
        assert_eq!(read(Some("Bearer x"), "").unwrap_err(), PresentedError::Basic);
        assert_eq!(
            read(None, "client_assertion=x&client_assertion_type=saml").unwrap_err(),
            PresentedError::AssertionType
        );
    }
}
