//! Verifying the ID token by which another provider says who has signed in there. OpenID Connect Core sections 2 and 3.1.3.7.

use std::time::Duration;

use chartgate_values::Timestamp;

use super::algorithm::Algorithm;
use super::claims::{Audience, Identifier, NumericDate, optional, required};
use super::foreign_token::ClaimPath;
use super::jws::{ExpectedType, MAX_TOKEN_BYTES, Unverified};
use super::key_set::KeySet;
use super::registered_claims::{Times, check_issuer};
use super::rejection::Rejection;
use crate::json::Object;

/// What the ID token of one provider has to be, and where its claims are that have no place of their own.
#[derive(Clone, Copy, Debug)]
pub struct ProviderTokenVerifier<'a> {
    /// `iss`, character by character.
    pub issuer: &'a str,
    /// What we are called there: in `aud`, and `azp` where there is one.
    pub client_id: &'a str,
    /// What this sign-in was begun with.
    pub nonce: &'a str,
    /// Where the names of groups or roles are.
    pub groups: Option<&'a ClaimPath>,
    /// Where a name is by which people are known there.
    pub name: Option<&'a ClaimPath>,
    /// By how much the provider's clock may be ahead of ours.
    pub skew: Duration,
}

/// Who signed in there, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct SignedInThere {
    /// Who, as the provider calls them and nobody else (section 8).
    pub sub: Identifier,
    /// What the provider calls the session there, by which it may tell that it ended (Back-Channel Logout section 2.1).
    pub sid: Option<Identifier>,
    /// When, if it says so.
    pub auth_time: Option<NumericDate>,
    /// How well.
    pub acr: Option<Identifier>,
    /// By what means.
    pub amr: Vec<Identifier>,
    /// The groups that they are in there; none where none are asked for.
    pub groups: Vec<String>,
    /// What they are known by there, if that was asked for and stands there.
    pub name: Option<String>,
}

/// The longest `sub`: section 2; and the longest of other names that are kept.
const LONGEST_NAME: usize = 255;

impl ProviderTokenVerifier<'_> {
    /// Verifies an ID token.
    ///
    /// # Errors
    /// [`Rejection`], by the first cause.
    pub fn verify(&self, token: &str, keys: &KeySet, now: Timestamp) -> Result<SignedInThere, Rejection> {
        let verified = Unverified::parse(token, &Algorithm::ALL, MAX_TOKEN_BYTES)?
            .verify_with(keys, ExpectedType::PlainJwt)?;
        self.accept(&verified.claims()?, now)
    }

    /// Judges the claims of a token whose signature was verified.
    pub(crate) fn accept(&self, claims: &Object<'_>, now: Timestamp) -> Result<SignedInThere, Rejection> {
        check_issuer(claims, self.issuer)?;
        check_client(claims, self.client_id)?;
        let times = Times::read(claims)?;
        times.check(now, self.skew)?;
        times.issued_at()?;
        // Section 3.1.3.7, rule 11: an answer to another question is none to ours.
        if required::<String>(claims, "nonce")? != self.nonce {
            return Err(Rejection::Nonce);
        }
        let sub = name(claims, "sub")?.ok_or(Rejection::MissingClaim("sub"))?;
        let auth_time: Option<NumericDate> = optional(claims, "auth_time")?;
        if auth_time.is_some_and(|time| time.is_after(now.plus(self.skew))) {
            return Err(Rejection::NotYet);
        }
        // A provider that says nothing of them may have left them out: that is not the same as none.
        let groups = match self.groups {
            Some(path) => path.texts(claims).ok_or(Rejection::MissingClaim("groups"))?,
            None => Vec::new(),
        };
        Ok(SignedInThere {
            sub,
            sid: name(claims, "sid")?,
            auth_time,
            acr: optional(claims, "acr")?,
            amr: optional(claims, "amr")?.unwrap_or_default(),
            groups,
            name: self.name.and_then(|path| path.text(claims)),
        })
    }
}

/// Section 3.1.3.7, rules 3 to 5: it is for us, and for whoever else it is, we were given it.
pub(super) fn check_client(claims: &Object<'_>, client_id: &str) -> Result<(), Rejection> {
    let aud: Audience = required(claims, "aud")?;
    let azp: Option<Identifier> = optional(claims, "azp")?;
    let is_ours = match &azp {
        Some(azp) => azp.as_str() == client_id,
        None => aud.iter().count() == 1,
    };
    if aud.contains(client_id) && is_ours { Ok(()) } else { Err(Rejection::Audience) }
}

