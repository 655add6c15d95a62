//! Sessions and tokens.

use chartgate_access::ids::{GrantId, Jti, SessionId, Subject};
use chartgate_access::session::Session;
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::record::Event;
use chartgate_protocol::jose::{AccessTokenVerifier, Claimed, ExpectedAudience, Presentation, foreign_token};
use chartgate_values::Timestamp;
use serde_json::{Value, json};

use super::{Administrator, CommandError, Operator, note};
use crate::config::LONGEST_ACCESS_TOKEN;
use crate::entropy::digest_of;
use crate::live::outbox::Change;
use crate::live::trusted_issuers::SKEW;
use crate::store::refresh_tokens::RefreshKey;

impl Administrator {
    pub(super) fn list_sessions(&self, user: Option<&Subject>) -> Result<Value, CommandError> {
        if let Some(name) = user {
            self.find_user(name)?;
        }
        let now = self.clock.now();
        let sessions = self.store.read(|sql| sql.open_sessions(user))?;
        Ok(sessions.iter().filter(|s| s.check(self.timeouts, now).is_ok()).map(show).collect())
    }

    /// Ends a session with all its tokens.
    pub(super) async fn end_session(&self, by: Operator, id: SessionId) -> Result<Value, CommandError> {
        if id.is_foreign() {
            return self.cut_session(by, id).await;
        }
        let unknown = || CommandError::Unknown { kind: "session", name: id.to_string() };
        let session = self.store.read(|sql| sql.session(&id))?.ok_or_else(unknown)?;
        let (ended, name) = (id.clone(), session.subject.clone());
        let mut record = self.record(by, Event::SessionEnded, &id);
        record.session = Some(id.to_string());
        note(&mut record, "user", &session.subject);
        let ending = self.outbox.commit(move |sql, now| {
            sql.end_session(&ended, now)?;
            sql.void_half_sign_ins(&name)?;
            sql.forget_browser_of(&name, &ended)?;
            Ok::<_, CommandError>(Change::told_by((), [record]).ending(ended, now))
        });
        ending.await.map_err(CommandError::after_the_end)?;
        Ok(show(&session))
    }

    /// Cuts off what a trusted issuer issues for a session, up to now.
    async fn cut_session(&self, by: Operator, id: SessionId) -> Result<Value, CommandError> {
        self.find_issuer_of(id.as_str())?;
        let cut = id.clone();
        let mut record = self.record(by, Event::SessionEnded, &id);
        record.session = Some(id.to_string());
        let ending = self.outbox.commit(move |_, now| {
            // Its clock may be ahead of ours, and what it issued before now says so.
            Ok::<_, CommandError>(Change::told_by((), [record]).ending(cut, now.plus(SKEW)))
        });
        ending.await.map_err(CommandError::after_the_end)?;
        Ok(json!({ "id": id }))
    }

