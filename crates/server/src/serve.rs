//! Running: listeners, tasks, signals, draining.

mod metrics;
mod narrowed_clients;
mod reload;
mod untrusted_providers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};
use chartgate_values::Phi;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::admin::socket;
use crate::app::App;
use crate::config::{self, Config};
use crate::live::outbox::{Change, ChangeError};
use crate::live::policies::{Changed, Look, When};
use crate::net::connections::Limits;
use crate::net::listen::{Asks, Connections};
use crate::net::tls::Certificate;
use crate::net::{listen, reserve, tls};
use crate::registration::changes;
use crate::store::StoreError;
use metrics::Measured;
use reload::Current;

/// How often the policy folder is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often the free disk is looked at.
const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// How often activity is written and old cut-offs are forgotten.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// How often failures are forgotten of names that nobody has.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

/// How often servers behind FHIR routes are asked which version they are of.
const ASK_EVERY: Duration = Duration::from_secs(60);

/// How long streams have, once connections are drained, to get their last record.
const STREAMS_TIME: Duration = Duration::from_secs(5);
/// How long commands have that are being carried out when a signal says to stop: while all else is drained, and this long after
/// that if it took as long.
const COMMANDS_TIME: Duration = Duration::from_secs(20);
const LAST_COMMANDS_TIME: Duration = Duration::from_secs(3);

/// Sockets that are bound and not served yet.
pub(crate) struct Listeners {
    https: TcpListener,
    mtls: Option<TcpListener>,
    http: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

impl Listeners {
    /// Binds what the configuration names.
    ///
    /// # Errors
    /// Which address cannot be had.
    pub(crate) async fn bind(config: &Config) -> anyhow::Result<Self> {
        let bind = |address: SocketAddr| async move {
            TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
        };
        let optional = |address: Option<SocketAddr>| async move {
            match address {
                Some(address) => bind(address).await.map(Some),
                None => Ok(None),
            }
        };
        Ok(Self {
            https: bind(config.listen.https).await?,
            mtls: optional(config.listen.mtls).await?,
            http: optional(config.listen.http).await?,
            metrics: optional(config.listen.metrics).await?,
        })
    }

    /// Where metrics are.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn metrics(&self) -> anyhow::Result<Option<SocketAddr>> {
        Ok(self.metrics.as_ref().map(TcpListener::local_addr).transpose()?)
    }
}

