//! A document as it is fetched, and what it says if it cannot be.

use std::time::Duration;

use bytes::Bytes;
use chartgate_access::client::{Client, Registrar};
use chartgate_access::ids::ClientId;
use chartgate_protocol::oauth::client_metadata::{ClientMetadata, ClientMetadataError};
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Full;

use super::{KEPT, SHORTEST};
use crate::live::remote_keys::kept_for;
use crate::net::body::BodyError;
use crate::net::client::egress::{Egress, EgressError};
use crate::registration::Unregistrable;
use crate::registration::policy::Policy;

/// The longest document, as of whoever registers by a request.
const LONGEST_DOCUMENT: usize = 16 << 10;

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// Nobody answers just now.
    #[error(transparent)]
    Egress(#[from] EgressError),
    #[error("status {0}")]
    Status(StatusCode),
    #[error("not of the type application/json")]
    MediaType,
    #[error("more than {LONGEST_DOCUMENT} bytes")]
    TooLong,
    #[error(transparent)]
    Metadata(#[from] ClientMetadataError),
    #[error(transparent)]
    Unregistrable(#[from] Unregistrable),
}

/// What a failure says of a document.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// Nothing.
    Silent,
    /// That there is none, or no good one.
    NotGood,
}

/// The client as it says now that it is, and for how long that is good.
///
/// # Errors
/// [`FetchError`].
pub(super) async fn fetch(
    egress: &Egress,
    policy: &Policy,
    id: &ClientId,
) -> Result<(Client, Duration), FetchError> {
    let mut request = Request::new(Full::<Bytes>::default());
    *request.uri_mut() = id.as_str().parse::<Uri>().map_err(|_| EgressError::Address)?;
    request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let answer = egress.send(request).await?;
    if answer.status != StatusCode::OK {
        return Err(FetchError::Status(answer.status));
    }
    let media_type = answer.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !media_type.is_some_and(is_json) {
        return Err(FetchError::MediaType);
    }
    if answer.body.len() > LONGEST_DOCUMENT {
        return Err(FetchError::TooLong);
    }
    let mut said = ClientMetadata::document(&answer.body, id.as_str())?;
    if let Some(grants) = &mut said.grant_types {
        // It is written for other servers too.
        grants.retain(|grant| policy.grant_types.contains(grant));
    }
    let client = policy.judge(id.clone(), Registrar::Operator, said)?;
    Ok((client, kept_for(&answer.headers).unwrap_or(KEPT).clamp(SHORTEST, KEPT)))
}

impl FetchError {
    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Self::Status(status)
                if status.is_server_error()
                    || matches!(
                        *status,
                        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
                    ) =>
            {
                Verdict::Silent
            }
            // Where a name leads is its name servers' word, not its own: nobody was asked.
            Self::Egress(
                EgressError::NotPublic
                | EgressError::Call(_)
                | EgressError::Body(BodyError::TooSlow | BodyError::Broken)
                | EgressError::TooSlow,
            ) => Verdict::Silent,
            Self::Egress(EgressError::Address | EgressError::Body(BodyError::TooLong(_)))
            | Self::Status(_)
            | Self::MediaType
            | Self::TooLong
            | Self::Metadata(_)
            | Self::Unregistrable(_) => Verdict::NotGood,
        }
    }
}

/// `application/json`, or a type built on it: section 4.
fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_address_itself_says_makes_a_document_no_good_one() {
        let status = |code: u16| FetchError::Status(StatusCode::from_u16(code).unwrap());
        for silent in [
            status(408),
            status(425),
            status(429),
            status(500),
            status(503),
            FetchError::Egress(EgressError::NotPublic),
            FetchError::Egress(EgressError::TooSlow),
        ] {
            assert_eq!(silent.verdict(), Verdict::Silent, "{silent}");
        }
        for said in [status(302), status(404), status(410), FetchError::MediaType, FetchError::TooLong] {
            assert_eq!(said.verdict(), Verdict::NotGood, "{said}");
        }
    }
}
