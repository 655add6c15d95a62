#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::record::{Actor, NOTHING_OF};

const START: i64 = 1_795_700_000;

fn phi(text: &str) -> Phi<String> {
    Phi::new(text.to_owned())
}

fn access(index: u64, seconds: i64, who: &str, patients: &[&str]) -> Entry {
    let mut record = Record::new(Event::Access, Outcome::Allow, Timestamp::from_unix(START + seconds));
    record.actor = Actor { sub: Some(who.to_owned()), roles: vec!["nurse".to_owned()], ..Actor::default() };
    record.route = Some("fhir".to_owned());
    record.patients = patients.iter().map(|patient| phi(patient)).collect();
    Entry { index, record, sealed: None }
}

fn failure(index: u64, seconds: i64, who: Option<&str>, host: u8) -> Entry {
    let mut record = Record::new(Event::LoginFailed, Outcome::Deny, Timestamp::from_unix(START + seconds));
    record.actor.sub = who.map(str::to_owned);
    record.source_ip = Some(Phi::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, host))));
    Entry { index, record, sealed: None }
}

fn hour() -> Duration {
    Duration::from_hours(1)
}

fn listed(patient: &str) -> Option<Listed> {
    Some(Listed { patients: BTreeSet::from([phi(patient)]), again_after: hour() })
}

fn once_an_hour() -> Option<Repeated> {
    Some(Repeated { again_after: hour(), patients_at_most: 3 })
}

/// Sees all of them, and knows what it finds.
fn found(watch: &mut Watch, entries: &[Entry], people: &People, names: &Names) -> Vec<Finding> {
    let mut all = Vec::new();
    for entry in entries {
        for finding in watch.see(entry, people, names) {
            watch.know(&finding);
            all.push(finding);
        }
    }
    all
}

fn of(rules: Rules, entries: &[Entry]) -> Vec<String> {
    let found = found(&mut Watch::new(rules, Lane::Acts), entries, &People::new(), &Names::new());
    found.into_iter().map(|finding| finding.id.to_string()).collect()
}

/// Who is listed later is found in a record that showed somebody else before, under another name.
#[test]
fn what_a_record_shows_once_more_is_known_has_a_name_of_its_own() {
    let entry = [access(7, 0, "dana", &["a", "b", "c"])];
    let (none, nobody) = (People::new(), Names::new());
    let mut names = Vec::new();
    let mut known: Vec<Finding> = Vec::new();
    for listed_now in [&["a"][..], &["a", "b"], &["a", "b"], &["a", "b", "c"]] {
        let patients = listed_now.iter().map(|id| phi(id)).collect();
        let vip = Some(Listed { patients, again_after: hour() });
        let mut watch = Watch::new(Rules { vip, ..Rules::default() }, Lane::Acts);
        known.iter().for_each(|finding| watch.know(finding));
        let new = found(&mut watch, &entry, &none, &nobody);
        names.extend(new.iter().map(|finding| (finding.id.to_string(), finding.patients.clone())));
        known.extend(new);
    }
    let expected = [("vip-0-7", "a"), ("vip-1-7", "b"), ("vip-2-7", "c")]
        .map(|(id, who)| (id.to_owned(), vec![phi(who)]));
    assert_eq!(names, expected);
}

fn bulk(patients: usize) -> Rules {
    let except = BTreeSet::from(["exporter".to_owned()]);
    Rules { bulk_reads: Some(BulkReads { patients, within: hour(), except }), ..Rules::default() }
}

