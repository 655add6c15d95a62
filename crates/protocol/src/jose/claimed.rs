//! What a token says of itself before anybody has verified it: good for choosing whose keys to verify it with, and for
//! nothing else.

use super::claims::{Identifier, optional};
use super::jws::{MAX_JSON_DEPTH, MAX_TOKEN_BYTES, parse_claims};
use super::rejection::Rejection;
use crate::base64url;
use crate::json::Object;

/// The claims of a token of which nobody knows yet whether they are true.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claimed {
    /// Who would have issued it.
    pub iss: Option<Identifier>,
    /// Whom it would speak of.
    pub sub: Option<Identifier>,
    /// Which key would have signed it.
    pub kid: Option<String>,
    /// Where its keys would be. Nobody goes there: SMART App Launch 2.2 wants it to be what was registered.
    pub jku: Option<String>,
}

impl Claimed {
    /// Looks into a signed token in the compact serialization.
    ///
    /// # Errors
    /// [`Rejection`] if it is none, or a claim that is asked for is no text.
    pub fn read(token: &str) -> Result<Self, Rejection> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Rejection::TooLarge);
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Rejection::Malformed);
        };
        let header = base64url::decode(header).map_err(|_| Rejection::Encoding)?;
        let header = Object::parse(&header, MAX_JSON_DEPTH).map_err(|_| Rejection::MalformedHeader)?;
        let payload = base64url::decode(payload).map_err(|_| Rejection::Encoding)?;
        let claims = parse_claims(&payload)?;
        let named = |name| {
            let text = header.string(name).map_err(|_| Rejection::MalformedHeader)?;
            Ok::<_, Rejection>(text.map(Into::into))
        };
        Ok(Self {
            iss: optional(&claims, "iss")?,
            sub: optional(&claims, "sub")?,
            kid: named("kid")?,
            jku: named("jku")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, claims: &str) -> String {
        format!("{}.{}.c2ln", base64url::encode(header.as_bytes()), base64url::encode(claims.as_bytes()))
    }

    #[test]
    fn what_a_token_says_of_itself_is_read_before_anything_is_verified() {
        let said =
            Claimed::read(&token(r#"{"alg":"none","kid":"k"}"#, r#"{"iss":"i","sub":"app"}"#)).unwrap();
        let text = |claim: Option<Identifier>| claim.unwrap().as_str().to_owned();
        assert_eq!(
            (text(said.iss), text(said.sub), said.kid.unwrap()),
            ("i".into(), "app".into(), "k".into())
        );
        let silent = Claimed::read(&token("{}", "{}")).unwrap();
        assert_eq!(silent, Claimed { iss: None, sub: None, kid: None, jku: None });
    }

    #[test]
    fn j13_what_is_no_token_says_nothing() {
        for (text, cause) in [
            ("x".repeat(MAX_TOKEN_BYTES + 1), Rejection::TooLarge),
            ("a.b".to_owned(), Rejection::Malformed),
            ("a.b.c.d".to_owned(), Rejection::Malformed),
            ("a=.e30.c".to_owned(), Rejection::Encoding),
            ("e30.b=.c".to_owned(), Rejection::Encoding),
            ("e30..c".to_owned(), Rejection::MalformedPayload),
            (".e30.c".to_owned(), Rejection::MalformedHeader),
            (token(r#"{"kid":7}"#, "{}"), Rejection::MalformedHeader),
            (token("{}", r#"{"iss":7}"#), Rejection::ClaimType("iss")),
            (token("{}", r#"{"sub":"a","sub":"b"}"#), Rejection::DuplicateName),
        ] {
            assert_eq!(Claimed::read(&text), Err(cause), "{text:.80}");
        }
    }
}
