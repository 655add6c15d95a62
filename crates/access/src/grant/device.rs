//! Device authorization grant: what a device may be told when it asks. RFC 8628 sections 3.4, 3.5 and 5; ATTACKS O18.

use std::time::Duration;

use chartgate_protocol::jose::Thumbprint;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_values::Timestamp;
use serde::{Deserialize, Serialize};

use super::Grant;
use crate::ids::ClientId;

/// How long a person may take, from the device's request on.
pub const DEVICE_LIFE: Duration = Duration::from_secs(600);
/// How long a device waits between two polls. RFC 8628 section 3.5: five seconds more after each that came too soon.
pub const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// The longest that it is told to wait.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

/// A device's request, as the store keeps it under the digest of its code.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct DeviceAuthorization {
    /// Which client asks.
    pub client_id: ClientId,
    /// What it may have of what it asked for.
    pub scope: ScopeSet,
    /// Where its tokens are to be good.
    pub audience: String,
    /// The key that it proved when it asked, and has to prove when it polls.
    pub dpop_jkt: Option<Thumbprint>,
    /// The address that it asked from, for its person to know.
    pub asked_from: String,
    /// When it asked.
    pub asked_at: Timestamp,
    /// How long it has to wait between two polls by now.
    pub interval: Duration,
    /// Its last poll.
    pub polled_at: Option<Timestamp>,
    /// What its person said.
    pub answer: DeviceAnswer,
}

/// What the person said to a device's request.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceAnswer {
    /// Nothing yet.
    Waiting,
    /// Yes: this is what the device gets.
    Approved(Box<Grant>),
    /// No.
    Denied,
    /// Yes, and the device has its tokens.
    Redeemed,
}

/// What a poll comes to.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "a poll decides what the store writes"]
pub enum Poll {
    /// The person said yes: redeem the grant, this once.
    Redeem(Box<Grant>),
    /// Ask again.
    Wait,
    /// Ask again, but less often.
    SlowDown,
    /// There is nothing to wait for.
    Refuse(DeviceError),
}

/// Why a device gets nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DeviceError {
    /// There is none such.
    #[error("device code is unknown")]
    Unknown,
    /// RFC 8628 section 3.4: bound to the client.
    #[error("device code was issued to another client")]
    WrongClient,
    /// RFC 8628 section 3.5.
    #[error("device code has expired")]
    Expired,
    /// RFC 8628 section 3.5.
    #[error("the person said no")]
    Denied,
    /// Codes are good once.
    #[error("device code was redeemed before")]
    Redeemed,
    /// RFC 9449 section 10, for devices.
    #[error("device code was issued to a device with another key")]
    WrongKey,
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
            return refuse(self, DeviceError::WrongClient);
        }
        if self.dpop_jkt.is_some() && self.dpop_jkt.as_ref() != key {
            return refuse(self, DeviceError::WrongKey);
        }
        if now >= self.expires_at() {
            return refuse(self, DeviceError::Expired);
        }
        match self.answer {
            DeviceAnswer::Denied => refuse(self, DeviceError::Denied),
            DeviceAnswer::Redeemed => refuse(self, DeviceError::Redeemed),
            DeviceAnswer::Approved(grant) => {
                (Self { answer: DeviceAnswer::Redeemed, ..self }, Poll::Redeem(grant))
            }
            DeviceAnswer::Waiting => {
                let too_soon = self.polled_at.is_some_and(|last| now < last.plus(self.interval));
                let kept = Self { polled_at: Some(now), ..self };
                if too_soon {
                    let interval = kept.interval.saturating_add(POLL_INTERVAL).min(LONGEST_INTERVAL);
                    (Self { interval, ..kept }, Poll::SlowDown)
                } else {
                    (kept, Poll::Wait)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(answer: DeviceAnswer) -> DeviceAuthorization {
        DeviceAuthorization {
            client_id: "tv".parse().unwrap(),
            scope: "openid".parse().unwrap(),
            audience: "https://g/fhir".into(),
            dpop_jkt: None,
            asked_from: "192.0.2.1".into(),
            asked_at: Timestamp::from_unix(1000),
            interval: POLL_INTERVAL,
            polled_at: None,
            answer,
        }
    }

    fn grant() -> Box<Grant> {
        Box::new(Grant {
            id: "abcdefghijklmnopqrstuv".parse().unwrap(),
            client_id: "tv".parse().unwrap(),
            subject: "dana".parse().unwrap(),
            session: None,
            scope: "openid".parse().unwrap(),
            audience: "https://g/fhir".into(),
            patient: None,
            nonce: None,
            auth_time: Timestamp::from_unix(1000),
            amr: Vec::new(),
        })
    }

    fn poll(device: DeviceAuthorization, at: i64) -> (DeviceAuthorization, Poll) {
        device.poll(&"tv".parse().unwrap(), None, Timestamp::from_unix(at))
    }

    #[test]
    fn o18_who_polls_too_fast_has_to_wait_longer_each_time() {
        let (device, first) = poll(device(DeviceAnswer::Waiting), 1001);
        assert_eq!(first, Poll::Wait);
        let (device, second) = poll(device, 1005);
        assert_eq!((second, device.interval.as_secs()), (Poll::SlowDown, 10));
        let (device, third) = poll(device, 1014);
        assert_eq!((third, device.interval.as_secs()), (Poll::SlowDown, 15));
        let (device, fourth) = poll(device, 1029);
        assert_eq!((fourth, device.interval.as_secs()), (Poll::Wait, 15));
    }

    #[test]
    fn o18_another_client_neither_gets_nor_spends_anything() {
        let before = device(DeviceAnswer::Approved(grant()));
        let (after, got) = before.clone().poll(&"other".parse().unwrap(), None, Timestamp::from_unix(1001));
        assert_eq!((after, got), (before, Poll::Refuse(DeviceError::WrongClient)));
    }

    #[test]
    fn o12_a_device_that_proved_a_key_gets_its_tokens_by_that_key_alone() {
        let [own, other] =
            ["0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"]
                .map(|jkt| jkt.parse::<Thumbprint>().unwrap());
        let device = device(DeviceAnswer::Approved(grant()));
        let before = DeviceAuthorization { dpop_jkt: Some(own.clone()), ..device };
        let poll = |key| before.clone().poll(&"tv".parse().unwrap(), key, Timestamp::from_unix(1001));
        for key in [None, Some(&other)] {
            assert_eq!(poll(key), (before.clone(), Poll::Refuse(DeviceError::WrongKey)));
        }
        assert_eq!(poll(Some(&own)).1, Poll::Redeem(grant()));
    }

    #[test]
    fn an_approved_device_gets_its_grant_once_until_its_deadline() {
        let approved = device(DeviceAnswer::Approved(grant()));
        let (redeemed, got) = poll(approved.clone(), 1599);
        assert_eq!(got, Poll::Redeem(grant()));
        assert_eq!(poll(redeemed, 1599).1, Poll::Refuse(DeviceError::Redeemed));
        assert_eq!(poll(approved, 1600).1, Poll::Refuse(DeviceError::Expired));
        assert_eq!(poll(device(DeviceAnswer::Denied), 1001).1, Poll::Refuse(DeviceError::Denied));
    }
}
