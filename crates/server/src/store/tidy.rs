//! Forgetting what can matter no more, once a minute and not on anybody's way. The log remembers.

use std::time::Duration;

use chartgate_values::Timestamp;

use super::{Sql, StoreError};

/// Ended sessions and expired refresh tokens are kept this long, for whoever asks what happened.
const KEEP: Duration = Duration::from_secs(7 * 24 * 3600);

impl Sql<'_> {
    /// Forgets codes, assertions, requests, failures, refresh tokens, grants and sessions that are over, and what was not seen for
    /// long. A session is over at the latest `longest_session` after its sign-in.
    pub(crate) fn tidy(&self, longest_session: Duration, now: Timestamp) -> Result<(), StoreError> {
        self.forget_pending(now)?;
        self.forget_logout_requests(now)?;
        self.forget_devices(now)?;
        self.forget_backchannel_requests(now)?;
        self.forget_exchanged(now)?;
        self.forget_pushed_requests(now)?;
        self.forget_launches(now)?;
        self.forget_exports(now)?;
        self.forget_status_lists(now)?;
        self.forget_codes(now)?;
        self.forget_assertions(now)?;
        self.forget_login_failures(now)?;
        self.forget_half_sign_ins(now)?;
        self.forget_provider_sign_ins(now)?;
        self.forget_provider_sign_outs(now)?;
        self.forget_sign_in_approvals(now)?;
        self.forget_deeds(now)?;
        self.forget_unseen(now)?;
        self.forget_factor_changes(now)?;
        self.forget_challenges(now)?;
        self.forget_recoveries(now)?;
        let before = now.minus(KEEP);
        self.execute("DELETE FROM refresh_tokens WHERE expires_at < ?1", &[before.into()])?;
        // A grant without a refresh token that was not used can issue nothing more; its access tokens live an hour at the most.
        // What was used and is still there is refused when it is shown again, as of a grant that is over. While its session goes on,
        // one that gave an ID token says who is to be told of that one's end (`note_logout`).
        self.execute(
            "DELETE FROM grants WHERE created_at < ?1 \
             AND NOT EXISTS (SELECT 1 FROM refresh_tokens WHERE grant_id = grants.id AND consumed_at IS NULL) \
             AND NOT EXISTS (SELECT 1 FROM sessions WHERE id = grants.session AND ended_at IS NULL \
             AND instr(' ' || (grants.content ->> '$.scope') || ' ', ' openid ') > 0)",
            &[before.into()],
        )?;
        let text = "DELETE FROM sessions WHERE ended_at < ?1 OR auth_time < ?2";
        self.execute(text, &[before.into(), before.minus(longest_session).into()]).map(drop)
    }
}
