//! Consecutive failures by name.

use std::collections::BTreeSet;
use std::time::Duration;

use chartgate_access::ids::Subject;
use chartgate_access::login::throttle::Failures;
use chartgate_values::Timestamp;

use super::{Sql, StoreError};

/// Failures of names that nobody tried since are forgotten after this long, unless they are many.
const FORGET_AFTER: Duration = Duration::from_secs(24 * 3600);
/// And those of names that are nobody's after this long, however many.
const FORGET_NOBODYS_AFTER: Duration = Duration::from_secs(90 * 24 * 3600);
/// How the names of counters begin that nothing is spent with: there are pauses, and nobody could set anything anew.
pub(crate) const PAUSES: &str = "pauses ";

/// A try that was counted before it was looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tried {
    /// When the failure before it was, if there was one.
    pub(crate) before: Option<Timestamp>,
    /// When it was counted.
    pub(crate) at: Timestamp,
}

impl Sql<'_> {
    /// Counts a try before it is looked at, so that of many at once none slips past: gives the failures before it. One
    /// that comes too soon is not counted.
    pub(crate) fn begin_login(&self, name: &str, now: Timestamp) -> Result<Failures, StoreError> {
        let before = self.login_failures(name)?;
        if before.check(now).is_ok() {
            self.add_login_failure(name, now)?;
        }
        Ok(before)
    }

    /// Takes a try back that turned out to be no failure, as if it had not been begun. Others that were counted meanwhile stay.
    pub(crate) fn take_back_login(&self, name: &str, tried: Tried) -> Result<(), StoreError> {
        let text = "UPDATE login_failures SET count = count - 1, \
                    last_at = CASE WHEN last_at = ?2 THEN COALESCE(?3, last_at) ELSE last_at END WHERE name = ?1";
        self.execute(text, &[name.into(), tried.at.into(), tried.before.into()])?;
        self.execute("DELETE FROM login_failures WHERE name = ?1 AND count < 1", &[name.into()]).map(drop)
    }

    /// The failures of a name.
    pub(crate) fn login_failures(&self, name: &str) -> Result<Failures, StoreError> {
        let text = "SELECT count, last_at FROM login_failures WHERE name = ?1";
        let found = self.first("login_failures", text, &[name.into()], |row| {
            let count = u32::try_from(row.get::<i64>("count")?).map_err(|_| row.inconsistent("count"))?;
            Ok(Failures { count, last: Some(row.time("last_at")?) })
        })?;
        Ok(found.unwrap_or_default())
    }

    /// Counts one more.
    pub(crate) fn add_login_failure(&self, name: &str, now: Timestamp) -> Result<(), StoreError> {
        let text = "INSERT INTO login_failures (name, count, last_at) VALUES (?1, 1, ?2) \
                    ON CONFLICT (name) DO UPDATE SET count = login_failures.count + 1, last_at = ?2";
        self.execute(text, &[name.into(), now.into()]).map(drop)
    }

    /// Forgets failures of names that nobody has tried for a day, unless they are many and count for a secret.
    pub(super) fn forget_login_failures(&self, now: Timestamp) -> Result<(), StoreError> {
        let text = format!(
            "DELETE FROM login_failures WHERE last_at < ?1 AND (count < 50 OR name LIKE '{PAUSES}%')"
        );
        self.execute(&text, &[now.minus(FORGET_AFTER).into()]).map(drop)
    }

    /// Forgets failures of names that are nobody's and that nobody has tried for long. A person's stay, by whatever names they
    /// are `counted`: a secret that was tried a hundred times is not to be tried again because time went by.
    pub(crate) fn forget_failures_of_nobody(
        &self,
        counted: impl Fn(&Subject) -> [String; 2],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let text = "SELECT name FROM login_failures WHERE last_at < ?1";
        let before = now.minus(FORGET_NOBODYS_AFTER);
        let idle: Vec<String> =
            self.query("login_failures", text, &[before.into()], |row| row.get("name"))?;
        let mut nobodys = BTreeSet::from_iter(idle);
        if nobodys.is_empty() {
            return Ok(());
        }
        for name in self.users()?.iter().flat_map(|user| counted(&user.name)) {
            nobodys.remove(&name);
        }
        nobodys.iter().try_for_each(|name| self.clear_login_failures(name))
    }

    /// Forgets the failures of a name: it got in, or has a new password.
    pub(crate) fn clear_login_failures(&self, name: &str) -> Result<(), StoreError> {
        self.execute("DELETE FROM login_failures WHERE name = ?1", &[name.into()]).map(drop)
    }
}
