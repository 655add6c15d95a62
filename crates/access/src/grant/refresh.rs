//! Refresh tokens: rotation by the single-successor rule. RFC 6749 section 6, RFC 9700 section 4.14.2.
//!
//! A used token is honoured once more only where its client may not have received the answer: the same client, within
//! by the same key where the successor is bound to one, within ten seconds, while the successor was not used. Then the successor and its access token are cut off and a new
//! successor takes their place. Every other second use means that two parties hold the token: the whole family ends.
//! Of any number of parallel uses, one successor and one access token are alive afterwards.

use std::time::Duration;

use chartgate_protocol::jose::claims::Confirmation;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_values::Timestamp;

use crate::ids::{ClientId, Jti};
use crate::token::binding::{Heir, inherits};

/// How long a client may repeat a refresh whose answer it did not get.
pub const RETRY_WINDOW: Duration = Duration::from_secs(10);

/// A refresh token as the store keeps it under the token's digest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RefreshToken {
    /// To whom it was given.
    pub client_id: ClientId,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When it was used, if it was.
    pub consumed_at: Option<Timestamp>,
    /// When it was cut off by a retry or with its family, if it was.
    pub revoked_at: Option<Timestamp>,
    /// What it was issued together with.
    pub access_token: Jti,
    /// When that ends.
    pub access_expires_at: Timestamp,
    /// What that is bound to, and so whatever comes after it.
    pub cnf: Option<Confirmation>,
}

/// Who uses a refresh token.
#[derive(Clone, Copy, Debug)]
pub struct Bearer<'a> {
    /// Which client.
    pub client_id: &'a ClientId,
    /// Whether its next tokens have to be bound to the very key.
    pub heir: Heir,
    /// What its next tokens would be bound to.
    pub cnf: Option<&'a Confirmation>,
}

/// What is to be done for a presented refresh token.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "a redemption decides what the store writes"]
pub enum Redemption {
    /// Use it up and issue its successor.
    Rotate,
    /// The client retries: cut off the unused successor and its access token, issue another successor.
    Replace,
    /// Two parties hold it: end the family.
    Reuse,
    /// Refuse, and leave everything as it is.
    Refuse(RefreshError),
}

/// Why a refresh token is refused without being evidence of theft. All are `invalid_grant` on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RefreshError {
    /// RFC 6749 section 6: bound to the client.
    #[error("refresh token was issued to another client")]
    WrongClient,
    /// It ended by itself.
    #[error("refresh token has expired")]
    Expired,
    /// It was cut off.
    #[error("refresh token was revoked")]
    Revoked,
    /// RFC 9449 section 5; ATTACKS O12.
    #[error("the key that the refresh token is bound to was not proved")]
    NotBound,
}

/// More was asked for than was granted. `invalid_scope` on the wire; RFC 6749 section 6.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the requested scope is wider than the granted one")]
pub struct WiderScope;

impl RefreshToken {
    /// Decides what a use by `by` at `now` means. `successor` is the token that replaced this one, if any did.
    pub fn redeem(&self, successor: Option<&Self>, by: Bearer<'_>, now: Timestamp) -> Redemption {
        if self.client_id != *by.client_id {
            return Redemption::Refuse(RefreshError::WrongClient);
        }
        if let Some(consumed_at) = self.consumed_at {
            let unused = successor.filter(|s| s.consumed_at.is_none() && s.revoked_at.is_none());
            let by_same_key = unused.is_some_and(|successor| successor.cnf.as_ref() == by.cnf);
            let in_time = now < consumed_at.plus(RETRY_WINDOW);
            return if by_same_key && in_time && self.revoked_at.is_none() {
                Redemption::Replace
            } else {
                Redemption::Reuse
            };
        }
        if self.revoked_at.is_some() {
            return Redemption::Refuse(RefreshError::Revoked);
        }
        if now >= self.expires_at {
            return Redemption::Refuse(RefreshError::Expired);
        }
        if inherits(self.cnf.as_ref(), by.cnf, by.heir).is_err() {
            return Redemption::Refuse(RefreshError::NotBound);
        }
        Redemption::Rotate
    }
}

