//! The one place that builds things. Everything else is given what it needs.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};
use chartgate_values::seal::MasterKey;
use chartgate_values::{Clock, Secret};
use tokio::sync::watch;

use crate::admin::Administrator;
use crate::authorization_server::back_channel_logout::BackChannelLogout;
use crate::authorization_server::{self, AuthorizationServer, Followers};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::front_door::FrontDoor;
use crate::live::approvals::{self, Approvals};
use crate::live::apps::Apps;
use crate::live::care::LiveCare;
use crate::live::client_keys::ClientKeys;
use crate::live::cut_offs::LiveCutOffs;
use crate::live::keys::{self, KeyRing};
use crate::live::policies::LivePolicies;
use crate::live::proofs::{Bases, Proofs};
use crate::live::proven::Proven;
use crate::live::sessions::LiveSessions;
use crate::live::status_lists::StatusLists;
use crate::live::tokens::{ASKED_ABOUT, OwnTokens};
use crate::live::trusted_issuers::{LiveIssuers, TrustedIssuers};
use crate::log::Log;
use crate::log_tiles::{self, LogTiles};
use crate::login::{self, Login};
use crate::net::client::egress::Egress;
use crate::net::throttle::{Buckets, Rate, Throttle};
use crate::net::tls::{Certificate, ClientAuthorities};
use crate::passwords::Passwords;
use crate::pep::{Gateway, Streams, Watched};
use crate::registration::documents::{self, Documents};
use crate::secrets::Secrets;
use crate::spool::Spools;
use crate::store::Store;

/// Everything that runs, opened and recovered, but not listening yet.
pub(crate) struct App {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Arc<Store>,
    pub(crate) log: Log,
    pub(crate) policies: Arc<LivePolicies>,
    pub(crate) cut_offs: Arc<LiveCutOffs>,
    pub(crate) sessions: Arc<LiveSessions>,
    pub(crate) administrator: Arc<Administrator>,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) keys: Arc<KeyRing>,
    issuers: Arc<LiveIssuers>,
    approvals: Arc<Approvals>,
    apps: Arc<Apps>,
    egress: Arc<Egress>,
    proofs: Arc<Proofs>,
    status_lists: Arc<StatusLists>,
    pub(crate) back_channel_logout: Arc<BackChannelLogout>,
    care: Arc<LiveCare>,
    passwords: Arc<Passwords>,
    master: MasterKey,
    _lock: DataLock,
}

/// What outlives a change of configuration: streams that are open and answers that wait.
pub(crate) struct Lasting {
    pub(crate) streams: Arc<Streams>,
    pub(crate) spools: Arc<Spools>,
    pub(crate) followers: Arc<Followers>,
}

/// The data folder, held by whoever may write the store or the log.
pub(crate) struct DataLock(#[expect(dead_code, reason = "holds the lock while it lives")] File);

/// Why the data folder is not ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// Somebody else works on it.
    #[error("the data folder is in use")]
    Held,
    /// The disk.
    #[error("{0}")]
    File(String),
}

impl DataLock {
    /// Takes the folder if nobody has it.
    ///
    /// # Errors
    /// [`LockError`].
    pub(crate) fn take(data_dir: &Path) -> Result<Self, LockError> {
        let path = data_dir.join("lock");
        let error = |e: std::io::Error| LockError::File(format!("{}: {e}", path.display()));
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(error)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(LockError::Held),
            Err(TryLockError::Error(e)) => Err(error(e)),
        }
    }
}

