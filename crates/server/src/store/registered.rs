//! Clients as requests need them: remembered, until the writer touches their table.
//!
//! The database says itself when that happens, so that no statement can forget to. What is remembered is thrown away
//! after the commit and before anybody is told of it: whoever heard of a change finds it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use chartgate_access::client::Client;
use chartgate_access::ids::ClientId;
use rusqlite::Connection;
use rusqlite::hooks::Action;

use super::{Sql, Store, StoreError};

/// A client that was not removed.
pub(crate) struct RegisteredClient {
    pub(crate) client: Arc<Client>,
    /// The digest of its secret, if it has one.
    pub(crate) secret_digest: Option<String>,
}

/// Clients that were asked for.
#[derive(Default)]
pub(super) struct Remembered {
    clients: RwLock<Generation>,
    /// Something is new in the table.
    added: AtomicBool,
    /// Something that was there is not what it was.
    changed: AtomicBool,
}

/// What was read since the table was last touched.
#[derive(Default)]
struct Generation {
    number: u64,
    clients: HashMap<ClientId, Arc<RegisteredClient>>,
}

impl Store {
    /// Another number each time that anything of clients changed.
    pub(crate) fn clients_generation(&self) -> u64 {
        self.remembered.clients.read().unwrap_or_else(PoisonError::into_inner).number
    }

    /// A client that was not removed. Unlike [`Sql::client`] this is no part of a transaction.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn registered(&self, id: &ClientId) -> Result<Option<Arc<RegisteredClient>>, StoreError> {
        let number = match self.remembered.get(id) {
            Ok(known) => return Ok(Some(known)),
            Err(number) => number,
        };
        let found = self.read(|sql| sql.registered_client(id))?.map(Arc::new);
        if let Some(found) = &found {
            self.remembered.put(number, id, found);
        }
        Ok(found)
    }
}

impl Remembered {
    /// Watches what the writer does.
    pub(super) fn watch(self: &Arc<Self>, writer: &mut Connection) -> Result<(), rusqlite::Error> {
        let remembered = Arc::clone(self);
        writer.update_hook(Some(move |action: Action, _: &str, table: &str, _: i64| {
            if table == "clients" {
                let noticed =
                    if action == Action::SQLITE_INSERT { &remembered.added } else { &remembered.changed };
                noticed.store(true, Ordering::Relaxed);
            }
        }))
    }

    /// After each commit, before it is told of. Whom nobody knew is not remembered as unknown, so that a client that is new
    /// makes nobody forget the others.
    pub(super) fn committed(&self) {
        let added = self.added.swap(false, Ordering::Relaxed);
        let changed = self.changed.swap(false, Ordering::Relaxed);
        if added || changed {
            let mut held = self.clients.write().unwrap_or_else(PoisonError::into_inner);
            held.number = held.number.wrapping_add(1);
            if changed {
                held.clients.clear();
            }
        }
    }

    /// What is remembered, or else the generation that it is missing from.
    fn get(&self, id: &ClientId) -> Result<Arc<RegisteredClient>, u64> {
        let held = self.clients.read().unwrap_or_else(PoisonError::into_inner);
        held.clients.get(id).cloned().ok_or(held.number)
    }

    /// Remembers what was read, unless the table was touched since.
    fn put(&self, number: u64, id: &ClientId, found: &Arc<RegisteredClient>) {
        let mut held = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        if held.number == number {
            if held.clients.len() >= MOST {
                held.clients.clear();
            }
            held.clients.insert(id.clone(), Arc::clone(found));
        }
    }
}

impl Sql<'_> {
    fn registered_client(&self, id: &ClientId) -> Result<Option<RegisteredClient>, StoreError> {
        let text = "SELECT settings, secret_digest FROM clients WHERE client_id = ?1 AND removed_at IS NULL";
        self.first("clients", text, &[id.as_str().into()], |row| {
            let client = Arc::new(row.json("settings")?);
            Ok(RegisteredClient { client, secret_digest: row.get("secret_digest")? })
        })
    }
}

/// Clients that are remembered at once.
const MOST: usize = 10_000;
