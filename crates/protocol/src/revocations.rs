//! The feed of cut-offs, by which services that verify our tokens themselves learn at once of what is revoked. A format
//! of our own: docs/revocations.md.

use std::time::Duration;

use chartgate_values::Timestamp;
use serde::{Deserialize, Serialize};

use crate::form::Form;
use crate::jose::claims::{NumericDate, required};
use crate::jose::jws::{ExpectedType, Unverified};
use crate::jose::{Algorithm, KeySet, Rejection, check_issuer};
use crate::json::Object;

/// `typ` of the feed.
pub const REVOCATIONS_TYPE: &str = "revocations+jwt";

/// The scope that the feed wants.
pub const REVOCATIONS_SCOPE: &str = "revocations:read";

/// The longest that a follower may ask us to wait for news.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The longest feed that is read: about a hundred thousand cut-offs.
pub const MAX_FEED_BYTES: usize = 16 << 20;

/// What a follower asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RevocationsRequest {
    /// The position that the last answer gave.
    pub after: Option<String>,
    /// How long to wait where there is nothing new.
    pub wait: Duration,
}

/// Why a question is not understood.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("wait has to be a number of seconds")]
pub struct NotAWait;

impl RevocationsRequest {
    /// Reads the query.
    ///
    /// # Errors
    /// [`NotAWait`].
    pub fn read(query: &Form) -> Result<Self, NotAWait> {
        let wait = query.get("wait").map_or(Ok(0), str::parse).map_err(|_| NotAWait)?;
        let wait = Duration::from_secs(wait).min(LONGEST_WAIT);
        Ok(Self { after: query.get("after").map(str::to_owned), wait })
    }
}

/// An answer of the feed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Revocations {
    /// Who cuts off, and whose tokens.
    pub iss: String,
    /// As of when.
    pub iat: NumericDate,
    /// Where to go on from.
    pub position: String,
    /// Whether this is all there is, in place of whatever the follower had.
    pub reset: bool,
    /// What is cut off.
    pub cut_offs: Vec<CutOffEntry>,
}

/// Tokens that are not believed: those whose claim has this value.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CutOffEntry {
    /// Which claim.
    pub claim: CutClaim,
    /// Its value.
    pub value: String,
    /// Of these, those whose `iat` is not later than this second; without it all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_until: Option<i64>,
    /// When no token can be good any more that this could concern: then it may be forgotten.
    pub forget_at: i64,
}

/// The claim, or member of the header, by which tokens are cut off.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutClaim {
    /// Whom they speak of.
    Sub,
    /// Their session.
    Sid,
    /// The client that they were issued to.
    ClientId,
    /// The grant that they came of.
    GrantId,
    /// The key that they are signed with.
    Kid,
    /// Their own name.
    Jti,
    /// Who issued them: all of ours, after a restore.
    Iss,
}

impl CutOffEntry {
    /// Whether a token that was issued then, and whose claim has this value, is cut off.
    #[must_use]
    pub fn cuts(&self, issued_at: Timestamp) -> bool {
        self.issued_until.is_none_or(|until| issued_at <= Timestamp::from_unix(until))
    }
}

/// What an answer of the feed has to be in order to be believed.
#[derive(Clone, Debug)]
pub struct RevocationsVerifier<'a> {
    /// `iss`, character by character.
    pub issuer: &'a str,
    /// When it was asked for: an older answer is another question's.
    pub asked_at: Timestamp,
    /// How far the issuer's clock may be off ours.
    pub skew: Duration,
}