#[test]
fn bulk_reads_are_different_patients_of_one_person_within_the_time() {
    let three = [access(1, 0, "dana", &["a", "b"]), access(2, 3599, "dana", &["c"])];
    assert_eq!(of(bulk(3), &three), ["bulk-read-0-2"]);
    assert!(of(bulk(4), &three).is_empty());
    assert!(of(bulk(3), &[access(1, 0, "dana", &["a", "b"]), access(2, 3600, "dana", &["c"])]).is_empty());
    assert!(of(bulk(3), &[access(1, 0, "dana", &["a", "b"]), access(2, 1, "nils", &["c"])]).is_empty());
    assert!(of(bulk(3), &[access(1, 0, "dana", &["a", "b", "a"]), access(2, 1, "dana", &["b"])]).is_empty());
    assert!(of(bulk(3), &[access(1, 0, "exporter", &["a", "b", "c"])]).is_empty());
    let mut refused = access(1, 0, "dana", &["a", "b", "c"]);
    refused.record.outcome = Outcome::Deny;
    assert!(of(bulk(3), &[refused]).is_empty());
}

#[test]
fn whoever_chooses_among_their_patients_has_read_none_of_them() {
    let rules = || Rules { canary: listed("c"), ..bulk(3) };
    let mut choosing = access(1, 0, "dana", &["a", "b", "c"]);
    choosing.record.decision.reason = Some("patient-picker".to_owned());
    assert!(of(rules(), &[choosing.clone()]).is_empty());
    choosing.record.decision.reason = None;
    assert_eq!(of(rules(), &[choosing]), ["canary-0-1", "bulk-read-0-1"]);
}

#[test]
fn a_finding_stands_for_what_they_do_until_its_time_is_over() {
    let reads = |index, seconds| access(index, seconds, "dana", &["a", "b", "c"]);
    let entries = [reads(1, 0), reads(2, 1800), reads(3, 3599), reads(4, 3600), reads(5, 7199)];
    assert_eq!(of(bulk(3), &entries), ["bulk-read-0-1", "bulk-read-0-4"]);
    let canary = Rules { canary: listed("c"), ..Rules::default() };
    assert_eq!(of(canary.clone(), &entries), ["canary-0-1", "canary-0-4"]);
    let another = [reads(1, 0), access(2, 1, "nils", &["c"])];
    assert_eq!(of(canary, &another), ["canary-0-1", "canary-0-2"]);
}

/// What came of a question of this application: reported, denied or left alone, with why it lapsed; or why it was not put.
fn question(index: u64, seconds: i64, who: &str, client: &str, came: (Event, Option<&str>)) -> Entry {
    let (event, flood) = came;
    let mut record = Record::new(event, Outcome::Deny, Timestamp::from_unix(START + seconds));
    match event {
        Event::ApprovalRequested => record.actor.client_id = Some(client.to_owned()),
        _ => drop(record.detail.insert("client".to_owned(), phi(client))),
    }
    record.resource = Some(phi(&format!("q{index}")));
    record.detail.insert("user".to_owned(), phi(who));
    record.detail.insert("asked".to_owned(), phi("act"));
    match event {
        Event::ApprovalLapsed => record.decision.reason = Some(flood.unwrap_or("unanswered").to_owned()),
        _ => record.detail.extend(flood.map(|flood| ("flood".to_owned(), phi(flood)))),
    }
    Entry { index, record, sealed: None }
}

fn unwanted(unapproved_a_day: usize) -> Rules {
    let rule = UnwantedApprovals { again_after: hour(), unapproved_a_day };
    Rules { unwanted_approvals: Some(rule), ..Rules::default() }
}