/// Serves until a signal, then drains and closes.
///
/// # Errors
/// Why it could not start.
pub(crate) async fn run(
    app: App,
    listeners: Listeners,
    ready: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let Listeners { https, mtls, http, metrics } = listeners;
    app.store.write(|sql| sql.unsay_unrecorded()).await.context("the store")?;
    let (stop, stopped) = watch::channel(false);
    let lasting = app.lasting(stopped.clone())?;
    let streams = Arc::clone(&lasting.streams);
    let current = Arc::new(Current::new(&app, lasting)?);
    let certificate = app.certificate()?;
    tell_flaws(&app, &certificate);
    let module = tls::check_module(&certificate)?;
    app.in_force.shows(&certificate);
    let runners = app.runners()?;
    let asks_witnesses = app.witness_runner()?;

    let in_force = Arc::clone(&current);
    let handle = move |peer, request| in_force.front().answer(peer, request);
    let connections = Arc::new(Connections::new(connection_limits(&app.config.listen)));
    let mut serving = Vec::new();
    let mut exporting = Vec::new();
    if let Some(listener) = mtls {
        let tls = (tls::server_asking(Arc::clone(&certificate))?, Asks::ForCertificates);
        let (connections, handle) = (Arc::clone(&connections), handle.clone());
        serving.push(tokio::spawn(listen::https(listener, tls, connections, handle, stopped.clone())));
    }
    let tls = (tls::server(Arc::clone(&certificate))?, Asks::ForNothing);
    serving.push(tokio::spawn(listen::https(https, tls, connections, handle, stopped.clone())));
    if let Some(listener) = http {
        tokio::spawn(listen::redirect(listener, app.config.issuer.clone(), stopped.clone()));
    }
    if let Some(listener) = metrics {
        let measured = Measured {
            journal: app.log.journal.clone(),
            indexed: Arc::clone(&app.log.indexed),
            store: Arc::clone(&app.store),
            requests: Arc::clone(&app.requests),
            certificate: Arc::clone(&certificate),
            throttle: Arc::clone(&app.throttle),
            exports: Arc::clone(&app.exports),
            reader: app.log.reading.reader.clone(),
            witnesses: Arc::clone(&app.witnesses),
            watcher: Arc::clone(&app.watcher),
            clock: Arc::clone(&app.clock),
        };
        tokio::spawn(metrics::serve(listener, Arc::new(measured)));
    }
    let commands = socket::bind(&app.config.data_dir).context("the administration socket")?;
    let (end_commands, commands_end) = watch::channel(false);
    let commanded = tokio::spawn(socket::serve(commands, Arc::clone(&app.administrator), commands_end));

    tokio::spawn(Arc::clone(&app.back_channel_logout).run(stopped.clone()));
    tokio::spawn(Arc::clone(&app.notices).run(stopped.clone()));
    tokio::spawn(Arc::clone(&app.approvals).run(stopped.clone()));
    tokio::spawn(Arc::clone(&app.outbox).run(stopped.clone()));

    let policy_set = app.policies.current().revision().to_owned();
    let begins = [("policy_set", policy_set), ("configuration", app.config.digest.clone())];
    record(&app, Event::Started, &begins).await?;
    for runner in runners {
        exporting.push(tokio::spawn(runner.run(stopped.clone())));
    }
    exporting.push(tokio::spawn(asks_witnesses.run(stopped.clone())));
    let watching = app.watcher.start(&stopped).context("the watcher's threads")?;
    tracing::info!(issuer = app.config.issuer, crypto = %module, "serving");
    ready()?;
    until_stopped(&app, &current, &certificate).await?;

    tracing::info!("draining");
    let commands_time = tokio::time::sleep(COMMANDS_TIME);
    let _ = stop.send(true);
    for listener in serving {
        let _ = listener.await;
    }
    if tokio::time::timeout(STREAMS_TIME, streams.all_ended()).await.is_err() {
        tracing::warn!("streams were still open when the time to drain was over");
    }
    // Until here somebody can be shut out who is still being answered; and what a command did is on record.
    let _ = end_commands.send(true);
    let time_is_over = async { tokio::join!(commands_time, tokio::time::sleep(LAST_COMMANDS_TIME)) };
    if !end_within(commanded, time_is_over).await {
        tracing::warn!("commands were still being carried out when the time to drain was over");
    }
    if let Err(error) = app.sessions.flush().await {
        tracing::warn!(%error, "session activity was not written");
    }
    if let Err(error) = app.cut_offs.keep_raised().await {
        tracing::error!(%error, "cut-offs are not in the store as they were in force");
    }
    record(&app, Event::Stopped, &[]).await?;
    for runner in exporting {
        let _ = runner.await;
    }
    let watched =
        tokio::task::spawn_blocking(move || watching.into_iter().for_each(|lane| drop(lane.join())));
    watched.await?;
    tokio::task::spawn_blocking(move || app.close()).await?;
    Ok(())
}

/// What is wrong with our certificate is no ground not to start: who comes by it is refused it by their own programs.
fn tell_flaws(app: &App, certificate: &Certificate) {
    for flaw in certificate.flaws(app.config.bare_host(), app.clock.now()) {
        tracing::warn!(%flaw, "the certificate needs to be replaced");
    }
}

/// Whether a task ends within a time. If not, it is broken off.
async fn end_within<T>(mut task: JoinHandle<()>, time: impl Future<Output = T>) -> bool {
    tokio::select! {
        biased;
        _ = &mut task => return true,
        _ = time => {}
    }
    task.abort();
    let _ = task.await;
    false
}

fn connection_limits(listen: &config::Listen) -> Limits {
    Limits {
        per_address: listen.connections_per_address,
        idle: listen.idle_timeout,
        stall: listen.stall_timeout,
        trusted: listen.trusted_proxies.clone(),
    }
}