/// What a provider calls somebody or something, if it does.
pub(super) fn name(claims: &Object<'_>, claim: &'static str) -> Result<Option<Identifier>, Rejection> {
    let found: Option<Identifier> = optional(claims, claim)?;
    match found {
        Some(name) if name.as_str().len() > LONGEST_NAME => Err(Rejection::ClaimCharacters(claim)),
        found => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{SigningKey, jws};
    use super::*;

    const NOW: i64 = 1_760_000_000;

    fn outcome(changes: &Value) -> Result<SignedInThere, Rejection> {
        let key = SigningKey::generate(Algorithm::RS256).unwrap();
        let mut claims = json!({
            "iss": "https://login.example.org", "sub": "4711", "aud": "gate", "nonce": "n", "iat": NOW - 5,
            "exp": NOW + 60, "groups": ["Clinicians", "Everybody"], "preferred_username": "dana",
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        let token = jws::sign(&key, "JWT", &claims).unwrap();
        let verifier = ProviderTokenVerifier {
            issuer: "https://login.example.org",
            client_id: "gate",
            nonce: "n",
            groups: Some(&"groups".parse().unwrap()),
            name: Some(&"preferred_username".parse().unwrap()),
            skew: Duration::from_secs(30),
        };
        verifier.verify(&token, &KeySet::from_iter([key.verifying_key().clone()]), Timestamp::from_unix(NOW))
    }

    #[test]
    fn an_id_token_says_who_signed_in_there_and_how() {
        let plain = outcome(&json!({})).unwrap();
        assert_eq!(
            (plain.sub.as_str(), plain.auth_time, plain.name.as_deref()),
            ("4711", None, Some("dana"))
        );
        assert_eq!(plain.groups, ["Clinicians", "Everybody"]);
        assert_eq!(plain.sid, None);
        let more = json!({
            "auth_time": NOW - 600, "amr": ["pwd", "mfa"], "acr": "2", "groups": "One", "azp": "gate", "sid": "s",
        });
        let more = outcome(&more).unwrap();
        assert_eq!(more.sid.unwrap().as_str(), "s");
        assert_eq!(more.auth_time.unwrap().timestamp().as_unix(), NOW - 600);
        assert_eq!(
            (more.amr.len(), more.acr.unwrap().as_str(), more.groups),
            (2, "2", vec!["One".to_owned()])
        );
        assert_eq!(outcome(&json!({"groups": []})).unwrap().groups, [""; 0]);
        let two = outcome(&json!({"aud": ["gate", "other"], "azp": "gate"}));
        assert!(two.is_ok());
    }

    #[test]
    fn a10_what_is_not_for_us_now_and_asked_for_is_refused() {
        for (changes, cause) in [
            (json!({"iss": "https://login.example.org/"}), Rejection::Issuer),
            (json!({"aud": "other"}), Rejection::Audience),
            (json!({"aud": ["gate", "other"]}), Rejection::Audience),
            (json!({"azp": "other"}), Rejection::Audience),
            (json!({"exp": NOW}), Rejection::Expired),
            (json!({"iat": NOW + 31}), Rejection::NotYet),
            (json!({"iat": null}), Rejection::MissingClaim("iat")),
            (json!({"nonce": "m"}), Rejection::Nonce),
            (json!({"nonce": null}), Rejection::MissingClaim("nonce")),
            (json!({"sub": null}), Rejection::MissingClaim("sub")),
            (json!({"sub": "x".repeat(256)}), Rejection::ClaimCharacters("sub")),
            (json!({"sid": ["s"]}), Rejection::ClaimType("sid")),
            (json!({"sid": "x".repeat(256)}), Rejection::ClaimCharacters("sid")),
            (json!({"auth_time": NOW + 60}), Rejection::NotYet),
            (json!({"amr": "mfa"}), Rejection::ClaimType("amr")),
            (json!({"groups": null}), Rejection::MissingClaim("groups")),
            (json!({"groups": ["Clinicians", 1]}), Rejection::MissingClaim("groups")),
        ] {
            assert_eq!(outcome(&changes), Err(cause), "{changes}");
        }
    }
}
