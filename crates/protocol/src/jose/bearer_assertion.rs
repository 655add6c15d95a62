//! Verifying what another issuer says of a person, in place of their own approval. RFC 7521 section 5.2, RFC 7523
//! sections 2.1 and 3.

use std::time::Duration;

use chartgate_values::Timestamp;

use super::algorithm::Algorithm;
use super::claims::{Identifier, NumericDate, optional, required};
use super::foreign_token::ClaimPath;
use super::jws::{ExpectedType, MAX_TOKEN_BYTES, Unverified};
use super::key_set::KeySet;
use super::registered_claims::{Times, check_issuer};
use super::rejection::Rejection;

/// What an assertion of one issuer has to be in order to be accepted.
#[derive(Clone, Copy, Debug)]
pub struct BearerAssertionVerifier<'a> {
    /// `iss`, character by character.
    pub issuer: &'a str,
    /// What we are called: `aud` is one of these, as one text, character by character.
    pub audiences: &'a [String],
    /// Where the name is that the person has here.
    pub user: &'a ClaimPath,
    /// How far ahead `exp` may lie.
    pub max_lifetime: Duration,
    /// By how much the issuer's clock may be ahead of ours.
    pub skew: Duration,
}

/// What an issuer says of a person.
#[derive(Clone, Debug, PartialEq)]
pub struct BearerAssertion {
    /// What the issuer itself calls the person.
    pub sub: Identifier,
    /// The name that the person has here.
    pub user: Identifier,
    /// Its own name, good for one use.
    pub jti: Identifier,
    /// The first moment at which it is no longer valid.
    pub exp: NumericDate,
    /// When it was made.
    pub issued_at: NumericDate,
    /// When the person signed in there, if it says so.
    pub auth_time: Option<NumericDate>,
    /// By what means.
    pub amr: Vec<Identifier>,
}

impl BearerAssertionVerifier<'_> {
    /// Verifies an assertion. That its `jti` was not used before is for the caller to say.
    ///
    /// # Errors
    /// [`Rejection`], by the first cause.
    pub fn verify(
        &self,
        assertion: &str,
        keys: &KeySet,
        now: Timestamp,
    ) -> Result<BearerAssertion, Rejection> {
        let verified = Unverified::parse(assertion, &Algorithm::ALL, MAX_TOKEN_BYTES)?
            .verify_with(keys, ExpectedType::PlainJwt)?;
        let claims = verified.claims()?;
        check_issuer(&claims, self.issuer)?;
        match required::<String>(&claims, "aud") {
            Ok(aud) if self.audiences.contains(&aud) => {}
            Ok(_) | Err(Rejection::ClaimType(_)) => return Err(Rejection::Audience),
            Err(cause) => return Err(cause),
        }
        let times = Times::read(&claims)?;
        times.check(now, self.skew)?;
        if times.exp.is_after(now.plus(self.max_lifetime).plus(self.skew)) {
            return Err(Rejection::LivesTooLong);
        }
        // RFC 8725 section 3.11: an access or ID token of the issuer's is no assertion, though it may look like one.
        if ["scope", "scp", "nonce", "at_hash", "client_id", "typ"]
            .into_iter()
            .any(|name| claims.get(name).is_some())
        {
            return Err(Rejection::Type);
        }
        let sub = required(&claims, "sub")?;
        let user = self.user.text(&claims).ok_or(Rejection::MissingClaim("sub"))?;
        let issued_at = times.issued_at()?;
        let auth_time: Option<NumericDate> = optional(&claims, "auth_time")?;
        if auth_time.is_some_and(|time| time.is_after(now.plus(self.skew))) {
            return Err(Rejection::NotYet);
        }
        Ok(BearerAssertion {
            sub,
            user: user.parse().map_err(|_| Rejection::ClaimCharacters("sub"))?,
            jti: required(&claims, "jti")?,
            exp: times.exp,
            issued_at,
            auth_time,
            amr: optional(&claims, "amr")?.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{SigningKey, jws};
    use super::*;

    const NOW: i64 = 1_760_000_000;

    fn outcome(changes: &Value) -> Result<BearerAssertion, Rejection> {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let mut claims = json!({
            "iss": "https://login.example.org", "sub": "4711", "aud": "https://gate.example.org", "iat": NOW - 5,
            "exp": NOW + 60, "jti": "j", "preferred_username": "dana",
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        let assertion = jws::sign(&key, "JWT", &claims).unwrap();
        let verifier = BearerAssertionVerifier {
            issuer: "https://login.example.org",
            audiences: &["https://gate.example.org".to_owned()],
            user: &"preferred_username".parse().unwrap(),
            max_lifetime: Duration::from_secs(300),
            skew: Duration::from_secs(30),
        };
        verifier.verify(
            &assertion,
            &KeySet::from_iter([key.verifying_key().clone()]),
            Timestamp::from_unix(NOW),
        )
    }

    #[test]
    fn an_assertion_names_a_person_here_and_when_they_signed_in_there() {
        let plain = outcome(&json!({})).unwrap();
        assert_eq!(plain.sub.as_str(), "4711");
        assert_eq!((plain.user.as_str(), plain.issued_at.timestamp().as_unix()), ("dana", NOW - 5));
        assert_eq!(plain.auth_time, None);
        let more = outcome(&json!({"auth_time": NOW - 600, "amr": ["pwd", "otp"]})).unwrap();
        assert_eq!((more.auth_time.unwrap().timestamp().as_unix(), more.amr.len()), (NOW - 600, 2));
    }

    #[test]
    fn j17_what_is_not_for_us_or_not_for_now_is_refused() {
        for (changes, cause) in [
            (json!({"aud": ["https://gate.example.org"]}), Rejection::Audience),
            (json!({"aud": "https://gate.example.org/"}), Rejection::Audience),
            (json!({"iss": "https://login.example.org/"}), Rejection::Issuer),
            (json!({"exp": NOW}), Rejection::Expired),
            (json!({"exp": NOW + 331}), Rejection::LivesTooLong),
            (json!({"iat": NOW + 31}), Rejection::NotYet),
            (json!({"iat": null}), Rejection::MissingClaim("iat")),
            (json!({"jti": null}), Rejection::MissingClaim("jti")),
            (json!({"sub": null}), Rejection::MissingClaim("sub")),
            (json!({"preferred_username": null}), Rejection::MissingClaim("sub")),
            (json!({"scope": "openid"}), Rejection::Type),
            (json!({"nonce": "n"}), Rejection::Type),
            (json!({"typ": "Bearer"}), Rejection::Type),
            (json!({"auth_time": NOW + 60}), Rejection::NotYet),
            (json!({"preferred_username": ["dana"]}), Rejection::MissingClaim("sub")),
            (json!({"preferred_username": "da\u{202e}na"}), Rejection::ClaimCharacters("sub")),
        ] {
            assert_eq!(outcome(&changes), Err(cause), "{changes}");
        }
    }
}