#[test]
fn o20_each_report_is_found_and_asking_too_often_once_an_hour_of_each_who_asks_and_is_nobodys_act() {
    let flood = |why| (Event::ApprovalRequested, Some(why));
    let report = (Event::ApprovalReported, None);
    let asked = [
        question(1, 0, "dana", "desk", flood("another-waits")),
        question(2, 1, "dana", "desk", flood("too-many-denied")),
        question(3, 2, "dana", "desk", report),
        question(4, 3, "dana", "desk", report),
        question(5, 4, "nils", "desk", report),
        question(6, 5, "dana", "desk", flood("too-many-denied")),
        question(7, 6, "dana", "portal", flood("too-many-denied")),
        question(8, 3601, "dana", "desk", flood("too-many-unanswered")),
    ];
    let found = found(&mut Watch::new(unwanted(100), Lane::Acts), &asked, &People::new(), &Names::new());
    assert!(found.iter().all(|one| one.user.is_none() && one.client.is_some()));
    let told: Vec<_> = found.iter().map(|one| (one.id.as_str(), one.of.expose().as_str())).collect();
    assert_eq!(
        told,
        [
            ("unwanted-approval-0-2", "questions of desk to dana"),
            ("unwanted-approval-0-3", "the question q3 to dana"),
            ("unwanted-approval-0-4", "the question q4 to dana"),
            ("unwanted-approval-0-5", "the question q5 to nils"),
            ("unwanted-approval-0-7", "questions of portal to dana"),
            ("unwanted-approval-0-8", "questions of desk to dana"),
        ]
    );
    assert_eq!(of(Rules::default(), &asked), Vec::<String>::new());
}

#[test]
fn o20_what_somebody_asks_others_to_approve_is_theirs_whoever_is_asked() {
    let deed = |index, who: &str, came| {
        let mut entry = question(index, 0, who, "desk", came);
        entry.record.detail.insert("asked".to_owned(), phi("deed"));
        entry.record.detail.insert("asker".to_owned(), phi("dana"));
        entry
    };
    let denied = (Event::ApprovalDenied, None);
    let mut unanswered = deed(3, "", (Event::ApprovalLapsed, None));
    unanswered.record.detail.remove("user");
    let mut flood = deed(4, "", (Event::ApprovalRequested, Some("too-many-denied")));
    flood.record.detail.remove("user");
    let reported = [deed(9, "nils", (Event::ApprovalReported, None))];
    let of_report = found(&mut Watch::new(unwanted(3), Lane::Acts), &reported, &People::new(), &Names::new());
    assert_eq!(of_report[0].of.expose(), "the question q9 of dana");
    let all = [deed(1, "nils", denied), deed(2, "pia", denied), unanswered, flood];
    let found = found(&mut Watch::new(unwanted(3), Lane::Acts), &all, &People::new(), &Names::new());
    let told: Vec<_> = found.iter().map(|one| (one.of.expose().as_str(), one.user.as_deref())).collect();
    let of = "what dana asks others to approve";
    assert_eq!(told, [(format!("unapproved {of}").as_str(), Some("dana")), (of, Some("dana"))]);
}

#[test]
fn emergency_access_that_its_person_did_not_open_is_found_each_time_and_counts_as_no_question() {
    let disowned = |index, id: &str| {
        let mut entry = question(index, 0, "dana", "desk", (Event::EmergencyDisowned, None));
        entry.record.detail.insert("emergency".to_owned(), phi(id));
        entry
    };
    let all = [disowned(1, "e1"), disowned(2, "e2")];
    let found = found(&mut Watch::new(unwanted(1), Lane::Acts), &all, &People::new(), &Names::new());
    let told: Vec<_> = found.iter().map(|one| one.of.expose().as_str()).collect();
    assert_eq!(told, ["e1", "e2"].map(|id| format!("the emergency access {id} in the name of dana")));
    assert!(found.iter().all(|one| one.user.is_none()), "whose name it was did nothing");
    assert_eq!(of(Rules::default(), &all).len(), 2, "no rule about questions switches that off");
}