/// The scope of the next access token: the granted one, or less if the client asks for less.
///
/// # Errors
/// [`WiderScope`].
pub fn narrowed(granted: &ScopeSet, requested: Option<ScopeSet>) -> Result<ScopeSet, WiderScope> {
    match requested {
        None => Ok(granted.clone()),
        Some(less) if !less.is_empty() && less.is_subset_of(granted) => Ok(less),
        Some(_) => Err(WiderScope),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> RefreshToken {
        RefreshToken {
            client_id: "app".parse().unwrap(),
            expires_at: Timestamp::from_unix(2000),
            consumed_at: None,
            revoked_at: None,
            access_token: "jti".parse().unwrap(),
            access_expires_at: Timestamp::from_unix(1300),
            cnf: None,
        }
    }

    fn used(at: i64) -> RefreshToken {
        RefreshToken { consumed_at: Some(Timestamp::from_unix(at)), ..token() }
    }

    fn redeem(token: &RefreshToken, successor: Option<&RefreshToken>, now: i64) -> Redemption {
        redeem_by(token, successor, ("app", Heir::Itself, None), now)
    }

    fn redeem_by(
        token: &RefreshToken,
        successor: Option<&RefreshToken>,
        (client, heir, cnf): (&str, Heir, Option<&Confirmation>),
        now: i64,
    ) -> Redemption {
        let client_id = client.parse().unwrap();
        token.redeem(successor, Bearer { client_id: &client_id, heir, cnf }, Timestamp::from_unix(now))
    }

    fn bound_to(key: &str) -> Confirmation {
        Confirmation { jkt: Some(key.to_owned()), x5t_s256: None }
    }

    #[test]
    fn a_fresh_token_rotates_until_its_deadline() {
        assert_eq!(redeem(&token(), None, 1999), Redemption::Rotate);
        assert_eq!(redeem(&token(), None, 2000), Redemption::Refuse(RefreshError::Expired));
    }

    #[test]
    fn a_retry_in_time_replaces_an_unused_successor() {
        assert_eq!(redeem(&used(1000), Some(&token()), 1009), Redemption::Replace);
        assert_eq!(redeem(&used(1000), Some(&token()), 1010), Redemption::Reuse);
    }

    #[test]
    fn o07_a_second_use_after_the_successor_was_used_is_theft() {
        assert_eq!(redeem(&used(1000), Some(&used(1001)), 1002), Redemption::Reuse);
        assert_eq!(redeem(&used(1000), None, 1002), Redemption::Reuse);
    }

    #[test]
    fn o06_another_client_neither_gets_nor_ends_anything() {
        for token in [token(), used(1000)] {
            let got = redeem_by(&token, None, ("other", Heir::Itself, None), 1001);
            assert_eq!(got, Redemption::Refuse(RefreshError::WrongClient));
        }
    }

    #[test]
    fn o12_a_bound_token_is_used_by_its_key_and_never_without_one() {
        let (own, other) = (bound_to("own"), bound_to("other"));
        let token = RefreshToken { cnf: Some(own.clone()), ..token() };
        let by = |heir, cnf| redeem_by(&token, None, ("app", heir, cnf), 1001);
        let refused = Redemption::Refuse(RefreshError::NotBound);
        for heir in [Heir::Itself, Heir::Another] {
            assert_eq!(by(heir, Some(&own)), Redemption::Rotate);
            assert_eq!(by(heir, None), refused);
        }
        assert_eq!(by(Heir::Itself, Some(&other)), refused);
        assert_eq!(by(Heir::Another, Some(&other)), Redemption::Rotate, "its client proves who it is");
        let unbound = RefreshToken { cnf: None, ..token.clone() };
        assert_eq!(redeem_by(&unbound, None, ("app", Heir::Itself, Some(&own)), 1001), Redemption::Rotate);
    }

    #[test]
    fn o07_o12_a_retry_is_one_by_the_same_key_alone() {
        let (own, other) = (bound_to("own"), bound_to("other"));
        let token = RefreshToken { cnf: Some(own.clone()), ..used(1000) };
        let successor = RefreshToken { cnf: Some(own.clone()), ..self::token() };
        for heir in [Heir::Itself, Heir::Another] {
            let by = |cnf| redeem_by(&token, Some(&successor), ("app", heir, cnf), 1002);
            assert_eq!(by(Some(&own)), Redemption::Replace);
            assert_eq!(by(Some(&other)), Redemption::Reuse);
            assert_eq!(by(None), Redemption::Reuse);
        }
    }

    #[test]
    fn o11_a_refresh_never_widens() {
        let granted: ScopeSet = "openid patient/*.rs".parse().unwrap();
        assert_eq!(narrowed(&granted, None), Ok(granted.clone()));
        assert_eq!(narrowed(&granted, "openid".parse().ok()), "openid".parse().map_err(|_| WiderScope));
        assert_eq!(narrowed(&granted, "openid user/*.rs".parse().ok()), Err(WiderScope));
        assert_eq!(narrowed(&granted, Some(ScopeSet::default())), Err(WiderScope));
    }
}
