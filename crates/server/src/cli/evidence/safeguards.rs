//! Safeguard by safeguard: what is in force, what shows it, what is missing. 45 CFR 164 subparts C and E.
//!
//! Every sentence is made from the running gateway's settings, from its store or from the log; what this software does not do
//! at all is said where it belongs.

use std::time::Duration;

use chartgate_audit::record::Event;
use chartgate_values::Timestamp;

use super::seen::{ADMINISTRATOR, Kind, Seen};
use super::{Safeguard, TestRun};
use crate::admin::in_force::{MasterKey, Person, RouteInForce, Settings};

/// What is known.
pub(super) struct Known<'a> {
    pub(super) settings: &'a Settings,
    pub(super) seen: &'a Seen,
    pub(super) now: Timestamp,
    /// The end of the time that the log was looked at for.
    pub(super) end: Timestamp,
    /// What came of the policies' own tests; none if they cannot be read.
    pub(super) tests: Option<&'a TestRun>,
}

/// All of them.
pub(super) fn all(known: &Known<'_>) -> Vec<Safeguard> {
    [
        access_control,
        unique_people,
        administrators,
        emergency_access,
        automatic_logoff,
        sign_in_attempts,
        segmentation,
        encryption_at_rest,
        audit_controls,
        integrity,
        authentication,
        transmission,
        activity_review,
        termination,
        authorization,
        incidents,
        contingency,
        evaluation,
        disposal,
        six_years,
        minimum_necessary,
        disclosures,
        restrictions,
    ]
    .iter()
    .map(|tell| tell(known))
    .collect()
}

const HOUR: u64 = 3600;
/// As the configuration has it: 365 days and a quarter.
const YEAR: u64 = 8766 * HOUR;
const SOON: Duration = Duration::from_hours(30 * 24);
const REVIEWED_WITHIN: Duration = Duration::from_hours(7 * 24);

fn access_control(known: &Known<'_>) -> Safeguard {
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
        for rule in &route.open_rules {
            tell.miss(format!(
                "{}: {rule} is open to every good token: the rule names no scope and no role.",
                route.name
            ));
        }
    }
    tell
}

fn unique_people(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, .. } = known;
    let mut tell = Safeguard::new("C02", "164.312(a)(2)(i)", "required", "Unique user identification");
    let enabled = settings.people.iter().filter(|person| person.is_enabled).count();
    tell.force(format!(
        "{enabled} people may sign in and {} may not, each under a name that nobody else has or gets.",
        settings.people.len().saturating_sub(enabled)
    ));
    tell.force(format!("{} programs are registered, each under a name of its own.", settings.programs.len()));
    let secrets = settings.programs.iter().filter(|one| has_secret(&one.shows_itself_by)).count();
    tell.miss_if(
        secrets > 0,
        format!(
            "{secrets} programs show who they are by a secret that they share with the gateway, not by a key of their own."
        ),
    );
    let itself = settings.programs.iter().filter(|one| one.is_self_registered).count();
    tell.miss_if(itself > 0, format!("{itself} programs registered themselves; nobody here looked at them."));
    tell.miss("That two people share one account is not looked for.".to_owned());
    tell.show("Sign-ins", seen.of(Event::LoginSucceeded));
    tell
}

fn has_secret(method: &serde_json::Value) -> bool {
    method.as_str().is_some_and(|method| method.starts_with("client_secret"))
}

fn administrators(known: &Known<'_>) -> Safeguard {
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

fn emergency_access(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, now, .. } = known;
    let emergency = &settings.emergency;
    let mut tell = Safeguard::new("C04", "164.312(a)(2)(ii)", "required", "Emergency access");
    tell.force(format!(
        "A use opens one patient's record, to read, for {}; a further patient's is refused with {} patients' unreviewed, or one unreviewed for {}.",
        span(emergency.duration),
        emergency.unreviewed,
        span(emergency.review_within)
    ));
    match emergency.ways.as_slice() {
        [] => {
            tell.miss("Privacy officers are told by nothing but a list: no webhook and no mail.".to_owned())
        }
        ways => tell.force(format!("Privacy officers are told at once, by {}.", ways.join(" and "))),
    }
    let overdue = emergency
        .waiting_since
        .is_some_and(|since| since.plus(Duration::from_secs(emergency.review_within)) < *now);
    tell.force(format!("{} uses wait for their review.", emergency.waiting));
    tell.miss_if(
        overdue,
        format!("A use has waited for its review for more than {}.", span(emergency.review_within)),
    );
    tell.miss("What is done while the gateway itself is down is yours to write down and to try.".to_owned());
    tell.show("Uses", seen.of(Event::EmergencyGranted));
    tell.show("Reviews", seen.of(Event::EmergencyReviewed));
    tell
}

