//! What a new configuration takes from clients that registered themselves, or whose document it admits no more, the tokens that
//! they have lose at once. What they are given for their grants is less from then on by itself.

use chartgate_access::token::revocation::{CutOff, Target};

use crate::app::App;
use crate::config::Config;
use crate::registration::in_force::ClientsInForce;
use crate::store::StoreError;

/// Cuts off the access tokens of clients of whom the new configuration leaves less than the old one, or something else.
pub(super) async fn cut_off_what_they_lost(app: &App, before: &Config, after: &Config) {
    if before.registration == after.registration {
        return;
    }
    if let Err(error) = cut_off(app, before, after).await {
        tracing::error!(%error, "tokens of clients that may have less now were not cut off");
    }
}

async fn cut_off(app: &App, before: &Config, after: &Config) -> Result<(), StoreError> {
    let by = |config: &Config| ClientsInForce {
        registration: config.registration.clone(),
        store: app.store.clone(),
        clock: app.clock.clone(),
    };
    let changed = by(after).changed_since(&by(before))?;
    let cut = app.cut_offs.cut(move |_, now| {
        let up_to = |id| CutOff::UpTo { target: Target::Client(id), not_before: now };
        Ok(((), changed.into_iter().map(up_to).collect()))
    });
    cut.await
}
