//! What applications hold for a person, and taking it away: for the person on their page or by an application of theirs,
//! and for whoever helps them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chartgate_access::grant::Grant;
use chartgate_access::ids::{ClientId, PatientId, Subject};
use chartgate_access::session::Timeouts;
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::journal::AppendError;
use chartgate_audit::record::Record;
use chartgate_protocol::oauth::authorization_details::AuthorizationDetail;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_values::{Clock, Phi, Timestamp};
use serde::Serialize;

use super::outbox::{Change, Outbox};
use crate::config::LONGEST_ACCESS_TOKEN;
use crate::store::{Store, StoreError};

/// Finds it, and takes it away.
pub(crate) struct Apps {
    pub(crate) store: Arc<Store>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) timeouts: Timeouts,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What one application holds for a person.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct ConnectedApp {
    pub(crate) client_id: ClientId,
    /// Whether it can do anything just now.
    pub(crate) standing: Standing,
    /// What it may do; or what the person approved, if it holds nothing now.
    pub(crate) scope: ScopeSet,
    /// What it may do in detail.
    pub(crate) authorization_details: Vec<AuthorizationDetail>,
    /// The patients to whom that is limited, if it is.
    pub(crate) patients: BTreeSet<PatientId>,
    /// Since when.
    pub(crate) since: Timestamp,
    /// Whether that ends when the person signs out.
    pub(crate) ends: Ends,
}

/// Whether an application can do anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// It has tokens that are good.
    HoldsAccess,
    /// It has none, but would not have to ask for what was approved.
    Approved,
}

/// When access ends by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ends {
    /// With the session.
    WithSignOut,
    /// Not with it.
    Later,
}

impl Apps {
    /// Everything that applications hold for a person, by their names.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn of(&self, subject: &Subject) -> Result<Vec<ConnectedApp>, StoreError> {
        let now = self.clock.now();
        let (consents, grants) = self.store.read(|sql| {
            let consents = sql.consents_of(subject)?;
            let grants = sql.grants_in_force(subject, self.timeouts, LONGEST_ACCESS_TOKEN, now)?;
            Ok::<_, StoreError>((consents, grants))
        })?;
        let mut apps: BTreeMap<ClientId, ConnectedApp> = BTreeMap::new();
        for (grant, since) in grants {
            match apps.get_mut(&grant.client_id) {
                Some(app) => app.add(&grant, since),
                None => drop(apps.insert(grant.client_id.clone(), ConnectedApp::of(&grant, since))),
            }
        }
        for (client_id, scope, since) in consents {
            apps.entry(client_id.clone()).or_insert(ConnectedApp {
                client_id,
                standing: Standing::Approved,
                scope,
                authorization_details: Vec::new(),
                patients: BTreeSet::new(),
                since,
                ends: Ends::Later,
            });
        }
        Ok(apps.into_values().collect())
    }

    /// Takes everything away from an application that it holds for a person, what was approved too: its tokens die with
    /// the commit, and it has to ask again. Says how many grants ended, as the record does.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was taken. [`AppendError`]: it was, and is not on record yet.
    pub(crate) async fn disconnect<E>(
        &self,
        subject: &Subject,
        client: &ClientId,
        mut record: Record,
    ) -> Result<usize, E>
    where
        E: From<StoreError> + From<AppendError> + Send + 'static,
    {
        let (subject, client) = (subject.clone(), client.clone());
        let disconnected = self.outbox.commit(move |sql, now| {
            let ended = sql.disconnect(&subject, &client, now)?;
            let count = ended.len();
            record.detail.insert("grants".to_owned(), Phi::new(count.to_string()));
            let cut = |grant| CutOff::UpTo { target: Target::Grant(grant), not_before: now };
            Ok(Change::told_by(count, [record]).cutting(ended.into_iter().map(cut)))
        });
        disconnected.await
    }
}

impl ConnectedApp {
    fn of(grant: &Grant, since: Timestamp) -> Self {
        Self {
            client_id: grant.client_id.clone(),
            standing: Standing::HoldsAccess,
            scope: grant.scope.clone(),
            authorization_details: grant.authorization_details.clone(),
            patients: grant.patient.iter().cloned().collect(),
            since,
            ends: ends(grant),
        }
    }

    fn add(&mut self, grant: &Grant, since: Timestamp) {
        self.scope = self.scope.iter().chain(grant.scope.iter()).collect();
        self.authorization_details.extend(grant.authorization_details.iter().cloned());
        self.patients.extend(grant.patient.clone());
        self.since = self.since.min(since);
        if ends(grant) == Ends::Later {
            self.ends = Ends::Later;
        }
    }
}

fn ends(grant: &Grant) -> Ends {
    match grant.session {
        Some(_) => Ends::WithSignOut,
        None => Ends::Later,
    }
}
