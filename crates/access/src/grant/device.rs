//! Device authorization grant: what a device may be told when it asks. RFC 8628 sections 3.4, 3.5 and 5; ATTACKS O18.

use std::time::Duration;

use chartgate_protocol::jose::Thumbprint;
use chartgate_protocol::oauth::purpose_of_use::PurposeOfUse;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_values::Timestamp;
use serde::{Deserialize, Serialize};

use super::polling::{Poll, PollError, Polled};
use crate::ids::ClientId;

/// How long a person may take, from the device's request on.
pub const DEVICE_LIFE: Duration = Duration::from_secs(600);
/// A device's request, as the store keeps it under the digest of its code.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct DeviceAuthorization {
    /// Which client asks.
    pub client_id: ClientId,
    /// What it may have of what it asked for.
    pub scope: ScopeSet,
    /// Where its tokens are to be good.
    pub audience: String,
    /// Why records are to be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose_of_use: Option<PurposeOfUse>,
    /// The key that it proved when it asked, and has to prove when it polls.
    pub dpop_jkt: Option<Thumbprint>,
    /// The address that it asked from, for its person to know.
    pub asked_from: String,
    /// When it asked.
    pub asked_at: Timestamp,
    /// How far it has come.
    #[serde(flatten)]
    pub polled: Polled,
}

impl DeviceAuthorization {
    /// When it ends.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.asked_at.plus(DEVICE_LIFE)
    }

    /// Decides what a poll by `by`, who proved `key`, at `now` comes to, and what is kept of it.
    pub fn poll(self, by: &ClientId, key: Option<&Thumbprint>, now: Timestamp) -> (Self, Poll) {
        let refuse = |kept: Self, cause| (kept, Poll::Refuse(cause));
        if self.client_id != *by {
            return refuse(self, PollError::WrongClient);
        }
        if self.dpop_jkt.is_some() && self.dpop_jkt.as_ref() != key {
            return refuse(self, PollError::WrongKey);
        }
        if now >= self.expires_at() {
            return refuse(self, PollError::Expired);
        }
        let (polled, poll) = self.polled.poll(now);
        (Self { polled, ..self }, poll)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Grant;
    use super::super::polling::Answer;
    use super::*;

    fn device(answer: Answer) -> DeviceAuthorization {
        DeviceAuthorization {
            client_id: "tv".parse().unwrap(),
            scope: "openid".parse().unwrap(),
            audience: "https://g/fhir".into(),
            purpose_of_use: None,
            dpop_jkt: None,
            asked_from: "192.0.2.1".into(),
            asked_at: Timestamp::from_unix(1000),
            polled: Polled { answer, ..Polled::default() },
        }
    }

    fn grant() -> Box<Grant> {
        Box::new(Grant {
            id: "abcdefghijklmnopqrstuv".parse().unwrap(),
            client_id: "tv".parse().unwrap(),
            subject: "dana".parse().unwrap(),
            session: None,
            scope: "openid".parse().unwrap(),
            authorization_details: Vec::new(),
            purpose_of_use: None,
            emergency: None,
            claims: chartgate_protocol::oidc::claims_request::ClaimsRequest::default(),
            audience: "https://g/fhir".into(),
            patient: None,
            launch: None,
            nonce: None,
            auth_time: Some(Timestamp::from_unix(1000)),
            provider: None,
            began_at: None,
            approved_at: None,
            amr: Vec::new(),
            assurance: crate::login::assurance::Assurance::OneFactor,
        })
    }

    fn poll(device: DeviceAuthorization, at: i64) -> (DeviceAuthorization, Poll) {
        device.poll(&"tv".parse().unwrap(), None, Timestamp::from_unix(at))
    }

    #[test]
    fn o18_who_polls_too_fast_has_to_wait_longer_each_time() {
        let (device, first) = poll(device(Answer::Waiting), 1001);
        assert_eq!(first, Poll::Wait);
        let (device, second) = poll(device, 1005);
        assert_eq!((second, device.polled.interval.as_secs()), (Poll::SlowDown, 10));
        let (device, third) = poll(device, 1014);
        assert_eq!((third, device.polled.interval.as_secs()), (Poll::SlowDown, 15));
        let (device, fourth) = poll(device, 1029);
        assert_eq!((fourth, device.polled.interval.as_secs()), (Poll::Wait, 15));
    }

    #[test]
    fn o18_another_client_neither_gets_nor_spends_anything() {
        let before = device(Answer::Approved(grant()));
        let (after, got) = before.clone().poll(&"other".parse().unwrap(), None, Timestamp::from_unix(1001));
        assert_eq!((after, got), (before, Poll::Refuse(PollError::WrongClient)));
    }

    #[test]
    fn o12_a_device_that_proved_a_key_gets_its_tokens_by_that_key_alone() {
        let [own, other] =
            ["0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"]
                .map(|jkt| jkt.parse::<Thumbprint>().unwrap());
        let device = device(Answer::Approved(grant()));
        let before = DeviceAuthorization { dpop_jkt: Some(own.clone()), ..device };
        let poll = |key| before.clone().poll(&"tv".parse().unwrap(), key, Timestamp::from_unix(1001));
        for key in [None, Some(&other)] {
            assert_eq!(poll(key), (before.clone(), Poll::Refuse(PollError::WrongKey)));
        }
        assert_eq!(poll(Some(&own)).1, Poll::Redeem(grant()));
    }

    #[test]
    fn an_approved_device_gets_its_grant_once_until_its_deadline() {
        let approved = device(Answer::Approved(grant()));
        let (redeemed, got) = poll(approved.clone(), 1599);
        assert_eq!(got, Poll::Redeem(grant()));
        assert_eq!(poll(redeemed, 1599).1, Poll::Refuse(PollError::Redeemed));
        assert_eq!(poll(approved, 1600).1, Poll::Refuse(PollError::Expired));
        assert_eq!(poll(device(Answer::Denied), 1001).1, Poll::Refuse(PollError::Denied));
    }
}
