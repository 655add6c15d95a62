//! How many requests wait of people who have not shown who they are. Anybody can make them, and what is kept of one takes disk
//! until its time is over.

use std::net::{IpAddr, Ipv6Addr};

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

impl Waiting {
    fn table(self) -> &'static str {
        match self {
            Self::Authorizations => "pending_authorizations",
            Self::Logouts => "logout_requests",
        }
    }
}

impl Sql<'_> {
    /// Makes room for one more of a network: where too many of it wait, its own oldest go, and where too many of all do, the oldest
    /// of the network that has most. Nobody is turned away, and nobody keeps another network from signing in by beginning without
    /// end. Says how many went.
    pub(crate) fn make_room(&self, waiting: Waiting, from: IpAddr) -> Result<usize, StoreError> {
        let (table, network) = (waiting.table(), network(from));
        let text = format!(
            "DELETE FROM {table} WHERE rowid IN \
             (SELECT rowid FROM {table} WHERE network = ?1 ORDER BY expires_at DESC LIMIT -1 OFFSET ?2)"
        );
        let own = self.execute(&text, &[(&network).into(), (OF_A_NETWORK - 1).into()])?;
        let text = format!("SELECT COUNT(*) AS count FROM {table}");
        let all: Option<i64> = self.first(table, &text, &[], |row| row.get("count"))?;
        if all.is_none_or(|all| all < OF_ALL) {
            return Ok(own);
        }
        let text = format!(
            "DELETE FROM {table} WHERE rowid = (SELECT rowid FROM {table} WHERE network = \
             (SELECT network FROM {table} GROUP BY network ORDER BY COUNT(*) DESC LIMIT 1) \
             ORDER BY expires_at LIMIT 1)"
        );
        Ok(own.saturating_add(self.execute(&text, &[])?))
    }
}

/// A network as it stands beside what came from it: an address, or of IPv6 the 48 bits that one site has. Whoever has one has 65536
/// networks of 64 bits, and in none of them as many requests as a hospital behind one address.
pub(super) fn network(of: IpAddr) -> String {
    match of.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & SITE).to_string(),
    }
}

const SITE: u128 = u128::MAX << 80;

#[cfg(test)]
mod tests;