impl RevocationsVerifier<'_> {
    /// Verifies an answer.
    ///
    /// # Errors
    /// [`Rejection`], by the first cause. A cut-off of a kind that is not known here is one: it would not be kept.
    pub fn verify(&self, token: &str, keys: &KeySet, now: Timestamp) -> Result<Revocations, Rejection> {
        let verified = Unverified::parse(token, &Algorithm::ALL, MAX_FEED_BYTES)?
            .verify_with(keys, ExpectedType::Exactly(REVOCATIONS_TYPE))?;
        self.accept(&verified.claims()?, now)
    }

    /// Judges the claims of an answer whose signature was verified.
    pub(crate) fn accept(&self, claims: &Object<'_>, now: Timestamp) -> Result<Revocations, Rejection> {
        let iss = check_issuer(claims, self.issuer)?;
        let iat: NumericDate = required(claims, "iat")?;
        if iat.is_after(now.plus(self.skew)) {
            return Err(Rejection::NotYet);
        }
        if iat.timestamp() < self.asked_at.minus(self.skew).floor_to_second() {
            return Err(Rejection::Expired);
        }
        let read = |name| claims.read(name).map_err(|_| Rejection::ClaimType(name));
        let position = required(claims, "position")?;
        let reset = read("reset")?.ok_or(Rejection::MissingClaim("reset"))?;
        let cut_offs = claims.read("cut_offs").map_err(|_| Rejection::ClaimType("cut_offs"))?;
        let cut_offs = cut_offs.ok_or(Rejection::MissingClaim("cut_offs"))?;
        Ok(Revocations { iss, iat, position, reset, cut_offs })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::jose::{SigningKey, jws};

    const NOW: i64 = 1_800_000_000;

    fn claims() -> Value {
        json!({ "iss": "https://gate.test", "iat": NOW, "position": "a.1", "reset": true, "cut_offs": [
            { "claim": "sub", "value": "dana", "issued_until": NOW, "forget_at": NOW + 3600 },
            { "claim": "kid", "value": "k", "forget_at": NOW + 3600 },
        ]})
    }

    fn judge(typ: &str, claims: &Value) -> Result<Revocations, Rejection> {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let keys = KeySet::parse(json!({ "keys": [key.public_jwk()] }).to_string().as_bytes()).unwrap();
        let verifier = RevocationsVerifier {
            issuer: "https://gate.test",
            asked_at: Timestamp::from_unix(NOW - 10),
            skew: Duration::from_secs(5),
        };
        verifier.verify(&jws::sign(&key, typ, claims).unwrap(), &keys, Timestamp::from_unix(NOW))
    }

    #[test]
    fn a_good_answer_is_read_and_each_cut_off_says_whom_it_cuts() {
        let read = judge(REVOCATIONS_TYPE, &claims()).unwrap();
        assert_eq!((read.position.as_str(), read.reset), ("a.1", true));
        let cuts =
            |at: i64| read.cut_offs.iter().map(|c| c.cuts(Timestamp::from_unix(at))).collect::<Vec<_>>();
        assert_eq!(cuts(NOW), [true, true]);
        assert_eq!(cuts(NOW + 1), [false, true], "a key is cut for good");
    }

    #[test]
    fn an_answer_that_is_another_thing_or_another_times_is_refused() {
        let changed = |name: &str, value: Value| {
            let mut claims = claims();
            claims[name] = value;
            judge(REVOCATIONS_TYPE, &claims).map(drop)
        };
        assert_eq!(judge("at+jwt", &claims()).map(drop), Err(Rejection::Type));
        assert_eq!(changed("iss", json!("https://other.test")), Err(Rejection::Issuer));
        assert_eq!(changed("iat", json!(NOW - 15)), Ok(()));
        assert_eq!(changed("iat", json!(NOW - 16)), Err(Rejection::Expired), "kept and shown again");
        assert_eq!(changed("iat", json!(NOW + 6)), Err(Rejection::NotYet));
        for (name, value) in [
            ("reset", json!("true")),
            ("cut_offs", json!([{ "claim": "planet", "value": "x", "forget_at": 1 }])),
            ("cut_offs", json!([{ "claim": "sub", "value": "x", "forget_at": 1, "unless": "y" }])),
            ("cut_offs", json!([{ "claim": "sub", "value": "x" }])),
            ("cut_offs", json!({})),
        ] {
            assert!(changed(name, value.clone()).is_err(), "{name}: {value}");
        }
        for name in ["iss", "iat", "position", "reset", "cut_offs"] {
            let mut claims = claims();
            claims.as_object_mut().unwrap().remove(name);
            assert_eq!(judge(REVOCATIONS_TYPE, &claims).map(drop), Err(Rejection::MissingClaim(name)));
        }
    }

    #[test]
    fn nobody_waits_for_longer_than_is_allowed() {
        let read = |query| RevocationsRequest::read(&Form::parse(query).unwrap());
        assert_eq!(read("wait=10").unwrap().wait, Duration::from_secs(10));
        assert_eq!(read("after=a.1&wait=100000").unwrap().wait, LONGEST_WAIT);
        assert_eq!(read("").unwrap(), RevocationsRequest { after: None, wait: Duration::ZERO });
        assert_eq!(read("wait=-1"), Err(NotAWait));
    }
}
