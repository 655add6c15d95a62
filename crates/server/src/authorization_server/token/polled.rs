//! A client asks whether a person has answered: a device (RFC 8628 sections 3.4 and 3.5), or one that asked behind the
//! person's browser (CIBA Core sections 10 and 11).

use chartgate_access::client::GrantType;
use chartgate_access::grant::polling::{Poll, PollError};
use chartgate_audit::journal::AppendError;
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_values::Secret;

use super::for_person::{First, issue_for_person};
use super::{Asking, Denied, Issued, OAuthError};
use crate::entropy::digest_of;

/// A device, by its code.
pub(super) async fn device(asking: Asking<'_>, device_code: &Secret<String>) -> Result<Issued, Denied> {
    let Asking { server, client, sender, .. } = asking;
    asking.may_use(GrantType::DeviceCode)?;
    let (digest, by, now) = (digest_of(device_code.expose()), client.client_id.clone(), server.clock.now());
    let key = sender.key().cloned();
    let may_give = server.outbox.may_give();
    let polled = server
        .store
        .write(move |sql| redeemable(sql.poll_device(&digest, &by, key.as_ref(), now)?, may_give));
    follow(asking, polled.await?, GrantType::DeviceCode).await
}

/// A client that asked behind the browser, by the name of its request.
pub(super) async fn backchannel(asking: Asking<'_>, auth_req_id: String) -> Result<Issued, Denied> {
    let Asking { server, client, sender, .. } = asking;
    asking.may_use(GrantType::Ciba)?;
    let (by, now) = (client.client_id.clone(), server.clock.now());
    let key = sender.key().cloned();
    let may_give = server.outbox.may_give();
    let polled = server
        .store
        .write(move |sql| redeemable(sql.poll_backchannel(&auth_req_id, &by, key.as_ref(), now)?, may_give));
    follow(asking, polled.await?, GrantType::Ciba).await
}

/// What is used up by the poll is not while nothing may be given for it.
fn redeemable(poll: Poll, may_give: Result<(), AppendError>) -> Result<Poll, Denied> {
    match &poll {
        Poll::Redeem(_) => may_give?,
        Poll::Wait | Poll::SlowDown | Poll::Refuse(_) => {}
    }
    Ok(poll)
}

async fn follow(asking: Asking<'_>, poll: Poll, grant_type: GrantType) -> Result<Issued, Denied> {
    let pending = |reason, code, description| Err(refuse(reason, code, description));
    match poll {
        Poll::Redeem(grant) => issue_for_person(asking, *grant, grant_type, First::Of).await,
        Poll::Wait => pending(
            "authorization-pending",
            ErrorCode::AuthorizationPending,
            "the person has not answered yet",
        ),
        Poll::SlowDown => {
            pending("slow-down", ErrorCode::SlowDown, "wait five seconds more between two polls")
        }
        Poll::Refuse(cause) => Err(refused(cause)),
    }
}

fn refused(cause: PollError) -> Denied {
    let invalid = |reason| refuse(reason, ErrorCode::InvalidGrant, "there is no such request to be redeemed");
    match cause {
        PollError::Unknown => invalid("unknown-request"),
        PollError::WrongClient => invalid("request-of-another-client"),
        PollError::Redeemed => invalid("request-redeemed"),
        PollError::WrongKey => invalid("request-of-another-key"),
        PollError::Expired => refuse("request-expired", ErrorCode::ExpiredToken, "the request has expired"),
        PollError::Denied => refuse("person-declined", ErrorCode::AccessDenied, "the person said no"),
    }
}

fn refuse(reason: &'static str, code: ErrorCode, description: &str) -> Denied {
    Denied::new(reason, OAuthError::new(code, description))
}
