//! Technical safeguards. 45 CFR 164.312, with what was proposed for it in 2025, but for those of signing in.

use std::time::Duration;

use chartgate_audit::record::Event;
use chartgate_values::Timestamp;

use super::{Known, span};
use crate::admin::in_force::{ExportInForce, Log, MasterKey, Person};
use crate::cli::evidence::Safeguard;
use crate::cli::evidence::seen::{ADMINISTRATOR, Kind, Telling};
use crate::cli::print;
use crate::witnesses::{WitnessInForce, WitnessStanding};

/// A certificate that is over before then has to be seen to.
const SOON: Duration = Duration::from_hours(30 * 24);
/// How long a record may wait until a witness has cosigned it.
const COSIGNED_WITHIN: Duration = Duration::from_hours(1);
/// What `chartgate audit exports` calls an export that nobody has to look at.
const WELL: &str = "well";

pub(super) fn access_control(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, tests, .. } = known;
    let mut tell = Safeguard::new("C01", "164.312(a)(1)", "standard", "Access control");
    let policies = &settings.policies;
    tell.force(format!(
        "{} policies decide, of revision {}; what none of them permits is refused.",
        policies.ids.len(),
        policies.revision
    ));
    for route in &settings.routes {
        tell.force(format!("{} stands behind the gateway at {}, as {}.", route.name, route.path, route.kind));
    }
    tell.show("Accesses allowed", &seen.allowed);
    tell.show("Accesses refused", &seen.refused);
    tell.count("Refused, by reason", &seen.refusals);
    match tests {
        None => tell
            .miss("The policies in the folder, or their tests, cannot be read: no test was run.".to_owned()),
        Some(tests) => {
            tell.force(format!("{} tests of the policies pass, {} fail.", tests.passed, tests.failed));
            tell.miss_if(tests.failed > 0, format!("{} tests of the policies fail.", tests.failed));
            tell.miss_if(tests.passed == 0, "The policies have no tests.".to_owned());
            tell.miss_if(
                tests.revision != policies.revision,
                format!("The policies in the folder ({}) are not those in force.", tests.revision),
            );
        }
    }
    for route in &settings.routes {
        for rule in &route.rules_of_two {
            tell.force(format!("{}: {rule}.", route.name));
        }
        for rule in &route.open_rules {
            tell.miss(format!(
                "{}: {rule} is open to every good token: the rule names no scope and no role.",
                route.name
            ));
        }
    }
    tell
}

pub(super) fn unique_people(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, .. } = known;
    let mut tell = Safeguard::new("C02", "164.312(a)(2)(i)", "required", "Unique user identification");
    let enabled = settings.people.iter().filter(|person| person.is_enabled).count();
    tell.force(format!(
        "People who may sign in: {enabled}; who may not: {}; each under a name that nobody else has or gets.",
        settings.people.len().saturating_sub(enabled)
    ));
    tell.force(format!(
        "Programs that are registered: {}, each under a name of its own.",
        settings.programs.len()
    ));
    let secrets = settings.programs.iter().filter(|one| has_secret(&one.shows_itself_by)).count();
    tell.miss_if(
        secrets > 0,
        format!(
            "Programs that show who they are by a secret that they share with the gateway, not by a key of their own: {secrets}."
        ),
    );
    let itself = settings.programs.iter().filter(|one| one.is_self_registered).count();
    tell.miss_if(
        itself > 0,
        format!("Programs that registered themselves, at which nobody here looked: {itself}."),
    );
    tell.miss("That two people share one account is not looked for.".to_owned());
    tell.show("Sign-ins", seen.done(Event::LoginSucceeded));
    tell
}

fn has_secret(method: &serde_json::Value) -> bool {
    method.as_str().is_some_and(|method| method.starts_with("client_secret"))
}

pub(super) fn administrators(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, .. } = known;
    let mut tell =
        Safeguard::new("C03", "proposed 164.312 (2025)", "proposed", "Administrators apart from patients");
    let is_one =
        |person: &&Person| person.is_enabled && person.roles.iter().any(|role| role == ADMINISTRATOR);
    let all: Vec<&Person> = settings.people.iter().filter(is_one).collect();
    tell.force(format!("Who administers the gateway: {}.", names(&all)));
    for person in all.iter().filter(|person| person.roles.len() > 1) {
        tell.miss(format!(
            "{} administers and has other roles too: {}.",
            person.name,
            person.roles.join(", ")
        ));
    }
    tell.miss_if(
        seen.by_administrators.count > 0,
        format!(
            "{} accesses by people who administer the gateway were allowed.",
            seen.by_administrators.count
        ),
    );
    tell.show("Accesses by people who administer", &seen.by_administrators);
    tell
}

fn names(people: &[&Person]) -> String {
    match people {
        [] => "nobody".to_owned(),
        people => people.iter().map(|person| person.name.as_str()).collect::<Vec<_>>().join(", "),
    }
}

