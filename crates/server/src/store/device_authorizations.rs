//! Devices that wait for their person. A user code is typed once, a device code redeemed once: each by one statement.

use std::time::Duration;

use chartgate_access::grant::device::DeviceAuthorization;
use chartgate_access::grant::polling::{Answer, Poll, PollError, Polled};
use chartgate_access::ids::{ClientId, GrantId, Subject};
use chartgate_protocol::jose::Thumbprint;
use chartgate_values::Timestamp;

use serde::Deserialize;

use super::pending::Took;
use super::sql::{Value, json};
use super::{Sql, StoreError};

/// Codes that are over are kept this long, so that a device learns that its own has expired.
const MEMORY: Duration = Duration::from_secs(3600);

/// What all requests that are polled for have in common.
#[derive(Deserialize)]
struct Approved {
    #[serde(flatten)]
    polled: Polled,
}

impl Sql<'_> {
    /// Keeps a device's request. `Took::Nothing` if the user code is another's just now.
    pub(crate) fn add_device(
        &self,
        digest: &str,
        user_code_digest: &str,
        device: &DeviceAuthorization,
    ) -> Result<Took, StoreError> {
        let content = json(device, "device_authorizations")?;
        let text = "INSERT INTO device_authorizations (digest, user_code_digest, content, state, expires_at) \
                    VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (user_code_digest) DO NOTHING";
        let state = device.polled.answer.state().into();
        let values = [
            digest.into(),
            user_code_digest.into(),
            Value::from(&content),
            state,
            device.expires_at().into(),
        ];
        Ok(took(self.execute(text, &values)?))
    }

    /// Uses a user code up, and gives the digest of the device's own code and what it asked.
    pub(crate) fn claim_user_code(
        &self,
        user_code_digest: &str,
        now: Timestamp,
    ) -> Result<Option<(String, DeviceAuthorization)>, StoreError> {
        let text = "UPDATE device_authorizations SET user_code_digest = NULL \
                    WHERE user_code_digest = ?1 AND expires_at > ?2 RETURNING digest, content";
        self.first("device_authorizations", text, &[user_code_digest.into(), now.into()], |row| {
            Ok((row.get("digest")?, row.json("content")?))
        })
    }

    /// Notes what the person said, while the device still waits.
    pub(crate) fn answer_device(
        &self,
        digest: &str,
        answer: Answer,
        now: Timestamp,
    ) -> Result<Took, StoreError> {
        let Some(device) = self.device(digest)?.filter(|device| now < device.expires_at()) else {
            return Ok(Took::Nothing);
        };
        let (before, polled) = (device.polled.answer.state(), Polled { answer, ..device.polled });
        self.replace_device(digest, before, &DeviceAuthorization { polled, ..device })
    }

    /// What a device's poll comes to.
    pub(crate) fn poll_device(
        &self,
        digest: &str,
        by: &ClientId,
        key: Option<&Thumbprint>,
        now: Timestamp,
    ) -> Result<Poll, StoreError> {
        let Some(device) = self.device(digest)? else { return Ok(Poll::Refuse(PollError::Unknown)) };
        let before = device.polled.answer.state();
        let (after, poll) = device.poll(by, key, now);
        match (self.replace_device(digest, before, &after)?, poll) {
            (Took::Nothing, Poll::Redeem(_)) => Ok(Poll::Refuse(PollError::Redeemed)),
            (Took::It | Took::Nothing, poll) => Ok(poll),
        }
    }

    /// Removes what a person approved for devices of a client, and for its questions elsewhere, and nobody has come for yet.
    /// Gives the grants that end with it, those too for which somebody came just now: they may have no row of their own yet.
    pub(super) fn take_back_approvals(
        &self,
        subject: &Subject,
        client: &ClientId,
    ) -> Result<Vec<GrantId>, StoreError> {
        let mut ended = Vec::new();
        for (table, key) in [("device_authorizations", "digest"), ("backchannel_requests", "auth_req_id")] {
            let text =
                format!("SELECT {key} AS name, content FROM {table} WHERE state IN ('approved', 'redeemed')");
            let approved: Vec<(String, Approved)> =
                self.query(table, &text, &[], |row| Ok((row.get("name")?, row.json("content")?)))?;
            for (name, Approved { polled }) in approved {
                let (is_waiting, grant) = match polled.answer {
                    Answer::Approved(grant) => (true, grant),
                    Answer::Redeemed(grant) => (false, grant),
                    Answer::Waiting | Answer::Denied => continue,
                };
                if grant.subject != *subject || grant.client_id != *client {
                    continue;
                }
                if is_waiting {
                    self.execute(&format!("DELETE FROM {table} WHERE {key} = ?1"), &[name.as_str().into()])?;
                }
                ended.push(grant.id);
            }
        }
        Ok(ended)
    }

    /// Forgets devices whose time has been over for a while.
    pub(super) fn forget_devices(&self, now: Timestamp) -> Result<(), StoreError> {
        let text = "DELETE FROM device_authorizations WHERE expires_at < ?1";
        self.execute(text, &[now.minus(MEMORY).into()]).map(drop)
    }

    fn device(&self, digest: &str) -> Result<Option<DeviceAuthorization>, StoreError> {
        let text = "SELECT content FROM device_authorizations WHERE digest = ?1";
        self.first("device_authorizations", text, &[digest.into()], |row| row.json("content"))
    }

    /// Replaces a device's entry if it is still in the state that was decided on.
    fn replace_device(
        &self,
        digest: &str,
        before: &str,
        after: &DeviceAuthorization,
    ) -> Result<Took, StoreError> {
        let content = json(after, "device_authorizations")?;
        let text =
            "UPDATE device_authorizations SET content = ?2, state = ?3 WHERE digest = ?1 AND state = ?4";
        let new = after.polled.answer.state();
        Ok(took(self.execute(text, &[digest.into(), Value::from(&content), new.into(), before.into()])?))
    }
}

fn took(rows: usize) -> Took {
    match rows {
        0 => Took::Nothing,
        _ => Took::It,
    }
}

#[cfg(test)]
mod tests;