fn automatic_logoff(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, .. } = known;
    let mut tell = Safeguard::new("C05", "164.312(a)(2)(iii)", "addressable", "Automatic logoff");
    let (sessions, tokens) = (&settings.sessions, &settings.tokens);
    tell.force(format!(
        "A session ends after {} without use, and {} after it began, with its tokens and open streams.",
        span(sessions.idle),
        span(sessions.absolute)
    ));
    tell.force(format!("An access token is good for {}.", span(tokens.access)));
    tell.miss_if(
        sessions.idle > HOUR,
        format!("Sessions may be idle for {}, longer than an hour (NIST SP 800-63B-4).", span(sessions.idle)),
    );
    tell.miss_if(
        sessions.absolute > 24 * HOUR,
        format!("Sessions may last {}, longer than a day (NIST SP 800-63B-4).", span(sessions.absolute)),
    );
    tell.show("Sessions that ended", seen.of(Event::SessionEnded));
    tell.count("Ended, by reason", &seen.ends);
    tell.show("Sign-outs", seen.of(Event::Logout));
    tell
}

fn sign_in_attempts(known: &Known<'_>) -> Safeguard {
    let Known { seen, .. } = known;
    let mut tell =
        Safeguard::new("C06", "164.308(a)(5)(ii)(C), (D)", "addressable", "Failed sign-ins, passwords");
    tell.force(format!(
        "After {} failed tries the pause before the next one doubles; after {} no waiting helps.",
        chartgate_access::login::throttle::FREE,
        chartgate_access::login::throttle::LIMIT
    ));
    tell.show("Failed sign-ins", seen.of(Event::LoginFailed));
    tell.count("Failed, by reason", &seen.failures);
    tell.show("Passwords set", seen.of(Event::PasswordSet));
    tell
}

fn segmentation(known: &Known<'_>) -> Safeguard {
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

fn encryption_at_rest(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, .. } = known;
    let mut tell = Safeguard::new("C09", "164.312(a)(2)(iv)", "addressable", "Encryption at rest");
    tell.force("What the log says of patients, private keys and what people declared are sealed by AES-256-GCM under the master key.".to_owned());
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
    tell.show("Changes of keys", seen.of(Event::KeyRotated));
    tell
}