impl App {
    /// Opens store and log, recovers what a crash left, and builds what works on them.
    ///
    /// # Errors
    /// Why nothing may be served, for the operator.
    pub(crate) fn open(config: Config, lock: DataLock) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let secrets = Secrets::load(&config)?;
        let store = Arc::new(Store::open(&config.store)?);
        let policies = Arc::new(LivePolicies::load(&config.policy_dir).map_err(|errors| all(&errors))?);
        let log = Log::start(
            &config.audit,
            &log_origin(&config),
            &secrets.log_seed,
            &secrets.master,
            Arc::clone(&store),
            Arc::clone(&clock),
        )?;
        let cut_offs = Arc::new(LiveCutOffs::load(Arc::clone(&store), Arc::clone(&clock))?);
        let keys = Arc::new(KeyRing::load(
            Arc::clone(&store),
            Arc::clone(&clock),
            secrets.master.derive(keys::PURPOSE)?,
            config.tokens.signing.clone(),
        )?);
        let care = Arc::new(LiveCare::load(Arc::clone(&store), Arc::clone(&clock))?);
        let sessions = Arc::new(LiveSessions::new(Arc::clone(&store), Arc::clone(&clock), config.sessions));
        let pepper = Secret::new(secrets.master.secret_for("password pepper")?.to_vec());
        let passwords = Arc::new(Passwords::new(pepper)?);
        let egress = Arc::new(Egress::new(&config.egress)?);
        let approvals = Arc::new(Approvals::new(
            Arc::clone(&store),
            Arc::clone(&egress),
            secrets.master.derive(approvals::PURPOSE)?,
            Arc::clone(&clock),
        ));
        let apps = Arc::new(Apps {
            store: Arc::clone(&store),
            cut_offs: Arc::clone(&cut_offs),
            timeouts: config.sessions,
            clock: Arc::clone(&clock),
        });
        let issuers = Arc::new(LiveIssuers::default());
        issuers.replace(Arc::new(TrustedIssuers::new(&config.trusted_issuers)?));
        let status_lists = Arc::new(StatusLists {
            issuer: config.issuer.clone(),
            store: Arc::clone(&store),
            keys: Arc::clone(&keys),
            cut_offs: Arc::clone(&cut_offs),
            clock: Arc::clone(&clock),
            written: Mutex::default(),
        });
        let back_channel_logout = Arc::new(BackChannelLogout {
            issuer: config.issuer.clone(),
            store: Arc::clone(&store),
            keys: Arc::clone(&keys),
            journal: log.journal.clone(),
            clock: Arc::clone(&clock),
            egress: Arc::clone(&egress),
        });
        let administrator = Arc::new(Administrator {
            issuer: config.issuer.clone(),
            timeouts: config.sessions,
            store: Arc::clone(&store),
            keys: Arc::clone(&keys),
            issuers: Arc::clone(&issuers),
            approvals: Arc::clone(&approvals),
            apps: Arc::clone(&apps),
            command_line: config.approvals.command_line,
            policies: Arc::clone(&policies),
            care: Arc::clone(&care),
            cut_offs: Arc::clone(&cut_offs),
            passwords: Arc::clone(&passwords),
            journal: log.journal.clone(),
            clock: Arc::clone(&clock),
        });
        let proofs =
            Arc::new(Proofs::new(Bases { main: config.issuer.clone(), mutual: config.mtls_base() })?);
        let app = Self {
            throttle: Arc::new(Throttle::new(Arc::clone(&clock))),
            config: Arc::new(config),
            clock,
            store,
            log,
            policies,
            cut_offs,
            sessions,
            administrator,
            status_lists,
            back_channel_logout,
            keys,
            issuers,
            approvals,
            apps,
            egress,
            proofs,
            care,
            passwords,
            master: secrets.master,
            _lock: lock,
        };
        app.record_recovery()?;
        Ok(app)
    }

    /// Closes the intents that a crash left open, and says what was recovered.
    fn record_recovery(&self) -> anyhow::Result<()> {
        let now = self.clock.now();
        for open in &self.log.recovered.open_intents {
            let mut record =
                Record { event: Event::Access, outcome: Outcome::Error, time: now, ..open.record.clone() };
            record.decision.reason = Some("interrupted".to_owned());
            let _ = self.log.journal.append_blocking(&record, ())?;
        }
        let found = &self.log.recovered;
        if found.replayed > 0 || found.torn_bytes > 0 || !found.open_intents.is_empty() {
            let mut record = Record::new(Event::Recovered, Outcome::Allow, now);
            record.actor = Actor { kind: ActorKind::Local, ..Actor::default() };
            for (name, value) in [
                ("replayed", found.replayed.to_string()),
                ("torn_bytes", found.torn_bytes.to_string()),
                ("interrupted", found.open_intents.len().to_string()),
            ] {
                record.detail.insert(name.to_owned(), chartgate_values::Phi::new(value));
            }
            let _ = self.log.journal.append_blocking(&record, ())?;
            tracing::info!(
                replayed = found.replayed,
                torn_bytes = found.torn_bytes,
                interrupted = found.open_intents.len(),
                "recovered the log"
            );
        }
        Ok(())
    }

    /// What outlives a change of configuration. `stopped` turns true when the gateway goes down.
    ///
    /// # Errors
    /// If the spools' folder cannot be made.
    pub(crate) fn lasting(&self, stopped: watch::Receiver<bool>) -> anyhow::Result<Lasting> {
        let watched = Watched {
            cut_offs: Arc::clone(&self.cut_offs),
            sessions: Arc::clone(&self.sessions),
            policies: Arc::clone(&self.policies),
            keys: Arc::clone(&self.keys),
            issuers: Arc::clone(&self.issuers),
        };
        let streams =
            Streams::new(watched, self.log.journal.clone(), Arc::clone(&self.clock), stopped.clone());
        Ok(Lasting {
            followers: Arc::new(Followers::new(stopped)),
            streams: Arc::new(streams),
            spools: Arc::new(Spools::open(&self.config.data_dir, Arc::clone(&self.throttle))?),
        })
    }

    /// What answers every request, by the reloadable part of this configuration.
    ///
    /// # Errors
    /// If a route cannot be prepared: a CA that cannot be read.
    pub(crate) fn front_door(&self, config: &Config, lasting: &Lasting) -> anyhow::Result<FrontDoor> {
        lasting.spools.make_room_for(config.longest_withheld());
        let issuers = Arc::new(TrustedIssuers::new(&config.trusted_issuers)?);
        let gateway = Arc::new(self.gateway(config, Arc::clone(&issuers), lasting)?);
        let own = self.own_endpoints(config, lasting, Arc::clone(&gateway))?;
        self.issuers.replace(issuers);
        Ok(FrontDoor::new(self, config.registration.clone(), gateway, own))
    }

    fn gateway(
        &self,
        config: &Config,
        issuers: Arc<TrustedIssuers>,
        lasting: &Lasting,
    ) -> anyhow::Result<Gateway> {
        Gateway::new(crate::pep::Parts {
            issuer: config.issuer.clone(),
            routes: Arc::clone(&config.routes),
            keys: Arc::clone(&self.keys),
            issuers,
            cut_offs: Arc::clone(&self.cut_offs),
            proofs: Arc::clone(&self.proofs),
            care: Arc::clone(&self.care),
            policies: Arc::clone(&self.policies),
            sessions: Arc::clone(&self.sessions),
            paging: self.master.derive("fhir paging links")?,
            journal: self.log.journal.clone(),
            throttle: Arc::clone(&self.throttle),
            clock: Arc::clone(&self.clock),
            streams: Arc::clone(&lasting.streams),
            spools: Arc::clone(&lasting.spools),
        })
    }

    /// Everything that answers by itself: the authorization server and the pages.
    fn own_endpoints(
        &self,
        config: &Config,
        lasting: &Lasting,
        gateway: Arc<Gateway>,
    ) -> anyhow::Result<Router> {
        self.egress.reconfigure(&config.egress)?;
        let own_tokens = Arc::new(OwnTokens {
            issuer: config.issuer.clone(),
            keys: Arc::clone(&self.keys),
            cut_offs: Arc::clone(&self.cut_offs),
            sessions: Arc::clone(&self.sessions),
            proofs: Arc::clone(&self.proofs),
            clock: Arc::clone(&self.clock),
            asked_about: Proven::new(ASKED_ABOUT),
        });
        let server = AuthorizationServer {
            documents: Documents::new(documents::Parts {
                registration: config.registration.clone(),
                egress: Arc::clone(&self.egress),
                store: Arc::clone(&self.store),
                journal: self.log.journal.clone(),
                cut_offs: Arc::clone(&self.cut_offs),
                throttle: Arc::clone(&self.throttle),
                clock: Arc::clone(&self.clock),
            }),
            registration: config.registration.clone(),
            registrations: Buckets::new(
                Rate::per_hour(config.registration.per_hour),
                Arc::clone(&self.clock),
            ),
            issuer: config.issuer.clone(),
            tokens: config.tokens.clone(),
            timeouts: config.sessions,
            routes: Arc::clone(&config.routes),
            store: Arc::clone(&self.store),
            keys: Arc::clone(&self.keys),
            client_keys: Arc::new(ClientKeys::new(Arc::clone(&self.egress))),
            issuers: Arc::clone(&self.issuers),
            approvals: Arc::clone(&self.approvals),
            apps: Arc::clone(&self.apps),
            cut_offs: Arc::clone(&self.cut_offs),
            sessions: Arc::clone(&self.sessions),
            status_lists: Arc::clone(&self.status_lists),
            followers: Arc::clone(&lasting.followers),
            own_tokens: Arc::clone(&own_tokens),
            proofs: Arc::clone(&self.proofs),
            mtls_base: self.config.mtls_base(),
            client_authorities: config.client_ca.as_deref().map(ClientAuthorities::load).transpose()?,
            journal: self.log.journal.clone(),
            throttle: Arc::clone(&self.throttle),
            clock: Arc::clone(&self.clock),
        };
        let login = Login {
            issuer: config.issuer.clone(),
            apps: Arc::clone(&self.apps),
            timeouts: config.sessions,
            store: Arc::clone(&self.store),
            care: Arc::clone(&self.care),
            policies: Arc::clone(&self.policies),
            keys: Arc::clone(&self.keys),
            cut_offs: Arc::clone(&self.cut_offs),
            passwords: Arc::clone(&self.passwords),
            directory: gateway,
            sessions: Arc::clone(&self.sessions),
            journal: self.log.journal.clone(),
            throttle: Arc::clone(&self.throttle),
            clock: Arc::clone(&self.clock),
        };
        let tiles = LogTiles {
            dir: config.audit.dir.clone(),
            own_tokens,
            journal: self.log.journal.clone(),
            throttle: Arc::clone(&self.throttle),
            clock: Arc::clone(&self.clock),
        };
        Ok(authorization_server::router(Arc::new(server))
            .merge(login::router(Arc::new(login)))
            .merge(log_tiles::router(Arc::new(tiles))))
    }

    /// Our certificate.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn certificate(&self) -> anyhow::Result<Arc<Certificate>> {
        Ok(Arc::new(Certificate::load(&self.config.tls)?))
    }

    /// Writes what waits and closes store and log.
    pub(crate) fn close(self) {
        let Self { log, store, .. } = self;
        log.stop();
        store.close();
    }
}

/// The name of this installation's log: C2SP wants a URL without its scheme.
pub(crate) fn log_origin(config: &Config) -> String {
    format!("{}/audit", config.authority())
}

fn all(errors: &[impl std::fmt::Display]) -> anyhow::Error {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    anyhow::anyhow!("{}", lines.join("\n"))
}