#[test]
fn o20_whoever_asks_all_day_below_the_limits_is_found_once_a_day() {
    let day = 24 * 3600;
    let left = (Event::ApprovalLapsed, None);
    let denied = (Event::ApprovalDenied, None);
    let asked = [
        question(1, 0, "dana", "desk", left),
        question(2, 3600, "dana", "desk", denied),
        question(3, 7200, "dana", "portal", left),
        question(4, 7300, "nils", "desk", left),
        question(5, day - 1, "dana", "desk", left),
        question(6, day, "dana", "desk", left),
        question(7, 2 * day - 2, "dana", "desk", left),
        question(8, 2 * day - 1, "dana", "desk", left),
    ];
    assert_eq!(of(unwanted(3), &asked), ["unwanted-approval-1-5", "unwanted-approval-1-8"]);
    assert_eq!(of(unwanted(3), &[&asked[..2], &asked[5..6]].concat()), Vec::<String>::new(), "a day apart");
    // What dana wanted of these nobody knows.
    let lost = |index, why| question(index, 10, "dana", "desk", (Event::ApprovalLapsed, Some(why)));
    let of_those = [asked[0].clone(), lost(2, "never-put"), lost(3, "answer-lost"), asked[1].clone()];
    assert!(of(unwanted(3), &of_those).is_empty());
    // A report may be the last of many: it is found for itself, too.
    let reported = question(5, 9000, "dana", "desk", (Event::ApprovalReported, None));
    let found = of(unwanted(3), &[asked[0].clone(), asked[1].clone(), reported]);
    assert_eq!(found, ["unwanted-approval-0-5", "unwanted-approval-1-5"]);
    // Sign-ins are counted apart from the application that they are on the way to.
    let sign_in = |index, seconds| {
        let mut entry = question(index, seconds, "dana", "desk", left);
        entry.record.detail.insert("asked".to_owned(), phi("sign-in"));
        entry
    };
    assert!(of(unwanted(3), &[asked[0].clone(), asked[1].clone(), sign_in(5, 9000)]).is_empty());
    assert_eq!(
        of(unwanted(3), &[sign_in(1, 0), sign_in(2, 600), sign_in(5, 9000)]),
        ["unwanted-approval-1-5"]
    );
}

#[test]
fn a_canary_sings_whatever_became_of_it() {
    let rules = || Rules { canary: listed("c"), vip: listed("v"), ..Rules::default() };
    let mut refused = access(1, 0, "dana", &[]);
    (refused.record.outcome, refused.record.resource) = (Outcome::Deny, Some(phi("Patient/c")));
    assert_eq!(of(rules(), &[refused.clone()]), ["canary-0-1"]);
    refused.record.actor = Actor::default();
    assert_eq!(of(rules(), &[refused]), ["canary-0-1"], "by nobody known");
    assert_eq!(of(rules(), &[access(1, 0, "dana", &["c", "v"])]), ["canary-0-1", "vip-0-1"]);
    assert!(of(rules(), &[access(1, 0, "dana", &["other"])]).is_empty());
    let mut own = access(1, 0, "vera", &["v"]);
    (own.record.actor.fhir_user, own.record.actor.roles) =
        (Some(phi("Patient/v")), vec!["patient".to_owned()]);
    assert!(of(rules(), &[own.clone()]).is_empty(), "a patient sees their own record");
    own.record.actor.roles.push("nurse".to_owned());
    assert_eq!(of(rules(), &[own]), ["vip-0-1"], "but not as a nurse");
}

#[test]
fn what_is_given_is_found_though_it_was_refused_before() {
    let rules = || Rules { canary: listed("c"), ..Rules::default() };
    let mut refused = access(1, 0, "dana", &[]);
    (refused.record.outcome, refused.record.resource) = (Outcome::Deny, Some(phi("Patient/c")));
    let again = Entry { index: 2, ..refused.clone() };
    let given = [access(3, 2, "dana", &["c"]), access(4, 3, "dana", &["c"])];
    let [first, second] = given;
    assert_eq!(of(rules(), &[refused, again, first, second]), ["canary-0-1", "canary-0-3"]);
}