/// Looks after what has to be looked after, until a signal says to stop.
async fn until_stopped(app: &App, current: &Current, certificate: &Certificate) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut look = tokio::time::interval(LOOK_EVERY);
    // Two looks at the policies are never closer together, but for those of a SIGHUP.
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut measure = tokio::time::interval(MEASURE_EVERY);
    let mut tidy = tokio::time::interval(TIDY_EVERY);
    let mut forget = tokio::time::interval(FORGET_EVERY);
    let mut ask = tokio::time::interval(ASK_EVERY);
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = next(&mut hangup) => current.reload(app, certificate).await,
            _ = look.tick() => look_at_policies(app, When::Settled).await,
            _ = ask.tick() => current.front().look_at_versions(),
            _ = forget.tick() => forget_failures_of_nobody(app).await,
            _ = measure.tick() => look_at_disk(app, &current.config()).await,
            _ = tidy.tick() => {
                match app.sessions.flush().await {
                    Ok(()) => end_overdue_sessions(app).await,
                    Err(error) => tracing::warn!(%error, "session activity was not written"),
                }
                let (longest, now) = (app.config.sessions.longest().absolute, app.clock.now());
                if let Err::<(), StoreError>(error) = app.store.write(move |sql| sql.tidy(longest, now)).await {
                    tracing::warn!(%error, "what is over was not removed");
                }
                app.throttle.crowded_out.tell();
                untrusted_providers::end_what_they_vouched_for(app, &current.config()).await;
                remove_unused_clients(app, &current.config()).await;
                if let Err(error) = app.cut_offs.forget().await {
                    tracing::warn!(%error, "old cut-offs were not removed");
                }
                if let Err(error) = look_at_keys(app).await {
                    tracing::error!(%error, "keys were not looked after");
                }
            }
        }
    }
}

/// Names that nobody has, which strangers make up, do not stay for ever.
async fn forget_failures_of_nobody(app: &App) {
    let (passwords, now) = (Arc::clone(&app.passwords), app.clock.now());
    let forgotten =
        app.store.write(move |sql| sql.forget_failures_of_nobody(|of| passwords.counters(of), now)).await;
    if let Err::<(), StoreError>(error) = forgotten {
        tracing::warn!(%error, "failures of names that nobody has were not removed");
    }
}

async fn next(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}

/// Notices when the disk is almost full, and tells how many were turned away for it.
async fn look_at_disk(app: &App, config: &Config) {
    let reserve = &app.throttle.reserve;
    let free = reserve::free(&config.audit.dir).unwrap_or_else(|error| {
        tracing::warn!(%error, "how much disk is free cannot be told");
        0
    });
    match reserve.look(free, config.audit.reserve) {
        reserve::Look::Same => {}
        reserve::Look::Touched => {
            tracing::error!(
                free,
                "the disk is almost full: requests that do not show who makes them are turned away"
            );
        }
        reserve::Look::Restored => tracing::info!(free, "there is disk again: everybody is heard"),
    }
    let now = app.clock.now();
    let Some(count) = reserve.to_tell(now) else { return };
    let mut record = Record::new(Event::AccessThrottled, Outcome::Deny, now);
    record.decision.reason = Some("disk-reserve".to_owned());
    record.response.count = Some(count);
    if let Err(error) = app.log.journal.append(&record, ()).await {
        tracing::error!(%error, "audit");
    }
}

async fn look_at_policies(app: &App, when: When) {
    let policies = Arc::clone(&app.policies);
    let look = move || (policies.look(when), policies.look_at_shadow(when));
    let looked = tokio::task::spawn_blocking(look).await;
    let Ok((found, shadow)) = looked else { return };
    look_at_shadow(app, shadow).await;
    match found {
        Look::Same => {}
        Look::Changed(Changed { count, revision }) => {
            tracing::info!(policies = count, "new policies are in force");
            let detail = [("policies", count.to_string()), ("policy_set", revision)];
            tell(app, Event::PolicyReloaded, &detail).await;
        }
        Look::Refused(errors) => {
            for error in &errors {
                tracing::error!(%error, "policies are refused; the old ones stay in force");
            }
            let first = errors.first().map(ToString::to_string).unwrap_or_default();
            tell(app, Event::PolicyRejected, &[("why", first)]).await;
        }
    }
}

/// What came of a look at the policies on trial. Whatever is wrong with them, those in force are in force.
async fn look_at_shadow(app: &App, found: Look) {
    match found {
        Look::Same => {}
        Look::Changed(Changed { count, revision }) => {
            tracing::info!(policies = count, "new policies are on trial; they decide nothing");
            let detail = [("policies", count.to_string()), ("shadow_set", revision)];
            tell(app, Event::PolicyReloaded, &detail).await;
        }
        Look::Refused(errors) => {
            for error in &errors {
                tracing::error!(%error, "policies to be tried out are refused; those in force are untouched");
            }
            let first = errors.first().map(ToString::to_string).unwrap_or_default();
            tell(app, Event::PolicyRejected, &[("shadow", "true".to_owned()), ("why", first)]).await;
        }
    }
}