fn audit_controls(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, .. } = known;
    let log = &settings.log;
    let mut tell = Safeguard::new("C10", "164.312(b)", "required", "Audit controls");
    tell.force(format!("{} records are durable.", log.records));
    match log.is_synced {
        true => tell.force("A record is on the disk before its answer leaves.".to_owned()),
        false => tell.miss(
            "`audit.durability` is `os`: a power cut can lose records of answers that have left.".to_owned(),
        ),
    }
    match log.witnesses.as_slice() {
        [] => tell.miss(
            "No witness keeps checkpoints: that the whole log is put back to how it stood, with the store, nobody notices."
                .to_owned(),
        ),
        names => tell.force(format!("{} of these witnesses cosign: {}.", log.quorum, names.join(", "))),
    }
    for export in &log.exports {
        let lock =
            export.lock.as_ref().map(|lock| format!(", its objects locked ({lock})")).unwrap_or_default();
        tell.force(format!("The log goes on to {} ({}{lock}).", export.name, export.kind));
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

fn integrity(known: &Known<'_>) -> Safeguard {
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

fn authentication(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, .. } = known;
    let mut tell = Safeguard::new("C12", "164.312(d)", "required", "Person or entity authentication");
    let all: u64 = seen.sign_ins.values().map(|kind| kind.count).fold(0, u64::saturating_add);
    let one: u64 = seen
        .sign_ins
        .iter()
        .filter(|(methods, _)| !methods.contains(" + "))
        .map(|(_, kind)| kind.count)
        .fold(0, u64::saturating_add);
    for (methods, kind) in &seen.sign_ins {
        let methods = if methods.is_empty() { "nothing on record" } else { methods };
        tell.show(&format!("Sign-ins by {methods}"), kind);
    }
    tell.miss_if(one > 0, format!("{one} of {all} sign-ins were by one factor alone."));
    for route in &settings.routes {
        let RouteInForce { name, sign_in_max_age, acr_values, .. } = route;
        if let Some(age) = sign_in_max_age {
            tell.force(format!("{name} wants people who signed in within {}.", span(*age)));
        }
        if !acr_values.is_empty() {
            tell.force(format!("{name} wants a sign-in by {}.", acr_values.join(" or ")));
        }
    }
    for issuer in &settings.trusted_issuers {
        tell.force(format!("Tokens of {issuer} are believed: how its people sign in is set there."));
    }
    tell.miss_if(
        settings.approvals_by_command_line,
        "Approvals can be answered at the command line (`approvals.command_line`): whoever has the machine answers for others.".to_owned(),
    );
    tell
}

fn transmission(known: &Known<'_>) -> Safeguard {
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

fn activity_review(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, now, end, .. } = known;
    let watch = &settings.watch;
    let mut tell = Safeguard::new("C14", "164.308(a)(1)(ii)(D)", "required", "Activity review");
    tell.show("Reports made from the log", &seen.reviews);
    let last = seen.reviews.newest.last().map(|entry| entry.record.time);
    match last {
        None => tell.miss("No report was made from the log in this time.".to_owned()),
        Some(last) if last.plus(REVIEWED_WITHIN) < *end => {
            tell.miss(format!(
                "The last report of this time was made more than a week before its end: {last}."
            ));
        }
        Some(last) => tell.force(format!("The last report was made {last}.")),
    }
    match watch.rules.as_slice() {
        [] => tell.miss("Nothing is watched for (`[watch]`).".to_owned()),
        rules => tell.force(format!("Watched for: {}.", rules.join(", "))),
    }
    tell.force(format!("{} findings wait for somebody to close them.", watch.open));
    tell.miss_if(
        watch.open_since.is_some_and(|since| since.plus(REVIEWED_WITHIN) < *now),
        "A finding has waited for more than a week.".to_owned(),
    );
    tell.show("Findings", seen.of(Event::WatchFinding));
    tell.show("Findings closed", seen.of(Event::WatchClosed));
    tell
}

fn termination(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, .. } = known;
    let mut tell = Safeguard::new("C15", "164.308(a)(3)(ii)(C)", "addressable", "Termination of access");
    let gone = settings.people.iter().filter(|person| !person.is_enabled).count();
    tell.force(format!("{gone} people are shut out; the request after that is refused already."));
    tell.show("People shut out", seen.of(Event::UserDisabled));
    tell.show("Sessions ended", seen.of(Event::SessionEnded));
    tell.show("Tokens revoked", seen.of(Event::TokenRevoked));
    tell.show("Programs removed", seen.of(Event::ClientRemoved));
    tell.miss("Nothing tells the gateway that somebody has left: it has to be told.".to_owned());
    tell
}

fn authorization(known: &Known<'_>) -> Safeguard {
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
    tell.show("People added", seen.of(Event::UserAdded));
    tell.show("Changes of roles and accounts", seen.of(Event::UserChanged));
    tell.show("Changes of who cares for whom", seen.of(Event::CareChanged));
    tell.show("Programs registered", seen.of(Event::ClientAdded));
    tell.miss("Grants are not put before somebody at intervals, and none ends by itself.".to_owned());
    tell
}

fn incidents(known: &Known<'_>) -> Safeguard {
    let Known { seen, .. } = known;
    let mut tell = Safeguard::new("C18", "164.308(a)(6)(ii)", "required", "Response to incidents");
    tell.show("Refresh tokens used twice", seen.of(Event::TokenReuse));
    tell.show("Keys given up", seen.of(Event::KeyCompromised));
    tell.show("Witnesses that remember another log", seen.of(Event::WitnessContradicted));
    tell.miss("What has to be done about an incident, and by when, is yours to write down.".to_owned());
    tell
}