#[test]
fn who_was_asked_for_by_name_and_not_found_is_nobodys_reading() {
    let mut padded = access(1, 0, "dana", &["a", "x1", "x2", "x3"]);
    padded.record.detail.insert(NOTHING_OF.to_owned(), phi("x1 x2 x3"));
    assert!(of(bulk(2), &[padded.clone()]).is_empty());
    assert_eq!(padded.record.patients_given().collect::<Vec<_>>(), [&phi("a")]);
    padded.record.detail.insert(NOTHING_OF.to_owned(), phi("a x1 x2 x3"));
    assert!(!is_released(&padded.record));
    padded.record.detail.clear();
    assert_eq!(of(bulk(2), &[padded]), ["bulk-read-0-1"]);
}

#[test]
fn off_hours_are_by_role_and_any_shift_will_do() {
    let shift = |roles: &[&str], from: &str, until: &str| Hours {
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        days: Days::of_work(),
        from: from.parse().unwrap(),
        until: until.parse().unwrap(),
        offset: "UTC".parse().unwrap(),
        again_after: hour(),
    };
    let at = |time: &str| {
        let mut entry = access(1, 0, "nils", &["a"]);
        entry.record.time = time.parse().unwrap();
        entry
    };
    let rules = |off_hours| Rules { off_hours, ..Rules::default() };
    let day = || shift(&["nurse"], "07:00", "19:00");
    assert_eq!(of(rules(vec![day()]), &[at("2026-11-26T06:59:59Z")]), ["off-hours-0-1"]);
    assert!(of(rules(vec![day()]), &[at("2026-11-26T07:00:00Z")]).is_empty());
    let night = shift(&["nurse"], "19:00", "07:00");
    assert!(of(rules(vec![day(), night]), &[at("2026-11-26T06:59:59Z")]).is_empty());
    assert!(of(rules(vec![shift(&["billing"], "07:00", "19:00")]), &[at("2026-11-26T06:00:00Z")]).is_empty());
    assert_eq!(
        of(rules(vec![shift(&[], "07:00", "19:00")]), &[at("2026-11-26T06:00:00Z")]),
        ["off-hours-0-1"]
    );
}

