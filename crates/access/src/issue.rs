//! The one gate before any token is issued, whatever the grant: so that no sibling path forgets a check.

use chartgate_values::Timestamp;

use crate::client::{Client, GrantType};
use crate::principal::{User, UserState};
use crate::session::{Session, SessionOver, Timeouts};

/// For whom a token is asked.
#[derive(Clone, Copy, Debug)]
pub enum IssueTo<'a> {
    /// A person in a session.
    Person {
        /// The person as they are now.
        user: &'a User,
        /// Their session as it is now; `None` if it is gone from the store.
        session: Option<&'a Session>,
    },
    /// A person who is away: `offline_access`.
    Absent {
        /// The person as they are now.
        user: &'a User,
    },
    /// The client itself.
    Client,
}

/// The gate was passed. Only [`may_issue`] makes one; minting asks for it.
///
/// ```compile_fail,E0423
/// let _ = chartgate_access::issue::MayIssue(());
/// ```
#[derive(Debug)]
#[must_use = "a passed gate is what a token is minted from"]
pub struct MayIssue(());

/// Why no token is issued.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MayNotIssue {
    /// The person may not sign in any more.
    #[error("user is disabled")]
    UserDisabled,
    /// The session is gone or over.
    #[error("session is over: {0}")]
    SessionOver(SessionOver),
    /// The session belongs to somebody else.
    #[error("session is another person's")]
    SessionOfAnother,
    /// The client is not registered for this grant.
    #[error("client may not use this grant")]
    GrantNotAllowed,
}

/// Asks whether a token may be issued now.
///
/// # Errors
/// [`MayNotIssue`] with the first cause.
pub fn may_issue(
    to: IssueTo<'_>,
    client: &Client,
    grant: GrantType,
    timeouts: Timeouts,
    now: Timestamp,
) -> Result<MayIssue, MayNotIssue> {
    if !client.grant_types.contains(&grant) {
        return Err(MayNotIssue::GrantNotAllowed);
    }
    match to {
        IssueTo::Client => {}
        IssueTo::Absent { user } => enabled(user)?,
        IssueTo::Person { user, session } => {
            enabled(user)?;
            let session = session.ok_or(MayNotIssue::SessionOver(SessionOver::Ended))?;
            if session.subject != user.name {
                return Err(MayNotIssue::SessionOfAnother);
            }
            session.check(timeouts, now).map_err(MayNotIssue::SessionOver)?;
        }
    }
    Ok(MayIssue(()))
}

fn enabled(user: &User) -> Result<(), MayNotIssue> {
    match user.state {
        UserState::Enabled => Ok(()),
        UserState::Disabled => Err(MayNotIssue::UserDisabled),
    }
}
