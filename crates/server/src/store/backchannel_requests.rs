//! Questions to people who sit elsewhere. Each is answered once and redeemed once: each by one statement.

use std::time::Duration;

use chartgate_access::approval::flood::Asker;
use chartgate_access::grant::backchannel::BackchannelRequest;
use chartgate_access::grant::polling::{Answer, Poll, PollError, Polled};
use chartgate_access::ids::{ClientId, Subject};
use chartgate_protocol::jose::Thumbprint;
use chartgate_values::Timestamp;

use super::pending::Took;
use super::questions::Decided;
use super::sign_in_approvals::Asked;
use super::sql::{Value, json};
use super::{Sql, StoreError};

/// Requests that are over are kept this long, so that a client learns that its own has expired.
const MEMORY: Duration = Duration::from_secs(3600);
/// Requests that wait, at most as many as anybody looks through.
const SHOWN: &str = "1000";

impl Sql<'_> {
    /// Asks a question, unless one of its client or too many of all wait for its person, or that person has just said no
    /// to this client. They see it once it is put.
    pub(crate) fn add_backchannel_request(
        &self,
        auth_req_id: &str,
        request: &BackchannelRequest,
    ) -> Result<Asked, StoreError> {
        let by = Asker::Client(request.client_id.clone());
        if let Err(flood) = self.may_be_asked(&request.subject, &by, request.asked_at)? {
            return Ok(Asked::No(flood));
        }
        let content = json(request, "backchannel_requests")?;
        let text = "INSERT INTO backchannel_requests (auth_req_id, subject, content, state, expires_at, put) \
                    VALUES (?1, ?2, ?3, ?4, ?5, 0)";
        let values = [
            auth_req_id.into(),
            request.subject.as_str().into(),
            Value::from(&content),
            request.polled.answer.state().into(),
            request.expires_at.into(),
        ];
        self.execute(text, &values).map(|_| Asked::Yes)
    }

    /// One question.
    pub(crate) fn backchannel_request(
        &self,
        auth_req_id: &str,
    ) -> Result<Option<BackchannelRequest>, StoreError> {
        let text = "SELECT content FROM backchannel_requests WHERE auth_req_id = ?1";
        self.first("backchannel_requests", text, &[auth_req_id.into()], |row| row.json("content"))
    }

    /// Questions that wait for an answer, oldest first.
    pub(crate) fn backchannel_requests(
        &self,
        now: Timestamp,
    ) -> Result<Vec<(String, BackchannelRequest)>, StoreError> {
        let text = format!(
            "SELECT auth_req_id, content FROM backchannel_requests \
             WHERE state = 'waiting' AND put = 1 AND decided IS NULL AND expires_at > ?1 \
             ORDER BY expires_at LIMIT {SHOWN}"
        );
        self.query("backchannel_requests", &text, &[now.into()], |row| {
            Ok((row.get("auth_req_id")?, row.json("content")?))
        })
    }

    /// Notes what the person said, where that was decided and the question still waits.
    pub(crate) fn answer_backchannel(
        &self,
        auth_req_id: &str,
        answer: Answer,
        now: Timestamp,
    ) -> Result<Took, StoreError> {
        let decided = match &answer {
            Answer::Approved(_) => Decided::Yes,
            Answer::Denied => Decided::No,
            Answer::Waiting | Answer::Redeemed(_) => return Ok(Took::Nothing),
        };
        let text = "SELECT content FROM backchannel_requests WHERE auth_req_id = ?1 AND decided = ?2";
        let values = [auth_req_id.into(), decided.name().into()];
        let found: Option<BackchannelRequest> =
            self.first("backchannel_requests", text, &values, |row| row.json("content"))?;
        let Some(request) = found.filter(|request| request.check_waiting(now).is_ok()) else {
            return Ok(Took::Nothing);
        };
        let polled = Polled { answer, ..request.polled };
        self.replace_backchannel(auth_req_id, "waiting", &BackchannelRequest { polled, ..request })
    }

    /// What a client's poll comes to.
    pub(crate) fn poll_backchannel(
        &self,
        auth_req_id: &str,
        by: &ClientId,
        key: Option<&Thumbprint>,
        now: Timestamp,
    ) -> Result<Poll, StoreError> {
        let Some(request) = self.backchannel_request(auth_req_id)? else {
            return Ok(Poll::Refuse(PollError::Unknown));
        };
        let before = request.polled.answer.state();
        let (after, poll) = request.poll(by, key, now);
        match (self.replace_backchannel(auth_req_id, before, &after)?, poll) {
            (Took::Nothing, Poll::Redeem(_)) => Ok(Poll::Refuse(PollError::Redeemed)),
            (Took::It | Took::Nothing, poll) => Ok(poll),
        }
    }

    /// Questions that wait for this person, oldest first.
    pub(crate) fn backchannel_requests_to(
        &self,
        subject: &Subject,
        now: Timestamp,
    ) -> Result<Vec<(String, BackchannelRequest)>, StoreError> {
        let text = "SELECT auth_req_id, content FROM backchannel_requests \
                    WHERE subject = ?1 AND state = 'waiting' AND put = 1 AND decided IS NULL AND expires_at > ?2 \
                    ORDER BY expires_at";
        self.query("backchannel_requests", text, &[subject.as_str().into(), now.into()], |row| {
            Ok((row.get("auth_req_id")?, row.json("content")?))
        })
    }

    /// Forgets questions whose time has been over for a while.
    pub(super) fn forget_backchannel_requests(&self, now: Timestamp) -> Result<(), StoreError> {
        // Not before it is on record that nobody answered.
        let text = "DELETE FROM backchannel_requests WHERE expires_at < ?1 \
                    AND (lapsed_at IS NOT NULL OR state <> 'waiting')";
        self.execute(text, &[now.minus(MEMORY).into()]).map(drop)
    }

    /// Replaces a question if it is still in the state that was decided on.
    fn replace_backchannel(
        &self,
        auth_req_id: &str,
        before: &str,
        after: &BackchannelRequest,
    ) -> Result<Took, StoreError> {
        let content = json(after, "backchannel_requests")?;
        let text = "UPDATE backchannel_requests SET content = ?2, state = ?3 \
                    WHERE auth_req_id = ?1 AND state = ?4";
        let new = after.polled.answer.state();
        let values = [auth_req_id.into(), Value::from(&content), new.into(), before.into()];
        Ok(match self.execute(text, &values)? {
            0 => Took::Nothing,
            _ => Took::It,
        })
    }
}
