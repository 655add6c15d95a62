//! SIGHUP: configuration, certificate and policies, each for itself. What is wrong is recorded, and the old stays.
//!
//! The reloadable part of the configuration is what a front door is built from, so a new one is built whole and takes the
//! old one's place for the next request. What is under way ends behind the old one, by the rules that it began under.

use std::sync::{Arc, PoisonError, RwLock};

use chartgate_audit::record::Event;

use super::narrowed_clients::cut_off_what_they_lost;
use super::untrusted_providers::end_what_they_vouched_for;
use super::{look_at_policies, tell, tell_flaws};
use crate::app::{App, Lasting};
use crate::config::Config;
use crate::front_door::FrontDoor;
use crate::live::policies::When;
use crate::net::tls::Certificate;

/// What is in force now.
pub(crate) struct Current {
    lasting: Lasting,
    running: RwLock<Running>,
}

#[derive(Clone)]
struct Running {
    config: Arc<Config>,
    front: Arc<FrontDoor>,
}

impl Current {
    /// What the configuration at the start asks for.
    ///
    /// # Errors
    /// If a route cannot be prepared.
    pub(crate) fn new(app: &App, lasting: Lasting) -> anyhow::Result<Self> {
        let config = Arc::clone(&app.config);
        let front = Arc::new(app.front_door(&config, &lasting)?);
        front.come_into_force(app);
        Ok(Self { lasting, running: RwLock::new(Running { config, front }) })
    }

    /// Where the next request goes.
    pub(crate) fn front(&self) -> Arc<FrontDoor> {
        Arc::clone(&self.running.read().unwrap_or_else(PoisonError::into_inner).front)
    }

    /// The configuration that is in force.
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.running.read().unwrap_or_else(PoisonError::into_inner).config)
    }

    /// Reads everything again.
    pub(crate) async fn reload(&self, app: &App, certificate: &Certificate) {
        let before = self.config();
        match self.configuration(app).await {
            Ok(needs_restart) => {
                for key in &needs_restart {
                    tracing::warn!(key, "the new value needs a restart");
                }
                tracing::info!("the new configuration is in force");
                let digest = self.config().digest.clone();
                let mut details = vec![("what", "configuration".to_owned()), ("configuration", digest)];
                if !needs_restart.is_empty() {
                    details.push(("needs_restart", needs_restart.join(" ")));
                }
                tell(app, Event::ConfigReloaded, &details).await;
                end_what_they_vouched_for(app, &self.config()).await;
                cut_off_what_they_lost(app, &before, &self.config()).await;
            }
            Err(problems) => {
                for problem in &problems {
                    tracing::error!(%problem, "the new configuration is not used; the old one stays");
                }
                let first = problems.into_iter().next().unwrap_or_default();
                tell(app, Event::ConfigRejected, &[("why", first)]).await;
            }
        }
        match certificate.reload(&self.config().tls) {
            Ok(()) => {
                tell_flaws(app, certificate);
                tell(app, Event::ConfigReloaded, &[("what", "certificate".to_owned())]).await;
            }
            Err(error) => {
                tracing::error!(%error, "the new certificate is not used; the old one stays");
                tell(app, Event::ConfigRejected, &[("why", error.to_string())]).await;
            }
        }
        look_at_policies(app, When::AtOnce).await;
    }

    /// Puts what can be had of a new configuration in force; says what needs a restart, or everything that is wrong.
    async fn configuration(&self, app: &App) -> Result<Vec<&'static str>, Vec<String>> {
        let old = self.config();
        let new = Config::load(&old.file)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let succession = old.succeeded_by(new).map_err(|error| vec![error.to_string()])?;
        let config = Arc::new(succession.config);
        let front = app.front_door(&config, &self.lasting).map_err(|error| vec![format!("{error:#}")])?;
        front.follow(&self.front()).await;
        front.come_into_force(app);
        *self.running.write().unwrap_or_else(PoisonError::into_inner) =
            Running { config: Arc::clone(&config), front: Arc::new(front) };
        app.in_force.replace(Arc::clone(&config));
        app.watcher.set_rules(&config.watch);
        app.policies.try_out(config.shadow_dir.as_deref());
        Ok(succession.needs_restart)
    }
}
