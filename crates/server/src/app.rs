//! The one place that builds things. Everything else is given what it needs.
//!
//! Here is what is opened once. What a configuration that can be put in force later says is built in `gateway` and
//! `own_endpoints`.

pub(crate) mod check;
mod data_lock;
mod gateway;
mod own_endpoints;
mod recovery;

use std::sync::{Arc, Mutex};

use chartgate_audit::note::LogSigner;
use chartgate_audit::outward::{Source, View};
use chartgate_values::seal::{MasterKey, SealingKey};
use chartgate_values::{Clock, Secret};
use tokio::sync::watch;

pub(crate) use own_endpoints::OwnEndpoints;

use crate::admin::Administrator;
use crate::authorization_server::Followers;
use crate::authorization_server::back_channel_logout::BackChannelLogout;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::directory::LiveDirectory;
use crate::front_door::FrontDoor;
use crate::front_door::requests::Requests;
use crate::journal_fs::ObjectFolder;
use crate::live::approvals::{self, Approvals};
use crate::live::apps::Apps;
use crate::live::care::LiveCare;
use crate::live::client_keys::ClientKeys;
use crate::live::cut_offs::LiveCutOffs;
use crate::live::emergency::{self, Emergencies};
use crate::live::factors::{self, Factors};
use crate::live::findings::{self, Findings, KnownPeople};
use crate::live::identity_providers;
use crate::live::in_force::InForce;
use crate::live::keys::{self, KeyRing};
use crate::live::outbox::{self, Outbox, UnderWay};
use crate::live::passkeys::authenticators::KnownAuthenticators;
use crate::live::passkeys::{self, Passkeys};
use crate::live::phones::{self, Phones};
use crate::live::policies::LivePolicies;
use crate::live::proofs::{Bases, Proofs};
use crate::live::sessions::LiveSessions;
use crate::live::status_lists::{Lists, StatusLists};
use crate::live::trusted_issuers::{LiveIssuers, TrustedIssuers};
use crate::log::Log;
use crate::net::client::egress::Egress;
use crate::net::mail;
use crate::net::throttle::Throttle;
use crate::net::tls::Certificate;
use crate::notices::Notices;
use crate::outward::{Destination, Exports, Runner, Surroundings};
use crate::passwords::{Passwords, Scheme};
use crate::pep::{Streams, Watched, Written};
use crate::registration::in_force::ClientsInForce;
use crate::secrets::Secrets;
use crate::spool::Spools;
use crate::store::Store;
use crate::tongue;
use crate::watch::{self as watching, Watcher};
use crate::witnesses::{self, Witnesses};
pub(crate) use data_lock::{DataLock, LockError};

/// Everything that runs, opened and recovered, but not listening yet.
pub(crate) struct App {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Arc<Store>,
    pub(crate) log: Log,
    pub(crate) policies: Arc<LivePolicies>,
    pub(crate) cut_offs: Arc<LiveCutOffs>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) sessions: Arc<LiveSessions>,
    /// What a reload put in place of the former.
    pub(crate) in_force: Arc<InForce>,
    pub(crate) administrator: Arc<Administrator>,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) requests: Arc<Requests>,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) issuers: Arc<LiveIssuers>,
    client_keys: Arc<ClientKeys>,
    pub(crate) approvals: Arc<Approvals>,
    phones: Arc<Phones>,
    apps: Arc<Apps>,
    emergencies: Arc<Emergencies>,
    factors: Arc<Factors>,
    passkeys: Arc<Passkeys>,
    egress: Arc<Egress>,
    proofs: Arc<Proofs>,
    status_lists: Arc<StatusLists>,
    pub(crate) back_channel_logout: Arc<BackChannelLogout>,
    pub(crate) notices: Arc<Notices>,
    pub(crate) exports: Arc<Exports>,
    pub(crate) witnesses: Arc<Witnesses>,
    pub(crate) watcher: Arc<Watcher>,
    care: Arc<LiveCare>,
    pub(crate) directory: Arc<LiveDirectory>,
    pub(crate) passwords: Arc<Passwords>,
    /// What ID tokens of identity providers are sealed with.
    provider_seal: Arc<SealingKey>,
    master: MasterKey,
    _lock: DataLock,
}

