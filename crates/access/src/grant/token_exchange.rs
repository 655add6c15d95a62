//! Token exchange: a token for a token, which never allows more, never lives longer and always says who acts.
//! RFC 8693; ATTACKS O26.

use chartgate_protocol::jose::claims::{AccessTokenClaims, Actor, Confirmation, Identifier};
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_values::Timestamp;

use super::OFFLINE_ACCESS;
use crate::client::{Client, covered};
use crate::token::binding::{Heir, inherits};

/// The longest chain of those who act for each other.
const LONGEST_CHAIN: usize = 4;

/// Tokens of ours, found good just now, and the clients that they concern.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// For whom the new token shall speak.
    pub subject: &'a AccessTokenClaims,
    /// Whom the subject's token was issued to.
    pub subject_client: &'a Client,
    /// Who acts, if it is not the client itself.
    pub actor: Option<&'a AccessTokenClaims>,
    /// Who asks.
    pub by: &'a Client,
    /// What the new token would be bound to.
    pub cnf: Option<&'a Confirmation>,
}

/// What the new token says besides what its grant says.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchanged {
    /// What it allows.
    pub scope: ScopeSet,
    /// Where it is good.
    pub audience: String,
    /// Who acts.
    pub act: Option<Actor>,
    /// When it ends at the latest.
    pub not_after: Timestamp,
}

/// Why there is no other token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ExchangeError {
    /// A program that acts for itself asks for its own token.
    #[error("the subject token speaks of no person")]
    NotAPersons,
    /// RFC 8693 section 4.4: nobody said that this client may act.
    #[error("the client may not act for people of the subject token's client")]
    MayNotAct,
    /// A token that was issued to somebody else says nothing of this client.
    #[error("the actor token was issued to another client")]
    ActorOfAnother,
    /// Whoever acts by another's leave passes that on by their own token.
    #[error("the actor token is itself one of delegation")]
    ActorActsForAnother,
    /// A limit of ours.
    #[error("more than {LONGEST_CHAIN} would act for each other")]
    ChainTooLong,
    /// RFC 8693 section 2.1: never more than the subject token allows.
    #[error("the scope is wider than the subject token's, or than the client's")]
    WiderScope,
    /// RFC 8693 section 2.2.2.
    #[error("the subject token is not good there")]
    WiderAudience,
    /// ATTACKS O12: what is bound is not exchanged for what is not.
    #[error("a token is bound to a key, and no such key was proved for the new one")]
    NotBound,
}

impl Exchange<'_> {
    /// Decides what the new token may be.
    ///
    /// # Errors
    /// [`ExchangeError`], by the first cause.
    pub fn decide(
        &self,
        scope: Option<&ScopeSet>,
        audience: Option<&str>,
    ) -> Result<Exchanged, ExchangeError> {
        let Self { subject, subject_client, actor, by, cnf } = *self;
        if subject.grant_id.is_none() || subject.sub == subject.client_id {
            return Err(ExchangeError::NotAPersons);
        }
        let is_own = subject_client.client_id == by.client_id;
        if !is_own && !subject_client.options.may_act.contains(&by.client_id) {
            return Err(ExchangeError::MayNotAct);
        }
        // Another client cannot prove the subject's key; its own is what the new token is bound to.
        let heir = if is_own { Heir::Itself } else { Heir::Another };
        inherits(subject.cnf.as_ref(), cnf, heir).map_err(|_| ExchangeError::NotBound)?;
        // Its own token is shown as it would be at a route.
        let actors = actor.and_then(|actor| actor.cnf.as_ref());
        inherits(actors, cnf, Heir::Itself).map_err(|_| ExchangeError::NotBound)?;
        let act = match actor {
            Some(actor) if actor.client_id.as_str() != by.client_id.as_str() => {
                return Err(ExchangeError::ActorOfAnother);
            }
            Some(actor) if actor.act.is_some() => return Err(ExchangeError::ActorActsForAnother),
            Some(actor) => Some(link(actor.sub.clone(), actor.client_id.clone(), subject)),
            // A client that narrows its own token acts as it did before.
            None if is_own => subject.act.clone(),
            None => {
                let id: Identifier = by.client_id.as_str().parse().map_err(|_| ExchangeError::MayNotAct)?;
                Some(link(id.clone(), id, subject))
            }
        };
        if chain(act.as_ref()).count() > LONGEST_CHAIN {
            return Err(ExchangeError::ChainTooLong);
        }
        let mut places = subject.aud.iter();
        let audience = match audience {
            Some(asked) => places.find(|place| *place == asked),
            None => places.next(),
        };
        let audience = audience.ok_or(ExchangeError::WiderAudience)?.to_owned();
        if scope.is_some_and(|asked| covered(&subject.scope, asked) != *asked) {
            return Err(ExchangeError::WiderScope);
        }
        // Whoever is away gets their tokens by their own grant.
        let scope = by.grantable(scope.unwrap_or(&subject.scope));
        let scope: ScopeSet = scope.iter().filter(|token| *token != OFFLINE_ACCESS).collect();
        if scope.is_empty() {
            return Err(ExchangeError::WiderScope);
        }
        let ends = subject.exp.timestamp();
        let not_after = actor.map_or(ends, |actor| ends.min(actor.exp.timestamp()));
        Ok(Exchanged { scope, audience, act, not_after })
    }
}

/// Those who act, the one who does so now first.
pub fn chain(act: Option<&Actor>) -> impl Iterator<Item = &Actor> {
    std::iter::successors(act, |actor| actor.act.as_deref())
}

fn link(sub: Identifier, client_id: Identifier, subject: &AccessTokenClaims) -> Actor {
    Actor { sub, iss: None, client_id: Some(client_id), act: subject.act.clone().map(Box::new) }
}

#[cfg(test)]
mod tests;
