//! How many requests wait of people who have not shown who they are. Anybody can make them, and what is kept of one takes disk
//! until its time is over.

use std::net::IpAddr;

use chartgate_values::{Timestamp, network_of};

use super::{Sql, StoreError};

/// So many of one network wait at once: several times the people who begin to sign in at one hospital in the ten minutes that each may take.
pub(super) const OF_A_NETWORK: i64 = 3000;
/// And so many of all.
pub(super) const OF_ALL: i64 = 8000;

/// What waits for whoever brought it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Waiting {
    Authorizations,
    Logouts,
}

/// Whether one more may wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a network that has too many waiting brings no more"]
pub(crate) enum Room {
    Yes,
    No,
}

impl Waiting {
    fn table(self) -> &'static str {
        match self {
            Self::Authorizations => "pending_authorizations",
            Self::Logouts => "logout_requests",
        }
    }
}

impl Sql<'_> {
    /// Makes room for one more of a network, unless that has too many. Where all have too many, the oldest goes of the network
    /// that has most: nobody keeps another from signing in by beginning without end.
    pub(crate) fn make_room(
        &self,
        waiting: Waiting,
        from: IpAddr,
        now: Timestamp,
    ) -> Result<Room, StoreError> {
        let table = waiting.table();
        let text = format!("SELECT COUNT(*) AS count FROM {table} WHERE network = ?1 AND expires_at > ?2");
        let network = network(from);
        let values = [(&network).into(), now.into()];
        let own: Option<i64> = self.first(table, &text, &values, |row| row.get("count"))?;
        if own.is_some_and(|own| own >= OF_A_NETWORK) {
            return Ok(Room::No);
        }
        let text = format!("SELECT COUNT(*) AS count FROM {table}");
        let all: Option<i64> = self.first(table, &text, &[], |row| row.get("count"))?;
        if all.is_some_and(|all| all >= OF_ALL) {
            let text = format!(
                "DELETE FROM {table} WHERE rowid = (SELECT rowid FROM {table} WHERE network = \
                 (SELECT network FROM {table} GROUP BY network ORDER BY COUNT(*) DESC LIMIT 1) \
                 ORDER BY expires_at LIMIT 1)"
            );
            self.execute(&text, &[])?;
        }
        Ok(Room::Yes)
    }
}

/// A network as it stands beside what came from it.
pub(super) fn network(of: IpAddr) -> String {
    network_of(of).to_string()
}

#[cfg(test)]
mod tests;
