//! Administrative and physical safeguards, and their documentation. 45 CFR 164.308, 164.310, 164.316.

use std::time::Duration;

use chartgate_audit::record::{Event, Record};
use chartgate_values::Timestamp;

use super::technical::tell_officers;
use super::{Known, YEAR, span};
use crate::admin::in_force::LaneInForce;
use crate::cli::evidence::Safeguard;

/// How old the last backup may be.
const BACKED_UP_WITHIN: Duration = Duration::from_hours(24);
/// And the last that was tried out.
const DRILLED_WITHIN: Duration = Duration::from_hours(92 * 24);
/// How long a report or a finding may wait for somebody.
const REVIEWED_WITHIN: Duration = Duration::from_hours(7 * 24);

/// How long a record may wait until watching looks at it: where a machine is busy by day, it catches up by night.
const WATCHED_WITHIN: Duration = Duration::from_hours(24);

pub(super) fn activity_review(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, now, end, .. } = known;
    let watch = &settings.watch;
    let mut tell = Safeguard::new("C14", "164.308(a)(1)(ii)(D)", "required", "Activity review");
    tell.show("Reports of activity made from the log", &seen.reviews);
    let last = seen.reviews.newest.last().map(|entry| entry.record.time);
    match last {
        None => tell.miss("No report of activity was made from the log in this time.".to_owned()),
        Some(last) if last.plus(REVIEWED_WITHIN) < *end => {
            tell.miss(format!(
                "The last report of activity of this time was made more than a week before its end: {last}."
            ));
        }
        Some(last) => tell.force(format!("The last report of activity was made {last}.")),
    }
    match watch.rules.as_slice() {
        [] => tell.miss("Nothing is watched for (`[watch]`).".to_owned()),
        rules => {
            tell.force(format!("Watched for: {}.", rules.join(", ")));
            tell_lanes(&mut tell, &watch.lanes, *now);
        }
    }
    tell.force(format!("{} findings wait for somebody to close them.", watch.open));
    tell.miss_if(
        watch.open_since.is_some_and(|since| since.plus(REVIEWED_WITHIN) < *now),
        "A finding has waited for more than a week.".to_owned(),
    );
    tell.show("Findings", seen.of(Event::WatchFinding));
    tell.show("Findings closed", seen.done(Event::WatchClosed));
    tell_officers(&mut tell, ("findings", &settings.emergency.ways), &seen.told_of_findings);
    tell
}

/// Whether watching gets on.
fn tell_lanes(tell: &mut Safeguard, lanes: &[LaneInForce], now: Timestamp) {
    for LaneInForce { name, is_stuck, waiting_since } in lanes {
        tell.miss_if(*is_stuck, format!("Watching (`{name}`) does not get on."));
        if let Some(since) = waiting_since.filter(|since| since.plus(WATCHED_WITHIN) < now) {
            tell.miss(format!("Watching (`{name}`) has not looked at what was recorded since {since}."));
        }
    }
}

pub(super) fn termination(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, .. } = known;
    let mut tell = Safeguard::new("C15", "164.308(a)(3)(ii)(C)", "addressable", "Termination of access");
    let gone = settings.people.iter().filter(|person| !person.is_enabled).count();
    tell.force(format!("{gone} people are shut out; the request after that is refused already."));
    tell.show("People shut out", seen.done(Event::UserDisabled));
    tell.show("Sessions ended", seen.done(Event::SessionEnded));
    tell.show("Tokens revoked", seen.done(Event::TokenRevoked));
    tell.show("Programs removed", seen.done(Event::ClientRemoved));
    tell.miss("Nothing tells the gateway that somebody has left: it has to be told.".to_owned());
    tell
}

pub(super) fn authorization(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, .. } = known;
    let mut tell =
        Safeguard::new("C16", "164.308(a)(4)(ii)(B), (C)", "addressable", "Authorization of access");
    for route in settings.routes.iter().filter(|route| !route.care_from.is_empty()) {
        tell.force(format!(
            "On {} it is known who cares for whom from {}.",
            route.name,
            route.care_from.join(", ")
        ));
    }
    tell.miss_if(
        settings.registration_by_anybody,
        "Anybody may register a program (`registration.dynamic`).".to_owned(),
    );
    tell.show("People added", seen.done(Event::UserAdded));
    tell.show("Changes of roles and accounts", seen.done(Event::UserChanged));
    tell.show("Changes of who cares for whom", seen.done(Event::CareChanged));
    tell.show("Programs registered", seen.done(Event::ClientAdded));
    tell.miss("Grants are not put before somebody at intervals, and none ends by itself.".to_owned());
    tell
}

