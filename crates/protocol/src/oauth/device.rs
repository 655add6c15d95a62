//! Device authorization: what a device asks and is told, and the code that a person types. RFC 8628 sections 3.1, 3.2
//! and 6.1.

use std::fmt;
use std::str::FromStr;

use chartgate_values::Entropy;
use serde::Serialize;

use super::purpose_of_use::PurposeOfUse;
use super::scope::ScopeSet;
use super::token::TokenRequestError;
use crate::form::Form;

/// What a device wants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeviceAuthorizationRequest {
    /// What it wants to do; what it is registered for, if it does not say.
    pub scope: Option<ScopeSet>,
    /// Where the token shall be good (RFC 8707).
    pub resource: Option<String>,
    /// Why records are to be looked at.
    pub purpose_of_use: Option<PurposeOfUse>,
}

impl DeviceAuthorizationRequest {
    /// Reads the request.
    ///
    /// # Errors
    /// [`TokenRequestError`].
    pub fn read(form: &Form) -> Result<Self, TokenRequestError> {
        let scope = form.get("scope").map(str::parse).transpose().map_err(|_| TokenRequestError::Scope)?;
        let resource = form.get("resource").or_else(|| form.get("aud")).map(str::to_owned);
        let purpose_of_use = form.get("purpose_of_use").map(str::parse).transpose()?;
        Ok(Self { scope, resource, purpose_of_use })
    }
}

/// What it is told. There is no `verification_uri_complete`: a link that has the code in it is a link that anybody can
/// send to anybody (RFC 8628 section 5.4).
#[derive(Serialize)]
pub struct DeviceAuthorizationResponse {
    /// What it polls with.
    pub device_code: String,
    /// What its person types.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// Seconds until both end.
    pub expires_in: u64,
    /// Seconds between two polls.
    pub interval: u64,
}

/// A code for people: eight letters, none of them a vowel, so that no word comes of it and none looks like a digit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UserCode([u8; LENGTH]);

/// What was typed is no code.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a code of {LENGTH} letters")]
pub struct NotAUserCode;

impl UserCode {
    /// A fresh one: 34 bits, which last for minutes and are guessed against a throttle.
    pub fn draw(entropy: &mut dyn Entropy) -> Self {
        let mut letters = [b'B'; LENGTH];
        for letter in &mut letters {
            // Bytes beyond the last whole multiple are drawn again: else the first letters were likelier.
            *letter = loop {
                let [byte] = entropy.bytes::<1>();
                if let Some(letter) = (byte < 240).then(|| ALPHABET.get(usize::from(byte % 20))).flatten() {
                    break *letter;
                }
            };
        }
        Self(letters)
    }
}

impl FromStr for UserCode {
    type Err = NotAUserCode;

    /// As people type it: in either case, with or without the dash, with spaces.
    fn from_str(text: &str) -> Result<Self, NotAUserCode> {
        let mut letters = text.bytes().filter(|b| !matches!(b, b'-' | b' ')).map(|b| b.to_ascii_uppercase());
        let mut code = [0; LENGTH];
        for letter in &mut code {
            *letter = letters.next().filter(|b| ALPHABET.contains(b)).ok_or(NotAUserCode)?;
        }
        if letters.next().is_some() { Err(NotAUserCode) } else { Ok(Self(code)) }
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, letter) in self.0.iter().enumerate() {
            if index == LENGTH / 2 {
                f.write_str("-")?;
            }
            write!(f, "{}", char::from(*letter))?;
        }
        Ok(())
    }
}

const LENGTH: usize = 8;
/// RFC 8628 section 6.1.
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

#[cfg(test)]
mod tests {
    use super::*;
    use chartgate_values::SeededEntropy;
    use proptest::prelude::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code: UserCode = "wdjb-mjht".parse().unwrap();
        assert_eq!(code.to_string(), "WDJB-MJHT");
        for same in ["WDJBMJHT", " W D J B - m j h t "] {
            assert_eq!(same.parse(), Ok(code.clone()), "{same}");
        }
        for bad in ["", "WDJB-MJH", "WDJB-MJHTT", "WDJA-MJHT", "WDJB_MJHT", "WDJB-MJH1", "ẄDJB-MJHT"] {
            assert_eq!(bad.parse::<UserCode>(), Err(NotAUserCode), "{bad}");
        }
    }

    #[test]
    fn o18_every_letter_is_drawn_and_no_other() {
        let mut entropy = SeededEntropy::new(1);
        let drawn: String = (0..200).map(|_| UserCode::draw(&mut entropy).to_string()).collect();
        assert!(ALPHABET.iter().all(|letter| drawn.contains(char::from(*letter))));
        assert!(drawn.bytes().all(|b| b == b'-' || ALPHABET.contains(&b)));
    }

    proptest! {
        #[test]
        fn what_is_drawn_reads_back(seed in any::<u64>()) {
            let code = UserCode::draw(&mut SeededEntropy::new(seed));
            prop_assert_eq!(code.to_string().parse(), Ok(code));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let _ = text.parse::<UserCode>();
        }
    }
}
