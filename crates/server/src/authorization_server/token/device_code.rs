//! A device asks whether its person has answered. RFC 8628 sections 3.4 and 3.5.

use chartgate_access::client::GrantType;
use chartgate_access::grant::device::{DeviceError, Poll};
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_values::Secret;

use super::for_person::{First, issue_for_person};
use super::{Asking, Denied, Issued, OAuthError};
use crate::entropy::digest_of;
use crate::store::StoreError;

pub(super) async fn redeem(asking: Asking<'_>, device_code: &Secret<String>) -> Result<Issued, Denied> {
    let Asking { server, client, sender, .. } = asking;
    if !client.grant_types.contains(&GrantType::DeviceCode) {
        return Err(refuse(
            "grant-not-allowed",
            ErrorCode::UnauthorizedClient,
            "the client may not use this grant",
        ));
    }
    let (digest, by, now) = (digest_of(device_code.expose()), client.client_id.clone(), server.clock.now());
    let key = sender.key().cloned();
    let polled = server.store.write(move |sql| sql.poll_device(&digest, &by, key.as_ref(), now)).await;
    match polled.map_err(|e: StoreError| Denied::from(e))? {
        Poll::Redeem(grant) => issue_for_person(asking, *grant, GrantType::DeviceCode, First::Of).await,
        Poll::Wait => Err(refuse(
            "authorization-pending",
            ErrorCode::AuthorizationPending,
            "the person has not answered yet",
        )),
        Poll::SlowDown => {
            Err(refuse("slow-down", ErrorCode::SlowDown, "wait five seconds more between two polls"))
        }
        Poll::Refuse(cause) => Err(refused(cause)),
    }
}

fn refused(cause: DeviceError) -> Denied {
    let invalid = |reason| refuse(reason, ErrorCode::InvalidGrant, "the device code is not valid");
    match cause {
        DeviceError::Unknown => invalid("unknown-device-code"),
        DeviceError::WrongClient => invalid("device-code-of-another-client"),
        DeviceError::Redeemed => invalid("device-code-redeemed"),
        DeviceError::WrongKey => invalid("device-code-of-another-key"),
        DeviceError::Expired => {
            refuse("device-code-expired", ErrorCode::ExpiredToken, "the device code has expired")
        }
        DeviceError::Denied => refuse("person-declined", ErrorCode::AccessDenied, "the person said no"),
    }
}

fn refuse(reason: &'static str, code: ErrorCode, description: &str) -> Denied {
    Denied::new(reason, OAuthError::new(code, description))
}