/// What outlives a change of configuration: streams that are open, answers that wait, and what was written.
pub(crate) struct Lasting {
    pub(crate) streams: Arc<Streams>,
    pub(crate) spools: Arc<Spools>,
    pub(crate) written: Arc<Written>,
    pub(crate) followers: Arc<Followers>,
}

impl App {
    /// Opens store and log, recovers what a crash left, and builds what works on them.
    ///
    /// # Errors
    /// Why nothing may be served, for the operator.
    pub(crate) fn open(config: Config, lock: DataLock) -> anyhow::Result<Self> {
        tongue::prepare();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let secrets = Secrets::load(&config)?;
        let store = Arc::new(Store::open(&config.store)?);
        recovery::begin_anew(&store, clock.as_ref())?;
        let policies = Arc::new(LivePolicies::load(&config.policy_dir).map_err(|errors| all(&errors))?);
        policies.try_out(config.shadow_dir.as_deref());
        let log = Log::start(
            &config.audit,
            &log_origin(&config),
            &secrets.log_seed,
            &secrets.master,
            Arc::clone(&store),
            Arc::clone(&clock),
        )?;
        let cut_offs = Arc::new(LiveCutOffs::load(Arc::clone(&store), Arc::clone(&clock))?);
        let outbox = Arc::new(Outbox {
            store: Arc::clone(&store),
            cut_offs: Arc::clone(&cut_offs),
            journal: log.journal.clone(),
            log: Arc::clone(&log.reading),
            seal: Arc::new(secrets.master.derive(outbox::PURPOSE)?),
            clock: Arc::clone(&clock),
            under_way: Arc::<UnderWay>::default(),
        });
        let keys = Arc::new(KeyRing::load(
            Arc::clone(&store),
            Arc::clone(&clock),
            secrets.master.derive(keys::PURPOSE)?,
            config.tokens.signing.clone(),
        )?);
        let care = Arc::new(LiveCare::load(Arc::clone(&store), Arc::clone(&outbox))?);
        let directory = Arc::new(LiveDirectory::default());
        let sessions = Arc::new(LiveSessions::new(Arc::clone(&store), Arc::clone(&clock), config.sessions));
        let pepper = Secret::new(secrets.master.secret_for("password pepper")?.to_vec());
        let hashes = store.read(|sql| sql.password_hashes())?;
        let passwords = Passwords::new(pepper, Scheme::of_this_build(), hashes.iter().map(String::as_str))?;
        let unverifiable = hashes.iter().filter(|hash| !passwords.can_verify(hash)).count();
        if unverifiable > 0 {
            tracing::warn!(
                people = unverifiable,
                "have passwords that cannot be verified in this build: each needs a new link"
            );
        }
        let passwords = Arc::new(passwords);
        let egress = Arc::new(Egress::new(&config.egress)?);
        let phones = Arc::new(Phones::load(
            Arc::clone(&store),
            Arc::clone(&egress),
            secrets.master.derive(phones::PURPOSE)?,
            config.push.clone(),
            Arc::clone(&clock),
        )?);
        let emergencies = Arc::new(Emergencies {
            config: config.emergency.clone(),
            store: Arc::clone(&store),
            policies: Arc::clone(&policies),
            outbox: Arc::clone(&outbox),
            seal: secrets.master.derive(emergency::PURPOSE)?,
            clock: Arc::clone(&clock),
        });
        let approvals = Arc::new(Approvals::new(approvals::Parts {
            store: Arc::clone(&store),
            egress: Arc::clone(&egress),
            phones: Arc::clone(&phones),
            emergencies: Arc::clone(&emergencies),
            seal: secrets.master.derive(approvals::PURPOSE)?,
            journal: log.journal.clone(),
            clock: Arc::clone(&clock),
        }));
        let apps = Arc::new(Apps {
            store: Arc::clone(&store),
            outbox: Arc::clone(&outbox),
            timeouts: config.sessions,
            clock: Arc::clone(&clock),
        });
        let known = Arc::new(KnownAuthenticators::default());
        let factors = Arc::new(Factors {
            store: Arc::clone(&store),
            seal: secrets.master.derive(factors::PURPOSE)?,
            known: Arc::clone(&known),
        });
        let marks = secrets.master.marking(passkeys::PURPOSE)?;
        let passkeys = Arc::new(Passkeys::new(Arc::clone(&store), marks, &config.issuer, known));
        let findings = Arc::new(Findings {
            store: Arc::clone(&store),
            outbox: Arc::clone(&outbox),
            seal: secrets.master.derive(findings::PURPOSE)?,
            ways: emergencies.ways(),
            clock: Arc::clone(&clock),
            known: KnownPeople::default(),
        });
        let watcher = Arc::new(Watcher::new(watching::Parts {
            rules: config.watch.clone(),
            reading: Arc::clone(&log.reading),
            store: Arc::clone(&store),
            journal: log.journal.clone(),
            findings: Arc::clone(&findings),
            directory: Arc::clone(&directory),
            clock: Arc::clone(&clock),
        }));
        let issuers = Arc::new(LiveIssuers::default());
        issuers.replace(Arc::new(TrustedIssuers::new(&config.trusted_issuers)?));
        let status_lists = Arc::new(StatusLists {
            issuer: config.issuer.clone(),
            store: Arc::clone(&store),
            keys: Arc::clone(&keys),
            cut_offs: Arc::clone(&cut_offs),
            clock: Arc::clone(&clock),
            written: Lists::default(),
        });
        let back_channel_logout = Arc::new(BackChannelLogout {
            issuer: config.issuer.clone(),
            store: Arc::clone(&store),
            keys: Arc::clone(&keys),
            journal: log.journal.clone(),
            clock: Arc::clone(&clock),
            egress: Arc::clone(&egress),
        });
        let mailer = mail::mailer(config.mail.as_deref())?;
        let notices = Arc::new(Notices {
            issuer: config.issuer.clone(),
            emergencies: Arc::clone(&emergencies),
            store: Arc::clone(&store),
            keys: Arc::clone(&keys),
            journal: log.journal.clone(),
            clock: Arc::clone(&clock),
            egress: Arc::clone(&egress),
            mailer: mailer.clone(),
            told: Mutex::default(),
        });
        let exports = Arc::new(Exports::new(&config.audit.exports));
        let witnesses = Arc::new(Witnesses::new(&config.audit)?);
        let config = Arc::new(config);
        let in_force = Arc::new(InForce::new(Arc::clone(&config)));
        let administrator = Arc::new(Administrator {
            in_force: Arc::clone(&in_force),
            issuer: config.issuer.clone(),
            timeouts: config.sessions,
            store: Arc::clone(&store),
            keys: Arc::clone(&keys),
            issuers: Arc::clone(&issuers),
            approvals: Arc::clone(&approvals),
            apps: Arc::clone(&apps),
            emergencies: Arc::clone(&emergencies),
            factors: Arc::clone(&factors),
            mailer,
            watcher: Arc::clone(&watcher),
            command_line: config.approvals.command_line,
            policies: Arc::clone(&policies),
            care: Arc::clone(&care),
            directory: Arc::clone(&directory),
            cut_offs: Arc::clone(&cut_offs),
            outbox: Arc::clone(&outbox),
            passwords: Arc::clone(&passwords),
            journal: log.journal.clone(),
            data_keys: Arc::clone(&log.data_keys),
            signer: Arc::new(LogSigner::from_seed(&log_origin(&config), &secrets.log_seed)?),
            holding: tokio::sync::Mutex::default(),
            witnesses: Arc::clone(&witnesses),
            exports: Arc::clone(&exports),
            reading: Arc::clone(&log.reading),
            clock: Arc::clone(&clock),
        });
        let proofs =
            Arc::new(Proofs::new(Bases { main: config.issuer.clone(), mutual: config.mtls_base() })?);
        let app = Self {
            throttle: Arc::new(Throttle::new(Arc::clone(&clock))),
            requests: Arc::<Requests>::default(),
            config,
            in_force,
            clock,
            store,
            log,
            policies,
            cut_offs,
            outbox,
            sessions,
            administrator,
            status_lists,
            back_channel_logout,
            notices,
            exports,
            witnesses,
            watcher,
            keys,
            issuers,
            client_keys: Arc::new(ClientKeys::new(Arc::clone(&egress))),
            approvals,
            phones,
            apps,
            emergencies,
            factors,
            passkeys,
            egress,
            proofs,
            care,
            directory,
            passwords,
            provider_seal: Arc::new(secrets.master.derive(identity_providers::PURPOSE)?),
            master: secrets.master,
            _lock: lock,
        };
        app.record_restores()?;
        let told = app.outbox.tell_left_at_start()?;
        app.record_recovery(told)?;
        Ok(app)
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
            written: Arc::default(),
        })
    }

    /// What hands the log on to tools of others.
    ///
    /// # Errors
    /// If a CA, certificate or key cannot be read.
    pub(crate) fn runners(&self) -> anyhow::Result<Vec<Runner>> {
        let around = Surroundings {
            reader: self.log.reading.reader.clone(),
            log: self.log.reading.reader.key().to_string(),
            store: Arc::clone(&self.store),
            journal: self.log.journal.clone(),
            clock: Arc::clone(&self.clock),
        };
        let host = self.config.bare_host().to_owned();
        let source = Source { origin: log_origin(&self.config), host, version: env!("CARGO_PKG_VERSION") };
        let secret = self.master.secret_for("export pseudonyms")?;
        let pairs = self.config.audit.exports.iter().zip(self.exports.iter());
        pairs
            .map(|(config, export)| {
                let destination = Destination::new(config, &source, &self.clock)?;
                let view = View::new(config.patients, &secret, &config.name);
                let what = (config.from, config.events.clone().into());
                Ok(Runner::new(Arc::clone(export), destination, view, what, around.clone()))
            })
            .collect()
    }

    /// What asks the log's witnesses.
    ///
    /// # Errors
    /// If the log's folder cannot be used.
    pub(crate) fn witness_runner(&self) -> anyhow::Result<witnesses::Runner> {
        Ok(witnesses::Runner {
            witnesses: Arc::clone(&self.witnesses),
            reader: self.log.reading.reader.clone(),
            objects: Arc::new(ObjectFolder::open(&self.config.audit.dir)?),
            journal: self.log.journal.clone(),
            clock: Arc::clone(&self.clock),
        })
    }

    /// What answers every request, by the reloadable part of this configuration, once it comes into force.
    ///
    /// # Errors
    /// If a route cannot be prepared: a CA that cannot be read.
    pub(crate) fn front_door(&self, config: &Config, lasting: &Lasting) -> anyhow::Result<FrontDoor> {
        lasting.spools.make_room_for(config.longest_withheld());
        let issuers = Arc::new(TrustedIssuers::new(&config.trusted_issuers)?);
        let gateway = Arc::new(self.gateway(config, Arc::clone(&issuers), lasting)?);
        let clients = Arc::new(ClientsInForce {
            registration: config.registration.clone(),
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
        });
        let own = self.own_endpoints(config, lasting, Arc::clone(&gateway), &clients)?;
        Ok(FrontDoor::new(self, clients, gateway, issuers, own))
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