    /// Name and end of a token that a trusted issuer issued.
    async fn foreign_token(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<(Jti, Timestamp)>, CommandError> {
        let issuers = self.issuers.current();
        let Some((said, issuer)) =
            Claimed::read(token).ok().and_then(|said| issuers.of(&said).map(|issuer| (said, issuer)))
        else {
            return Ok(None);
        };
        if let Some(kid) = &said.kid {
            issuer.keys.for_kid(kid).await;
        }
        let not_good = |why: &dyn std::fmt::Display| {
            CommandError::Invalid(format!("not a token of {} that is still good: {why}", issuer.name()))
        };
        let (claims, kid) =
            issuer.verify(token, Presentation::BEARER, now).map_err(|error| not_good(&error))?;
        let traits = issuer.traits_of(&claims, &kid).ok_or_else(|| not_good(&"foreign claims"))?;
        Ok(Some((traits.jti, claims.exp.timestamp())))
    }

    /// Refuses the name of a session or a grant, which looks like a `jti` and would end nothing as one. What nobody knows may
    /// be one: of an access token nothing is kept here.
    fn refuse_what_is_no_jti(&self, name: &str) -> Result<(), CommandError> {
        // INVARIANT: each is drawn by itself, of 128 random bits, so that what is the one is not the other as well.
        let session: Option<SessionId> = name.parse().ok();
        if let Some(id) = session
            && self.store.read(|sql| sql.session(&id))?.is_some()
        {
            return Err(CommandError::Invalid(format!(
                "`{id}` is a session, and no `jti`: nothing was revoked; `chartgate session end {id}` ends it with its tokens"
            )));
        }
        let grant: Option<GrantId> = name.parse().ok();
        if let Some(id) = grant
            && let Some(grant) = self.store.read(|sql| sql.live_grant(&id))?
        {
            return Err(CommandError::Invalid(format!(
                "`{id}` is a grant, and no `jti`: nothing was revoked; `chartgate user disconnect {} {}` takes back what the \
                 application has",
                grant.subject, grant.client_id
            )));
        }
        Ok(())
    }

    /// Revokes an access token, by itself or its `jti`, a refresh token with its grant, or an initial access token with its
    /// invitation. Whatever else is given may be a secret of somebody's: it is refused, and neither told nor recorded.
    pub(super) async fn revoke_token(&self, by: Operator, token: &str) -> Result<Value, CommandError> {
        let now = self.clock.now();
        if let Some(invitation) = self.store.read(|sql| sql.invitation_of(&digest_of(token), now))? {
            self.uninvite(by, invitation.id.clone()).await?;
            return Ok(json!({ "revoked": "initial access token", "invitation": invitation.id }));
        }
        let mut record = self.record(by, Event::TokenRevoked, "token");
        let (cut_off, shown) = if let Some((jti, expires_at)) = self.foreign_token(token, now).await? {
            record.jti = Some(jti.to_string());
            (CutOff::Token { jti: jti.clone(), expires_at }, json!({ "revoked": "access token", "jti": jti }))
        } else if [3, 5].contains(&token.split('.').count()) && !token.contains('#') {
            let verifier = AccessTokenVerifier::new(self.issuer.clone(), ExpectedAudience::Any);
            let keys = self.keys.current();
            let claims = keys
                .signed_within(token)
                .and_then(|signed| verifier.verify(&signed, &keys.verifying, Presentation::ASKED_ABOUT, now))
                .map_err(|e| CommandError::Invalid(format!("not a token of ours that is still good: {e}")))?;
            let jti: Jti = claims.jti.as_str().parse()?;
            record.jti = Some(jti.to_string());
            note(&mut record, "user", claims.sub.as_str());
            let expires_at = claims.exp.timestamp();
            (CutOff::Token { jti: jti.clone(), expires_at }, json!({ "revoked": "access token", "jti": jti }))
        } else if let Some(stored) = self.store.read(|sql| sql.refresh_token(&RefreshKey::of(token)))? {
            record.grant = Some(stored.grant.to_string());
            let shown = json!({ "revoked": "grant", "grant": stored.grant });
            (CutOff::UpTo { target: Target::Grant(stored.grant), not_before: now }, shown)
        } else {
            let jti = token.parse().ok().filter(|jti: &Jti| jti.is_foreign() || jti.is_one_of_ours());
            let jti = jti.ok_or_else(|| CommandError::Invalid(NO_TOKEN.to_owned()))?;
            if jti.is_foreign() {
                self.find_issuer_of(jti.as_str())?;
            } else {
                self.refuse_what_is_no_jti(token)?;
            }
            record.jti = Some(jti.to_string());
            let longest = if jti.is_foreign() { foreign_token::LONGEST_LIFE } else { LONGEST_ACCESS_TOKEN };
            let expires_at = now.plus(longest);
            (CutOff::Token { jti: jti.clone(), expires_at }, json!({ "revoked": "access token", "jti": jti }))
        };
        let revoked = self.outbox.commit(move |sql, now| {
            if let CutOff::UpTo { target: Target::Grant(id), .. } = &cut_off {
                sql.revoke_grant(id, now)?;
            }
            Ok::<_, CommandError>(Change::told_by((), [record]).cutting([cut_off.at(now)]))
        });
        revoked.await.map_err(CommandError::after_the_end)?;
        Ok(shown)
    }
}

const NO_TOKEN: &str = "this is no token that is still good, and no `jti`, which has 32 hexadecimal digits or is an issuer's \
                        name, `#` and one of its: nothing was revoked";

fn show(session: &Session) -> Value {
    json!({
        "id": session.id,
        "user": session.subject,
        "auth_time": session.auth_time,
        "last_seen": session.last_seen,
        "amr": session.amr,
    })
}