pub(super) fn incidents(known: &Known<'_>) -> Safeguard {
    let Known { seen, .. } = known;
    let mut tell = Safeguard::new("C18", "164.308(a)(6)(ii)", "required", "Response to incidents");
    tell.show("Refresh tokens used twice", seen.of(Event::TokenReuse));
    tell.show("Keys given up", seen.of(Event::KeyCompromised));
    tell.show("Witnesses that remember another log", seen.of(Event::WitnessContradicted));
    tell.miss("What has to be done about an incident, and by when, is yours to write down.".to_owned());
    tell
}

pub(super) fn contingency(known: &Known<'_>) -> Safeguard {
    let Known { seen, end, .. } = known;
    let mut tell = Safeguard::new("C19", "164.308(a)(7)(ii)(A)-(E)", "required", "Contingency");
    tell.show("Starts", seen.of(Event::Started));
    tell.show("Starts after a crash, with what was recovered", seen.of(Event::Recovered));
    match seen.backups.newest.last().map(|entry| &entry.record) {
        None => tell.miss("No backup was made in this time (`chartgate backup`).".to_owned()),
        Some(last) => {
            let size = particular(last, "size");
            tell.force(format!("The last backup was made {}, with {size} records of the log.", last.time));
            tell.miss_if(
                last.time.plus(BACKED_UP_WITHIN) < *end,
                "The last backup was made more than a day before the end of this time.".to_owned(),
            );
        }
    }
    match seen.drills.newest.last().map(|entry| &entry.record) {
        None => tell.miss("No backup was tried out in this time (`chartgate backup drill`).".to_owned()),
        Some(last) => {
            tell.force(format!(
                "The last backup was tried out {}: restored in {} ms; {} records were made after it, and would have been lost.",
                last.time,
                particular(last, "milliseconds"),
                particular(last, "after")
            ));
            tell.miss_if(
                last.time.plus(DRILLED_WITHIN) < *end,
                "The last drill was more than 92 days before the end of this time.".to_owned(),
            );
        }
    }
    tell.show("Backups made", &seen.backups);
    tell.show("Backups tried out", &seen.drills);
    tell.show("Backups and drills that failed", &seen.without_backup);
    tell.show("Starts from a backup", seen.done(Event::BackupRestored));
    tell.miss(
        "When backups are made, where they are kept, and where the master key is kept apart from them, is yours to \
         see to."
            .to_owned(),
    );
    tell
}

/// A particular of an administrative act.
fn particular<'a>(record: &'a Record, name: &str) -> &'a str {
    record.detail.get(name).map_or("an unknown number of", |value| value.expose())
}

pub(super) fn evaluation(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, .. } = known;
    let mut tell = Safeguard::new("C21", "164.308(a)(8)", "required", "Evaluation after changes");
    tell.force(format!("Version {} runs.", settings.version));
    if let Some(revision) = &settings.policies.on_trial {
        tell.force(format!(
            "Policies of revision {revision} are on trial: what they would decide is recorded."
        ));
    }
    tell.show("Starts, whose records say with which policies and configuration", seen.of(Event::Started));
    tell.show("Changes of policies", seen.done(Event::PolicyReloaded));
    tell.show("Changes of policies that were refused", seen.of(Event::PolicyRejected));
    tell.show("Changes of the configuration", seen.done(Event::ConfigReloaded));
    tell.show("Changes of the configuration that were refused", seen.of(Event::ConfigRejected));
    tell
}

pub(super) fn disposal(known: &Known<'_>) -> Safeguard {
    let mut tell = Safeguard::new("C22", "164.310(d)(2)(i)", "required", "Disposal");
    tell.show("Months whose key was destroyed", known.seen.done(Event::DataKeyShredded));
    tell.show(
        "Times that one was not, for a hold, an export or a restore",
        known.seen.not_done(Event::DataKeyShredded),
    );
    tell.miss("Media are yours.".to_owned());
    tell
}

pub(super) fn six_years(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, .. } = known;
    let log = &settings.log;
    let mut tell = Safeguard::new("C23", "164.316(b)(2)(i)", "required", "Six years of documentation");
    tell.force(format!(
        "What the log says of patients is kept for {}; {} legal holds are in force.",
        span(log.retention),
        log.holds
    ));
    tell.miss_if(
        log.retention < 6 * YEAR,
        format!("`audit.retention` is {}, shorter than six years.", span(log.retention)),
    );
    tell.show("Legal holds placed", seen.done(Event::HoldPlaced));
    tell.show("Legal holds released", seen.done(Event::HoldReleased));
    tell
}