#[test]
fn ones_own_record_is_for_patients_and_not_for_employees() {
    let rules = Rules { self_access: once_an_hour(), ..Rules::default() };
    let known = Known { own_record: Some(phi("n")), ..Known::default() };
    let people = People::from([("nils".to_owned(), known)]);
    let see = |entry: Entry| {
        let found = found(&mut Watch::new(rules.clone(), Lane::Acts), &[entry], &people, &Names::new());
        found.into_iter().map(|finding| finding.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(see(access(1, 0, "nils", &["a", "n"])), ["self-access-0-1"]);
    assert!(see(access(1, 0, "nils", &["a"])).is_empty());
    assert!(see(access(1, 0, "dana", &["n"])).is_empty());
    let mut by_name = access(1, 0, "dana", &["d"]);
    by_name.record.actor.fhir_user = Some(phi("Patient/d"));
    assert_eq!(see(by_name.clone()), ["self-access-0-1"]);
    by_name.record.actor.roles = vec!["patient".to_owned()];
    assert!(see(by_name).is_empty());
}

#[test]
fn the_same_family_name_is_found_where_both_are_known() {
    let rules = Rules { same_surname: once_an_hour(), ..Rules::default() };
    let name = |text: &str| FamilyName::new(text).unwrap();
    let known = Known { family_name: Some(name("Costa")), own_record: Some(phi("n")) };
    let people = People::from([("nils".to_owned(), known)]);
    let names = Names::from([
        (("fhir".to_owned(), phi("a")), vec![name("COSTA")]),
        (("fhir".to_owned(), phi("n")), vec![name("Costa")]),
        (("fhir".to_owned(), phi("b")), vec![name("Demir"), name("Ito")]),
        (("fhir".to_owned(), phi("m")), vec![name("Demir"), name("Díaz-Costa")]),
    ]);
    let see = |entry: &Entry| {
        let found =
            found(&mut Watch::new(rules.clone(), Lane::Names), std::slice::from_ref(entry), &people, &names);
        found.into_iter().flat_map(|finding| finding.patients).map(Phi::into_exposed).collect::<Vec<_>>()
    };
    assert_eq!(see(&access(1, 0, "nils", &["a", "n", "b"])), ["a"], "and not their own");
    assert_eq!(see(&access(1, 0, "nils", &["m"])), ["m"]);
    assert!(see(&access(1, 0, "nils", &["b"])).is_empty());
    assert!(see(&access(1, 0, "dana", &["a"])).is_empty(), "whose name is not known");
    assert!(see(&access(1, 0, "nils", &["a", "b", "n", "m"])).is_empty(), "a list");
    let watch = Watch::new(rules.clone(), Lane::Names);
    let wanted = watch.wants(&access(1, 0, "nils", &["a", "n"]).record, &people);
    assert_eq!(wanted, [("fhir".to_owned(), phi("a"))], "nobody is asked for in vain");
    let acts = Watch::new(rules.clone(), Lane::Acts);
    assert!(acts.wants(&access(1, 0, "nils", &["a"]).record, &people).is_empty(), "acts wait for no names");
}

#[test]
fn failed_sign_ins_count_by_account_by_address_and_spread() {
    let limits =
        FailedSignIns { within: hour(), per_account: 3, per_address: 4, accounts_per_address: 3, in_all: 6 };
    let rules = || Rules { failed_sign_ins: Some(limits), ..Rules::default() };
    let all = |failures: &[(Option<&str>, u8)]| {
        let entries: Vec<Entry> = (0..)
            .zip(failures)
            .map(|(n, (who, host))| failure(n, i64::try_from(n).unwrap(), *who, *host))
            .collect();
        of(rules(), &entries)
    };
    assert_eq!(all(&[(Some("x"), 1), (Some("x"), 2), (Some("x"), 3)]), ["failed-sign-ins-1-2"]);
    assert!(all(&[(Some("x"), 1), (Some("x"), 2)]).is_empty());
    assert_eq!(all(&[(None, 1), (Some("x"), 1), (None, 1), (None, 1)]), ["failed-sign-ins-2-3"]);
    assert!(all(&[(None, 1), (Some("x"), 1), (None, 1), (None, 2)]).is_empty());
    assert_eq!(all(&[(Some("x"), 1), (Some("y"), 1), (Some("z"), 1)]), ["failed-sign-ins-3-2"]);
    assert!(all(&[(Some("x"), 1), (Some("y"), 1), (Some("x"), 1)]).is_empty());
    let spread: Vec<(Option<&str>, u8)> = (1..=6).map(|host| (None, host)).collect();
    assert_eq!(all(&spread), ["failed-sign-ins-0-5"], "from everywhere");
    assert!(all(&spread[..5]).is_empty());
}

#[test]
fn the_addresses_of_one_ipv6_network_are_one() {
    let limits =
        FailedSignIns { within: hour(), per_account: 9, per_address: 3, accounts_per_address: 9, in_all: 9 };
    let from = |addresses: &[&str]| {
        let entries: Vec<Entry> = (0..)
            .zip(addresses)
            .map(|(n, address)| {
                let mut entry = failure(n, i64::try_from(n).unwrap(), None, 1);
                entry.record.source_ip = Some(Phi::new(address.parse().unwrap()));
                entry
            })
            .collect();
        of(Rules { failed_sign_ins: Some(limits), ..Rules::default() }, &entries)
    };
    assert_eq!(from(&["2001:db8::1", "2001:db8::2:1", "2001:db8::3"]), ["failed-sign-ins-2-2"]);
    assert!(from(&["2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1"]).is_empty());
}

#[test]
fn a_finding_is_what_its_record_says() {
    let entry = access(7, 0, "dana", &["a", "b", "c"]);
    let finding =
        found(&mut Watch::new(bulk(3), Lane::Acts), &[entry], &People::new(), &Names::new()).remove(0);
    let record = finding.record(Timestamp::from_unix(START + 9));
    assert_eq!(Finding::of_record(&record), Ok(finding.clone()));
    assert_eq!(finding.records, [7]);
    assert_eq!((finding.user.as_deref(), finding.reached), (Some("dana"), Some(3)));
    for missing in ["finding", "until", "of", "records"] {
        let mut less = record.clone();
        less.detail.remove(missing);
        assert_eq!(Finding::of_record(&less), Err(NotAFinding), "{missing}");
    }
    let shown = format!("{finding:?}");
    assert!(shown.contains("<phi>") && !shown.contains("\"a\""), "{shown}");
    for id in ["bulk-read-0-7", "failed-sign-ins-3-0", "vip-0-12"] {
        assert_eq!(id.parse::<FindingId>().unwrap().as_str(), id);
    }
    for id in ["", "vip", "vip-0-", "vip-10-1", "vip-0-01", "vip-0-+1", "other-0-1", "vip-0-1 "] {
        assert!(id.parse::<FindingId>().is_err(), "{id}");
    }
}

proptest! {
    /// Whoever is stopped anywhere, is shown what it has seen, and goes on, finds what it would have found.
    #[test]
    fn it_goes_on_as_if_it_had_never_stopped(
        acts in prop::collection::vec((0_usize..3, prop::collection::btree_set(0_usize..6, 1..4), 0_i64..2500), 1..60),
        stop in 0_usize..60,
    ) {
        let (who, whom) = (["dana", "nils", "cleo"], ["a", "b", "c", "d", "e", "f"]);
        let rules = || Rules { canary: listed("f"), ..bulk(4) };
        let (none, nobody) = (People::new(), Names::new());
        // The log as it is with what is found, each finding behind the record that showed it.
        let (mut log, mut watch, mut now) = (Vec::<Entry>::new(), Watch::new(rules(), Lane::Acts), 0);
        for (actor, patients, later) in acts {
            now += later;
            let patients: Vec<&str> = patients.into_iter().map(|at| whom[at]).collect();
            let entry = access(u64::try_from(log.len()).unwrap(), now, who[actor], &patients);
            let found = found(&mut watch, std::slice::from_ref(&entry), &none, &nobody);
            log.push(entry);
            for finding in found {
                let index = u64::try_from(log.len()).unwrap();
                log.push(Entry { index, record: finding.record(Timestamp::from_unix(START + now)), sealed: None });
            }
        }
        let stop = stop.min(log.len());
        let looks_back = Watch::new(rules(), Lane::Acts).looks_back();
        let next = log.get(stop).map_or(Timestamp::from_unix(START + now), |entry| entry.record.time);
        let shown: Vec<&Entry> =
            log[..stop].iter().filter(|entry| entry.record.time >= next.minus(looks_back)).collect();
        let acts: Vec<Entry> =
            log[stop..].iter().filter(|entry| entry.record.event == Event::Access).cloned().collect();
        let found_behind = |known: &[Entry]| {
            let mut watch = Watch::new(rules(), Lane::Acts);
            for entry in shown.iter().copied().chain(known.iter().filter(|e| e.record.event == Event::WatchFinding)) {
                let _ = watch.see(entry, &none, &nobody);
            }
            found(&mut watch, &acts, &none, &nobody).into_iter().map(|finding| finding.id).collect::<Vec<_>>()
        };
        // Its place is behind what it has found: it finds the rest, and that alone.
        let told: Vec<FindingId> =
            log[stop..].iter().filter_map(|e| Finding::of_record(&e.record).ok()).map(|f| f.id).collect();
        let by = |id: &FindingId| id.as_str().rsplit('-').next().unwrap().parse::<usize>().unwrap();
        if told.iter().all(|id| by(id) >= stop) {
            prop_assert_eq!(found_behind(&[]), told);
        }
        // Its place is before what it has found and put on record: nothing is found again.
        prop_assert_eq!(found_behind(&log[stop..]), Vec::new());
    }
}