/// Automatic logoff, for all who do not look at sessions themselves: what is over by itself is ended, so that its
/// applications are told and services that follow cut-offs learn of it. Here nobody was let in by it any more.
async fn end_overdue_sessions(app: &App) {
    let timeouts = app.config.sessions;
    let ended = app.outbox.commit(move |sql, now| {
        // What was used since the last look may not be written yet.
        let before = now.minus(TIDY_EVERY);
        let overdue = sql.overdue_sessions(timeouts, before)?;
        let (mut records, mut cut) = (Vec::new(), Vec::new());
        for session in overdue {
            sql.end_session(&session.id, now)?;
            let mut record = Record::new(Event::SessionEnded, Outcome::Allow, now);
            record.actor = Actor { kind: ActorKind::Local, ..Actor::default() };
            record.action = Some(Event::SessionEnded.as_str().to_owned());
            record.resource = Some(Phi::new(session.id.to_string()));
            record.session = Some(session.id.to_string());
            record.decision.reason = Some("session-over".to_owned());
            record.detail.insert("user".to_owned(), Phi::new(session.subject.to_string()));
            records.push(record);
            cut.push(CutOff::UpTo { target: Target::Session(session.id), not_before: now });
        }
        Ok::<_, ChangeError>(Change::told_by((), records).cutting(cut))
    });
    match ended.await {
        Ok(()) => {}
        Err(ChangeError::Store(error)) => tracing::warn!(%error, "sessions that are over were not ended"),
        Err(ChangeError::Unrecorded(error)) => tracing::error!(%error, "audit"),
    }
}

/// Clients that nobody here asked for go if nobody uses them: which is on record before they do.
async fn remove_unused_clients(app: &App, config: &Config) {
    let now = app.clock.now();
    let created_before = now.minus(config.registration.unused_ttl);
    let outcome: anyhow::Result<()> = async {
        let unused = changes::unused(&app.store, created_before, now).await?;
        for client in &unused {
            let _ = app.log.journal.append(&changes::unused_record(client, app.clock.now()), ()).await?;
        }
        if !unused.is_empty() {
            changes::remove_unused(&app.store, unused, now).await?;
        }
        Ok(())
    }
    .await;
    if let Err(error) = outcome {
        tracing::warn!(%error, "clients that nobody uses were not removed");
    }
}

/// Lets keys take over whose time has come, and forgets those that are over.
async fn look_at_keys(app: &App) -> anyhow::Result<()> {
    app.keys.forget().await?;
    let due = app.keys.due()?;
    if due.is_empty() {
        return Ok(());
    }
    for change in &due {
        let details = [
            ("algorithm", change.purpose.algorithm().to_owned()),
            ("former", change.former.clone()),
            ("next", change.next.clone()),
        ];
        record(app, Event::KeyRotated, &details).await?;
        tracing::info!(algorithm = change.purpose.algorithm(), kid = change.next, "the next key is used");
    }
    Ok(app.keys.rotate(due).await?)
}

/// Puts on record what has happened already: at once, or as soon as the log can be written.
async fn tell(app: &App, event: Event, details: &[(&str, String)]) {
    let record = own_record(app, event, details);
    let kept = record.clone();
    let told = app.outbox.commit(|_, _| Ok::<_, ChangeError>(Change::told_by((), [kept]))).await;
    let told = match told {
        // What the store cannot keep is told nevertheless, if it can be now.
        Err(ChangeError::Store(error)) => {
            tracing::error!(%error, "what is in force is not kept for the log");
            app.log.journal.append(&record, ()).await.map(drop).map_err(ChangeError::from)
        }
        told => told,
    };
    if let Err(error) = told {
        tracing::error!(%error, "audit");
    }
}

/// Puts on record what happens next.
async fn record(app: &App, event: Event, details: &[(&str, String)]) -> anyhow::Result<()> {
    let _ = app.log.journal.append(&own_record(app, event, details), ()).await?;
    Ok(())
}

fn own_record(app: &App, event: Event, details: &[(&str, String)]) -> Record {
    let mut record = Record::new(event, Outcome::Allow, app.clock.now());
    record.actor = Actor { kind: ActorKind::Local, ..Actor::default() };
    record.action = Some(event.as_str().to_owned());
    for (name, value) in details {
        record.detail.insert((*name).to_owned(), Phi::new(value.clone()));
    }
    record
}

#[cfg(test)]
mod tests;