pub(super) fn emergency_access(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, now, .. } = known;
    let emergency = &settings.emergency;
    let mut tell = Safeguard::new("C04", "164.312(a)(2)(ii)", "required", "Emergency access");
    tell.force(format!(
        "A use opens one patient's record, to read, for {}; a further patient's is refused with {} patients' unreviewed, or one unreviewed for {}.",
        span(emergency.duration),
        emergency.unreviewed,
        span(emergency.review_within)
    ));
    tell_officers(&mut tell, ("uses", &emergency.ways), &seen.told_of_uses);
    let overdue = emergency
        .waiting_since
        .is_some_and(|since| since.plus(Duration::from_secs(emergency.review_within)) < *now);
    tell.force("Whoever has a phone here is told of each use in their name, and by “It was not me” ends it and its session.".to_owned());
    tell.force(format!("{} uses wait for their review.", emergency.waiting));
    tell.miss_if(
        overdue,
        format!("A use has waited for its review for more than {}.", span(emergency.review_within)),
    );
    tell.miss("What is done while the gateway itself is down is yours to write down and to try.".to_owned());
    tell.show("Uses", seen.done(Event::EmergencyGranted));
    tell.show("Reviews", seen.done(Event::EmergencyReviewed));
    tell.show("Acknowledged on a phone", seen.done(Event::EmergencyAcknowledged));
    tell.show("“It was not me”", seen.done(Event::EmergencyDisowned));
    tell
}

/// Whether privacy officers are told of something: how they are to be, and what came of it.
pub(super) fn tell_officers(tell: &mut Safeguard, (what, ways): (&str, &[String]), telling: &Telling) {
    match ways {
        [] => tell.miss(format!(
            "Privacy officers are told of {what} by nothing but a list: no webhook and no mail."
        )),
        ways => {
            tell.force(format!(
                "Privacy officers are to be told of {what} at once, by {}.",
                ways.join(" and ")
            ));
        }
    }
    tell.show(&format!("Times privacy officers were told of {what}"), &telling.done);
    tell.show(&format!("Times they could not be told of {what}"), &telling.failed);
    let failed = telling.failed.count;
    tell.miss_if(failed > 0, format!("Attempts to tell privacy officers of {what} that failed: {failed}."));
}

pub(super) fn segmentation(known: &Known<'_>) -> Safeguard {
    let mut tell =
        Safeguard::new("C07", "proposed 164.312 (2025)", "proposed", "The gateway is the only way");
    for route in &known.settings.routes {
        match &route.credential {
            Some(credential) => tell.force(format!("{} knows the gateway by {credential}.", route.name)),
            None => tell.miss(format!(
                "{} ({}) gets nothing by which it knows the gateway: whoever reaches it goes past.",
                route.name, route.upstream
            )),
        }
    }
    tell.miss("Whether an upstream can be reached past the gateway is not tried from here.".to_owned());
    tell
}

pub(super) fn encryption_at_rest(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, .. } = known;
    let mut tell = Safeguard::new("C09", "164.312(a)(2)(iv)", "addressable", "Encryption at rest");
    tell.force("What the log says of patients, private keys and what people declared are sealed by AES-256-GCM under the master key.".to_owned());
    tell.force(format!("What computes is {}.", settings.crypto_module));
    match settings.master_key {
        MasterKey::BesideTheData => tell
            .miss("The master key lies in the data folder: whoever takes the folder takes both.".to_owned()),
        MasterKey::InAFile => tell.force("The master key is in a file outside the data folder.".to_owned()),
        MasterKey::InTheEnvironment => tell.force("The master key comes from the environment.".to_owned()),
        MasterKey::FromAProgram => {
            tell.force("The master key comes from a key service's program.".to_owned())
        }
    }
    tell.force(format!(
        "Keys that sign tokens ({}) change after {}.",
        settings.tokens.algorithms.join(", "),
        span(settings.tokens.key_rotation)
    ));
    tell.miss("The upstream's and the disk's own encryption are yours.".to_owned());
    tell.show("Changes of keys", seen.done(Event::KeyRotated));
    tell
}

pub(super) fn audit_controls(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, now, .. } = known;
    let log = &settings.log;
    let mut tell = Safeguard::new("C10", "164.312(b)", "required", "Audit controls");
    tell.force(format!("{} records are durable.", log.records));
    match log.is_synced {
        true => tell.force("A record is on the disk before its answer leaves.".to_owned()),
        false => tell.miss(
            "`audit.durability` is `os`: a power cut can lose records of answers that have left.".to_owned(),
        ),
    }
    tell_witnesses(&mut tell, log, *now);
    for export in &log.exports {
        tell_export(&mut tell, export);
    }
    tell.miss_if(log.exports.is_empty(), "The log goes on to no other tool and no other place.".to_owned());
    for (event, what) in [
        (Event::WitnessContradicted, "times a witness remembered another log"),
        (Event::ExportSkipped, "times records were skipped for an export"),
        (Event::ExportBehind, "times an export fell behind"),
    ] {
        let seen = seen.of(event).count;
        tell.miss_if(seen > 0, format!("{seen} {what}."));
    }
    tell.show("Records of this time", &Kind { count: seen.records, newest: Vec::new() });
    tell.show("Readings of the log", seen.of(Event::AuditRead));
    tell.show("Starts after a crash", seen.of(Event::Recovered));
    tell
}

