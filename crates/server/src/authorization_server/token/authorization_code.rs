//! Redeeming a code. RFC 6749 section 4.1.3.

use chartgate_access::client::GrantType;
use chartgate_access::grant::Grant;
use chartgate_access::grant::authorization_code::ExchangeError;
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::record::Event;
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_values::Secret;

use super::for_person::{First, issue_for_person};
use super::{Asking, Denied, Issued, OAuthError, Telling};
use crate::entropy::digest_of;
use crate::live::outbox::Change;
use crate::store::codes::TakenCode;

pub(super) async fn redeem(
    asking: Asking<'_>,
    code: &Secret<String>,
    redirect_uri: &str,
    verifier: &Secret<String>,
) -> Result<Issued, Denied> {
    let Asking { server, client, sender, .. } = asking;
    let now = server.clock.now();
    let digest = digest_of(code.expose());
    let may_give = server.outbox.may_give();
    let taken = server.store.write(move |sql| {
        let taken = sql.take_code(&digest, now)?;
        if let TakenCode::First(_) = taken {
            may_give?;
        }
        Ok::<_, Denied>(taken)
    });
    let taken = taken.await?;
    let code = match taken {
        TakenCode::First(code) => code,
        TakenCode::Unknown => return Err(invalid("unknown-code")),
        TakenCode::Replayed(code) => return Err(end_replayed(asking, code.grant).await?),
    };
    let grant = code.grant.clone();
    // A client may have given up since then where the code was sent.
    if !client.redirects_to(redirect_uri) {
        return Err(invalid("redirect-uri-not-registered").of(grant));
    }
    let exchanged = code.exchange(&client.client_id, redirect_uri, verifier.expose(), sender.key(), now);
    let grant = match exchanged {
        Ok(exchanged) => exchanged,
        Err(ExchangeError::WrongClient) => return Err(invalid("code-of-another-client").of(grant)),
        Err(ExchangeError::WrongRedirectUri) => return Err(invalid("wrong-redirect-uri").of(grant)),
        Err(ExchangeError::Expired) => return Err(invalid("code-expired").of(grant)),
        Err(ExchangeError::Verifier(_)) => return Err(invalid("wrong-code-verifier").of(grant)),
        Err(ExchangeError::Key(cause)) => return Err(Denied::from(cause).of(grant)),
    };
    issue_for_person(asking, grant, GrantType::AuthorizationCode, First::Of).await
}

/// RFC 6749 section 4.1.2: a code used twice is known to two parties, so what came of it ends.
async fn end_replayed(asking: Asking<'_>, grant: Grant) -> Result<Denied, Denied> {
    let Asking { server, origin, client, .. } = asking;
    let (id, is_of_client) = (grant.id.clone(), grant.client_id == client.client_id);
    let replayed = Denied { event: Event::TokenReuse, ..invalid("code-replayed").of(grant) };
    if !is_of_client {
        return Ok(replayed);
    }
    let record = replayed.record(origin, client, server.clock.now());
    let ended = server.outbox.commit(move |sql, now| {
        // Where nothing of it stands, because it ended or has not begun, this is a refusal like others.
        let change = if sql.is_live(&id)? {
            Change::told_by(Telling::Done, [record])
        } else {
            Change::none(Telling::Due)
        };
        sql.revoke_grant(&id, now)?;
        Ok::<_, Denied>(change.cutting([CutOff::UpTo { target: Target::Grant(id), not_before: now }]))
    });
    Ok(Denied { telling: ended.await?, ..replayed })
}

fn invalid(reason: &'static str) -> Denied {
    Denied::new(reason, OAuthError::new(ErrorCode::InvalidGrant, "the code is not valid"))
}