fn contingency(known: &Known<'_>) -> Safeguard {
    let Known { seen, .. } = known;
    let mut tell = Safeguard::new("C19", "164.308(a)(7)(ii)(A)-(E)", "required", "Contingency");
    tell.show("Starts", seen.of(Event::Started));
    tell.show("Starts after a crash, with what was recovered", seen.of(Event::Recovered));
    tell.miss(
        "The gateway makes no backups by itself, and no drill of restoring one is on record.".to_owned(),
    );
    tell
}

fn evaluation(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, .. } = known;
    let mut tell = Safeguard::new("C21", "164.308(a)(8)", "required", "Evaluation after changes");
    tell.force(format!("Version {} runs.", settings.version));
    if let Some(revision) = &settings.policies.on_trial {
        tell.force(format!(
            "Policies of revision {revision} are on trial: what they would decide is recorded."
        ));
    }
    tell.show("Changes of policies", seen.of(Event::PolicyReloaded));
    tell.show("Changes of policies that were refused", seen.of(Event::PolicyRejected));
    tell.show("Changes of the configuration", seen.of(Event::ConfigReloaded));
    tell.show("Changes of the configuration that were refused", seen.of(Event::ConfigRejected));
    tell
}

fn disposal(known: &Known<'_>) -> Safeguard {
    let mut tell = Safeguard::new("C22", "164.310(d)(2)(i)", "required", "Disposal");
    tell.show("Months whose key was destroyed", known.seen.of(Event::DataKeyShredded));
    tell.miss("Media are yours.".to_owned());
    tell
}

fn six_years(known: &Known<'_>) -> Safeguard {
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
    tell.show("Legal holds placed", seen.of(Event::HoldPlaced));
    tell.show("Legal holds released", seen.of(Event::HoldReleased));
    tell
}

fn minimum_necessary(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, .. } = known;
    let mut tell = Safeguard::new("C24", "164.502(b), 164.514(d)", "standard", "Minimum necessary");
    tell.show("Accesses of which some part was kept", &seen.masked);
    tell.show("Searches of which some records were withheld", &seen.withheld);
    for route in settings.routes.iter().filter(|route| route.kind.starts_with("FHIR") && !route.labels_minors)
    {
        tell.miss(format!("{} does not label records of minors (`minors`).", route.name));
    }
    tell.miss("What roles were granted and never used is not set side by side.".to_owned());
    tell
}

fn disclosures(known: &Known<'_>) -> Safeguard {
    let Known { seen, .. } = known;
    let mut tell = Safeguard::new("C25", "164.528", "required", "Accounting of disclosures");
    tell.count("Accesses, by purpose", &seen.purposes);
    tell.show("Accesses whose purpose is not known", &seen.without_purpose);
    tell.miss_if(
        seen.without_purpose.count > 0,
        format!("Of {} accesses nobody knows for what they were.", seen.without_purpose.count),
    );
    tell
}

fn restrictions(known: &Known<'_>) -> Safeguard {
    let Known { settings, .. } = known;
    let mut tell = Safeguard::new("C26", "164.522(a)", "required", "Restrictions that a patient asked for");
    for route in settings.routes.iter().filter(|route| route.kind.starts_with("FHIR")) {
        match route.heeds_consents {
            true => tell.force(format!("{} keeps to what patients have forbidden by Consents.", route.name)),
            false => {
                tell.miss(format!("{} does not look at Consents (`consent = \"enforce\"`).", route.name))
            }
        }
    }
    tell
}

/// A span of time as people say it.
fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str); 5] =
        [(YEAR, "year"), (24 * HOUR, "day"), (HOUR, "hour"), (60, "minute"), (1, "second")];
    let whole = |(length, _): &&(u64, &str)| seconds >= *length && seconds.is_multiple_of(*length);
    let (length, unit) = UNITS.iter().find(whole).copied().unwrap_or((1, "second"));
    let count = seconds.checked_div(length).unwrap_or_default();
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_its_largest_whole_unit() {
        let told = [0, 1, 60, 90, 3600, 5400, 86_400, 6 * YEAR].map(span);
        let expected =
            ["0 seconds", "1 second", "1 minute", "90 seconds", "1 hour", "90 minutes", "1 day", "6 years"];
        assert_eq!(told, expected);
    }
}