/// Who is to cosign the log, and who does.
fn tell_witnesses(tell: &mut Safeguard, log: &Log, now: Timestamp) {
    if log.witnesses.is_empty() {
        tell.miss(
            "No witness keeps checkpoints: that the whole log is put back to how it stood, with the store, nobody notices."
                .to_owned(),
        );
        return;
    }
    let names: Vec<&str> = log.witnesses.iter().map(|witness| witness.name.as_str()).collect();
    tell.force(format!("{} of these witnesses are to cosign: {}.", log.quorum, names.join(", ")));
    for WitnessInForce { name, standing, cosigned, cosigned_at, waiting_since } in &log.witnesses {
        match cosigned_at {
            Some(at) => tell.force(format!("{name} cosigned {cosigned} records last, {at}.")),
            None => tell.miss(format!("{name} has cosigned nothing that is known here.")),
        }
        match standing {
            WitnessStanding::Well => {}
            WitnessStanding::Away(code) => tell.miss(format!("{name} does not cosign now ({code}).")),
            WitnessStanding::Contradicts(code) => {
                tell.miss(format!("{name} remembers another log than this ({code})."));
            }
        }
        if let Some(since) = waiting_since.filter(|since| since.plus(COSIGNED_WITHIN) < now) {
            tell.miss(format!("{name} has not cosigned what was recorded since {since}."));
        }
    }
}

/// Where the log is to go on to, and whether it gets there.
fn tell_export(tell: &mut Safeguard, export: &ExportInForce) {
    let ExportInForce { name, kind, lock, told } = export;
    let lock = lock.as_ref().map(|lock| format!(", its objects locked ({lock})")).unwrap_or_default();
    let of = |key: &str| told.get(key).filter(|value| !value.is_null()).map(print::plain);
    let standing = of("standing").unwrap_or_else(|| "not known".to_owned());
    let held_up = of("held_up");
    if standing == WELL && held_up.is_none() {
        tell.force(format!("The log goes on to {name} ({kind}{lock})."));
        return;
    }
    let lag = of("lag_records").unwrap_or_else(|| "an unknown number of".to_owned());
    let failure = of("failure").map(|failure| format!(", {failure}")).unwrap_or_default();
    let held_up = held_up.map(|index| format!(", record {index} is not taken")).unwrap_or_default();
    tell.miss(format!(
        "The log is to go on to {name} ({kind}{lock}), which has not had {lag} records of it: {standing}{held_up}{failure}."
    ));
}

pub(super) fn integrity(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, .. } = known;
    let mut tell = Safeguard::new("C11", "164.312(c)(1), (c)(2)", "standard", "Integrity");
    for route in &settings.routes {
        match (route.kind.starts_with("FHIR"), route.writing_operations.as_slice()) {
            (true, []) => tell.force(format!(
                "A write to {} replaces only the version that it was decided on.",
                route.name
            )),
            (true, operations) => tell.miss(format!(
                "{} lists operations that write ({}), which cannot be told which version they replace.",
                route.name,
                operations.join(", ")
            )),
            (false, _) => tell.miss(format!("What is written to {} is its own to keep apart.", route.name)),
        }
    }
    tell.show("Accesses on record with a digest of what was given", &seen.with_digest);
    tell.show("Writes that were decided on before they were sent", seen.of(Event::AccessIntent));
    tell.miss("Whether a record was changed past the gateway is not looked at.".to_owned());
    tell
}

pub(super) fn transmission(known: &Known<'_>) -> Safeguard {
    let Known { settings, now, .. } = known;
    let listen = &settings.listen;
    let mut tell = Safeguard::new("C13", "164.312(e)(1), (e)(2)", "standard", "Transmission security");
    tell.force(format!("TLS 1.2 and 1.3 alone, at {}.", listen.https));
    if let Some(mtls) = &listen.mtls {
        tell.force(format!("At {mtls} programs show certificates."));
    }
    if let Some(redirects) = &listen.redirects {
        tell.force(format!("Plain HTTP at {redirects} is answered by redirects alone."));
    }
    match listen.certificate_ends {
        Some(ends) if ends <= *now => tell.miss(format!("The certificate has been over since {ends}.")),
        Some(ends) if ends <= now.plus(SOON) => tell.miss(format!("The certificate is over soon: {ends}.")),
        Some(ends) => tell.force(format!("The certificate is good until {ends}.")),
        None => tell.miss("Until when the certificate is good cannot be read.".to_owned()),
    }
    for route in &settings.routes {
        match route.is_encrypted {
            true => tell.force(format!("{} is reached over TLS ({}).", route.name, route.upstream)),
            false => tell
                .force(format!("{} is on this very machine ({}), without TLS.", route.name, route.upstream)),
        }
    }
    tell
}
