//! The log is watched: each rule finds what it should and nothing else, whatever ends between two steps; who is told, and who
//! may say what they make of it. 45 CFR 164.308(a)(1)(ii)(D).

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use chartgate_protocol::jose::{Algorithm, KeySet, jws};
use http::StatusCode;

use crate::browser::{App, Browser, form_of};
use crate::care::configure;
use crate::emergency::telling;
use crate::evidence::{count, lacks, pack};
use crate::fakes::behind;
use crate::fakes::between::{Between, Manner};
use crate::gateway::{Gateway, Person, Scratch};
use crate::outward_syslog::ask_metrics;
use crate::parallel::FIFTY;
use crate::wire::{Answer, Call};

async fn get(gateway: &Gateway, token: &str, path: &str) -> Answer {
    Call::get(path).bearer(token).to(gateway).await
}

fn findings(gateway: &Gateway) -> Vec<Value> {
    let text = gateway.command(&["--output", "json", "watch", "list"]);
    serde_json::from_str(&text).unwrap()
}

fn of<'a>(findings: &'a [Value], rule: &str) -> Vec<&'a Value> {
    findings.iter().filter(|finding| finding["rule"] == rule).collect()
}

fn shown(gateway: &Gateway, finding: &Value) -> Value {
    let id = finding["id"].as_str().unwrap();
    serde_json::from_str(&gateway.command(&["--output", "json", "watch", "show", id])).unwrap()
}

async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        match found() {
            Some(found) => return found,
            None if begun.elapsed() > Duration::from_secs(60) => panic!("it did not come: {what}"),
            None => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// The findings of a rule, once there are so many.
pub(crate) async fn until_found(gateway: &Gateway, rule: &str, count: usize) -> Vec<Value> {
    until(rule, || {
        let all = findings(gateway);
        let own: Vec<Value> = of(&all, rule).into_iter().cloned().collect();
        (own.len() >= count).then_some(own)
    })
    .await
}

/// Waits until both lanes have seen all that was done before.
async fn until_seen(gateway: &Gateway) {
    let before = gateway.audit(&["--limit", "1"])[0]["index"].as_u64().unwrap();
    until("all is seen", || {
        // Everything but what this question itself puts on record.
        let metrics = metrics(gateway);
        let next = |lane: &str| metric(&metrics, &format!("chartgate_watch_next_record{{lane=\"{lane}\"}}"));
        (next("acts") > before && next("names") > before).then_some(())
    })
    .await;
}

fn metrics(gateway: &Gateway) -> String {
    let address = gateway.ready["metrics"].as_str().unwrap().strip_prefix("http://").unwrap();
    ask_metrics(address, "/metrics")
}

fn metric(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
    line.trim().parse().unwrap()
}

#[tokio::test]
async fn a_canary_sings_at_once_whether_it_was_shown_or_refused() {
    let gateway = Gateway::demo("watch-canary", &[]);
    let canary = gateway.patients().last().copied().unwrap().to_owned();
    let person = gateway.person("physician", &[]);
    let token = App::public("openid user/*.rs").tokens(&gateway, &person).await.access;
    let other = gateway.patients()[0];
    assert_eq!(get(&gateway, &token, &format!("/fhir/Patient/{other}")).await.status, 404);
    until_seen(&gateway).await;
    assert!(of(&findings(&gateway), "canary").is_empty());
    assert_eq!(get(&gateway, &token, &format!("/fhir/Patient/{canary}")).await.status, 404);
    let found = until_found(&gateway, "canary", 1).await;
    assert_eq!(
        (found.len(), &found[0]["user"], &found[0]["state"]),
        (1, &json!(person.name), &json!("open"))
    );
    let whole = shown(&gateway, &found[0]);
    assert_eq!((&whole["patients"], &whole["outcome"]), (&json!([canary]), &json!("deny")));
    // The record that it names is the one that shows it.
    let index = whole["records"][0].as_u64().unwrap();
    let record = gateway.audit(&["--user", &person.name]).into_iter().find(|r| r["index"] == index).unwrap();
    assert_eq!(record["resource"], format!("Patient/{canary}"));
    // It is on record, and nobody's is told in the clear.
    let on_record = gateway.audit(&["--event", "watch.finding"]);
    assert_eq!(on_record.len(), 1);
    assert_eq!(on_record[0]["detail"]["finding"], found[0]["id"]);
    let output = gateway.output();
    assert!(output.contains("somebody should look at this") && !output.contains(&canary), "{output}");
    assert!(!metrics(&gateway).contains(&canary));
}

/// When a minute's wait does no harm: those whose hours are over two hours from now do not work now.
fn hours_without_now() -> String {
    let seconds = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let hour = |later: u64| (seconds / 3600).saturating_add(later) % 24;
    let days = r#"days=["mon","tue","wed","thu","fri","sat","sun"], time_zone="UTC""#;
    format!(
        r#"CHARTGATE_WATCH__OFF_HOURS=[{{roles=["nurse"], from="{:02}:00", until="{:02}:00", {days}}}, {{roles=["physician"], from="00:00", until="00:00", {days}}}]"#,
        hour(2),
        hour(3)
    )
}

#[tokio::test]
async fn each_rule_finds_what_it_should_and_nothing_that_is_less() {
    let hours = hours_without_now();
    let before = [
        "env",
        "CHARTGATE_WATCH__BULK_READS__PATIENTS=3",
        "CHARTGATE_WATCH__FAILED_SIGN_INS__PER_ACCOUNT=3",
        &hours,
    ];
    let gateway = &Gateway::demo_in(Scratch::new("watch-rules"), &[], &before);
    let app = App::public("openid user/*.rs");
    let panel = gateway.panel("dana");
    let (first, second, third) = (panel[0], panel[1], panel[2]);
    let read = async |token: &str, patients: &[&str]| {
        for patient in patients {
            assert_eq!(
                get(gateway, token, &format!("/fhir/Patient/{patient}")).await.status,
                200,
                "{patient}"
            );
        }
    };
    let (reader, nurse, own) = (
        gateway.person("physician", &[first, second, third]),
        gateway.person("nurse", &[first]),
        gateway.person("physician", &[first, second]),
    );
    gateway.command(&["user", "know", &own.name, "--own-record", second]);
    let token = app.tokens(gateway, &reader).await.access;
    let others = app.tokens(gateway, &own).await.access;
    let cleo = app.tokens(gateway, &gateway.demo_person("cleo")).await.access;
    let pat = App::public("openid launch/patient patient/*.rs");
    let pats = pat.tokens(gateway, &gateway.demo_person("pat")).await.access;
    let wrong = |password: &str| Person { name: reader.name.clone(), password: password.to_owned() };

    // All but the last step of each.
    read(&token, &[first, second, first]).await;
    read(&others, &[first]).await;
    read(&cleo, &["pt-1019"]).await;
    read(&pats, &[gateway.panel("pat")[0]]).await;
    for password in ["quiet-otter-climbs-none", "quiet-otter-climbs-never"] {
        Browser::default().sign_in(gateway, &wrong(password)).await;
    }
    until_seen(gateway).await;
    assert_eq!(findings(gateway), Vec::<Value>::new());
    let asked = gateway.audit(&["--event", "watch.names"]);
    assert_eq!(asked.len(), 1, "of the one person whose name is known, once for each patient: {asked:#?}");
    assert_eq!((&asked[0]["patients"], &asked[0]["route"]), (&json!(["pt-1019"]), &json!("fhir")));

    // The last steps.
    read(&token, &[third]).await;
    read(&others, &[second]).await;
    read(&cleo, &["pt-1021", "pt-1020"]).await;
    let nurses = app.tokens(gateway, &nurse).await.access;
    read(&nurses, &[first]).await;
    Browser::default().sign_in(gateway, &wrong("quiet-otter-climbs-once")).await;
    // Whoever reads three patients, reads three patients.
    let expected = [
        ("bulk-read", vec![("user", json!(reader.name)), ("patients", json!([first, second, third]))]),
        ("self-access", vec![("user", json!(own.name)), ("patients", json!([second]))]),
        ("same-surname", vec![("user", json!("cleo")), ("patients", json!(["pt-1021"]))]),
        ("vip", vec![("user", json!("cleo")), ("patients", json!(["pt-1020"]))]),
        ("off-hours", vec![("user", json!(nurse.name)), ("patients", json!([]))]),
        ("failed-sign-ins", vec![("user", json!(reader.name)), ("reached", json!(3))]),
    ];
    for (rule, members) in expected {
        let found = until_found(gateway, rule, 1).await;
        let found: Vec<Value> = found.iter().map(|finding| shown(gateway, finding)).collect();
        let is_it = |finding: &&Value| {
            members.iter().all(|(name, value)| match (&finding[*name], value) {
                (Value::Array(own), Value::Array(all)) => {
                    own.len() == all.len() && all.iter().all(|one| own.contains(one))
                }
                (own, value) => own == value,
            })
        };
        assert_eq!(found.iter().filter(is_it).count(), 1, "{rule}: {found:#?}");
        assert!(found.len() == 1 || rule == "bulk-read", "{rule}: {found:#?}");
    }
    // What is known of people is sealed in the store, as findings are.
    let store = std::fs::read(gateway.folder().join("data/chartgate.db")).unwrap();
    let wal = std::fs::read(gateway.folder().join("data/chartgate.db-wal")).unwrap_or_default();
    for text in ["Marchetti", "own_record"] {
        let is_there = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!is_there(&store) && !is_there(&wal), "{text}");
    }
}

#[tokio::test]
async fn killed_at_any_moment_no_finding_is_lost_and_none_is_there_twice() {
    let mut gateway = Gateway::demo("watch-kills", &[]);
    let canary = gateway.patients().last().copied().unwrap().to_owned();
    let app = App::public("openid user/*.rs");
    let mut curious = Vec::new();
    for round in 0..6_u64 {
        let person = gateway.person("physician", &[]);
        let token = app.tokens(&gateway, &person).await.access;
        assert_eq!(get(&gateway, &token, &format!("/fhir/Patient/{canary}")).await.status, 404);
        curious.push(person.name);
        // Before the checkpoint, between it and the finding, and behind that.
        tokio::time::sleep(Duration::from_millis(round.saturating_mul(450))).await;
        gateway.kill_and_restart();
    }
    let once = |gateway: &Gateway, found: &[Value]| {
        for name in &curious {
            let rows = found.iter().filter(|finding| finding["user"] == name.as_str()).count();
            assert_eq!(rows, 1, "{name}: {found:#?}");
        }
        let on_record = gateway.audit(&["--event", "watch.finding"]);
        assert_eq!(on_record.len(), curious.len(), "{on_record:#?}");
    };
    let found = until_found(&gateway, "canary", curious.len()).await;
    until_seen(&gateway).await;
    once(&gateway, &found);

    // As it is where the machine stops between the record and the queue: the store has neither finding nor place.
    gateway.kill();
    let store = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    assert_eq!(store.execute("DELETE FROM watch_findings", []).unwrap(), curious.len());
    let back = "UPDATE audit_exports SET next = 1 WHERE name LIKE 'watch:%'";
    assert_eq!(store.execute(back, []).unwrap(), 2);
    drop(store);
    gateway.start();
    let found = until_found(&gateway, "canary", curious.len()).await;
    until_seen(&gateway).await;
    once(&gateway, &found);

    // A place that is of another log is said to be, and watching goes on.
    gateway.kill();
    let store = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    store.execute("UPDATE audit_exports SET root = 'x' WHERE name LIKE 'watch:%'", []).unwrap();
    drop(store);
    gateway.start();
    let person = gateway.person("physician", &[]);
    until("it begins anew", || {
        let begun = gateway.audit(&["--event", "watch.begin", "--outcome", "error"]);
        begun.first().map(|record| assert_eq!(record["decision"]["reason"], "cursor-of-another-history"))
    })
    .await;
    let token = app.tokens(&gateway, &person).await.access;
    assert_eq!(get(&gateway, &token, &format!("/fhir/Patient/{canary}")).await.status, 404);
    until_found(&gateway, "canary", curious.len().saturating_add(1)).await;
}

#[tokio::test]
async fn officers_are_told_and_say_what_they_make_of_it_and_nobody_of_their_own() {
    let (gateway, server, mail) = telling("watch-queue").await;
    server.seen.lock().unwrap().logout_answers.push_back(StatusCode::SERVICE_UNAVAILABLE);
    let gateway = &gateway;
    let canary = gateway.patients().last().copied().unwrap().to_owned();
    let (dana, pia) = (gateway.demo_person("dana"), gateway.demo_person("pia"));
    let app = App::public("openid user/*.rs");
    let token = app.tokens(gateway, &dana).await.access;
    assert_eq!(get(gateway, &token, &format!("/fhir/Patient/{canary}")).await.status, 404);
    let found = until_found(gateway, "canary", 1).await;
    let id = found[0]["id"].as_str().unwrap().to_owned();

    // Told: how many of what, and where; whose and about whom, not. What fails comes again.
    let told =
        until("told", || Some(server.seen.lock().unwrap().logouts.clone()).filter(|told| told.len() >= 2))
            .await;
    let keys = KeySet::parse(Call::get("/jwks").to(gateway).await.text().as_bytes()).unwrap();
    for (_, token) in &told {
        let token = jws::Unverified::parse(token, &Algorithm::ALL, 1 << 14).unwrap();
        let verified = token.verify_with(&keys, jws::ExpectedType::Exactly("secevent+jwt")).unwrap();
        let claims: Value = serde_json::from_slice(verified.payload()).unwrap();
        let event = &claims["events"]["urn:chartgate:event:findings"];
        let link = format!("{}/watch/findings", gateway.issuer);
        assert_eq!(event, &json!({ "findings": { "canary": 1 }, "link": link }));
        assert!(!claims.to_string().contains("dana"), "{claims}");
    }
    let letter =
        until("mail", || std::fs::read_to_string(&mail).ok().filter(|text| text.contains("/watch/findings")))
            .await;
    assert!(letter.contains("Subject: 1 new finding\n") && letter.contains("canary: 1"), "{letter}");
    assert!(!letter.contains(&canary) && !letter.contains("dana"), "{letter}");
    until("on record", || {
        let told = gateway.audit(&["--event", "watch.tell", "--outcome", "allow"]);
        (told.len() == 2 && told.iter().all(|told| told["detail"]["findings"] == id.as_str())).then_some(())
    })
    .await;
    assert_eq!(gateway.audit(&["--event", "watch.tell", "--outcome", "error"]).len(), 1);
    let told = pack(gateway, "told");
    assert!(lacks(&told, "C14", "Attempts to tell privacy officers of findings that failed: 1."), "{told}");
    assert_eq!(count(&told, "C14", "Times privacy officers were told of findings"), 2);

    // Neither who is no officer, nor whose act it was, by whatever name.
    let path = format!("/watch/finding?id={id}");
    let mut danas = Browser::default();
    danas.sign_in(gateway, &dana).await;
    for page in ["/watch/findings", &path] {
        assert_eq!(danas.get(gateway, page).await.status, 403, "{page}");
    }
    gateway.command(&["user", "roles", "dana", "--role", "physician", "--role", "privacy-officer"]);
    let page = danas.follow(gateway, &path).await;
    assert!(
        page.text().contains("did themselves") && !page.text().contains("name=\"note\""),
        "{}",
        page.text()
    );
    let close = |by: &str, disposition: &str| {
        let words = ["watch", "close", &id, "--reviewer", by, "--disposition", disposition, "--note", "seen"];
        gateway.try_command(&words)
    };
    let file = gateway.scratch().write("danas-other-name", "quiet-otter-climbs-twice");
    let own = gateway.user("dana")["fhir_user"].as_str().unwrap();
    let words = ["user", "add", "dana-the-officer", "--role", "privacy-officer", "--fhir-user", own];
    gateway.command(&[&words[..], &["--password-file", file.to_str().unwrap()]].concat());
    for (by, disposition, why) in [
        ("nils", "mistake", "only somebody with the role"),
        ("dana", "appropriate", "did themselves"),
        ("dana-the-officer", "appropriate", "did themselves"),
        ("pia", "fine", "invalid value"),
    ] {
        let refused = close(by, disposition);
        assert!(!refused.success && refused.err.contains(why), "{by}: {refused:?}");
    }

    // An officer does, from the link on; once.
    let mut officer = Browser::default();
    let page = officer.follow(gateway, "/watch/findings").await;
    let list = officer.submit(gateway, &page, &[("username", &pia.name), ("password", &pia.password)]).await;
    assert!(
        list.text().contains("A canary record: dana") && !list.text().contains(&canary),
        "{}",
        list.text()
    );
    let page = officer.follow(gateway, &path).await;
    for told in [canary.as_str(), "dana", "demo-app", &format!("read Patient/{canary}"), "(refused)"] {
        assert!(page.text().contains(told), "{told}: {}", page.text());
    }
    let said = [("disposition", "violation"), ("note", "she knew her")];
    let (action, _) = form_of(&page);
    let forged = Call::form(&action, &[&[("id", id.as_str())][..], &said].concat());
    assert_eq!(officer.send(gateway, forged).await.status, 400, "O31");
    assert_eq!(danas.submit_only(gateway, &page, &said).await.status, 400, "O31");
    for less in [&said[..1], &said[1..]] {
        let page = officer.submit(gateway, &page, less).await;
        assert!(page.text().contains("Choose what you make of it"), "{}", page.text());
    }
    // Of many at once, in two windows or by two officers, one is who closes it, and nobody else is on record as that.
    let answers = officer.submit_at_once(gateway, &page, &said).await;
    let closed = answers.iter().filter(|answer| answer.status == 303).count();
    assert_eq!(closed, 1, "{answers:?}");
    assert!(answers.iter().all(|answer| matches!(answer.status, 303 | 403 | 409)), "{answers:?}");
    let list = officer.follow(gateway, "/watch/findings").await;
    assert!(
        list.text().contains("Nothing is open.") && list.text().contains("A violation."),
        "{}",
        list.text()
    );
    assert_eq!(officer.submit_only(gateway, &page, &said).await.status, 403);
    let whole = shown(gateway, &found[0]);
    assert_eq!((&whole["state"], &whole["note"]), (&json!("violation"), &json!("she knew her")));
    assert_eq!(whole["closed_by"], "pia");
    let closed = gateway.audit(&["--event", "watch.close"]);
    let allowed: Vec<&Value> = closed.iter().filter(|record| record["outcome"] == "allow").collect();
    assert_eq!((allowed.len(), closed.len()), (1, FIFTY + 1));
    assert_eq!(allowed[0]["detail"]["disposition"], "violation");
    for refused in closed.iter().filter(|record| record["outcome"] == "deny") {
        assert_eq!(refused["decision"]["reason"], "closed-already", "{refused}");
    }
    let read = gateway.audit(&["--event", "watch.read", "--patient", &canary]);
    assert!(read.iter().any(|record| record["actor"]["sub"] == "pia"), "{read:#?}");

    // The review of activity has it, with what became of it.
    let report: Value =
        serde_json::from_str(&gateway.command(&["audit", "report", "activity", "--format", "json"])).unwrap();
    let facts = report["facts"].to_string();
    assert!(facts.contains("1, of which 0 are open"), "{facts}");
    assert!(report.to_string().contains("violation"));
}

#[tokio::test]
async fn rules_of_today_are_applied_to_what_was_done_before_on_demand() {
    let gateway = Gateway::demo("watch-run", &[]);
    let patient = gateway.panel("dana")[0].to_owned();
    let token = App::public("openid user/*.rs").tokens(&gateway, &gateway.demo_person("dana")).await.access;
    for _ in 0..3 {
        assert_eq!(get(&gateway, &token, &format!("/fhir/Patient/{patient}")).await.status, 200);
    }
    until_seen(&gateway).await;
    std::fs::write(gateway.folder().join("secrets/watched-canary"), format!("{patient} # of today\n"))
        .unwrap();
    gateway.hang_up();
    until("the new rules", || {
        let begun = gateway.audit(&["--event", "watch.begin"]);
        (begun.len() >= 2).then_some(())
    })
    .await;
    assert_eq!(findings(&gateway), Vec::<Value>::new(), "history is not read again by itself");
    let since = gateway.audit(&[])[0]["time"].as_str().unwrap().to_owned();
    let run = |since: &str| {
        let text = gateway.command(&["--output", "json", "watch", "run", "--since", since]);
        serde_json::from_str::<Value>(&text).unwrap()["findings"].as_u64().unwrap()
    };
    assert_eq!(run("2100-01-01T00:00:00Z"), 0);
    let at_once: u64 = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..3).map(|_| scope.spawn(|| run(&since))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).sum()
    });
    assert_eq!(at_once, 1, "three reads within the time of one finding, for which three look at once");
    assert_eq!(run(&since), 0, "once");
    assert_eq!(until_found(&gateway, "canary", 1).await.len(), 1);
    // What goes on belongs to it.
    assert_eq!(get(&gateway, &token, &format!("/fhir/Patient/{patient}")).await.status, 200);
    until_seen(&gateway).await;
    assert_eq!(findings(&gateway).len(), 1);
    assert_eq!(gateway.audit(&["--event", "watch.finding"]).len(), 1);
}

#[tokio::test]
async fn while_the_fhir_server_tells_no_names_that_rule_waits_and_no_other_does() {
    let gateway = &Gateway::demo("watch-names", &[]);
    let real = behind::port(gateway);
    let between = Between::start(real, "pt-1001").await;
    between.behave(Manner::Nameless);
    configure(gateway, |config| {
        config.replace(&format!("http://127.0.0.1:{real}"), &format!("http://127.0.0.1:{}", between.port))
    })
    .await;
    let token = App::public("openid user/*.rs").tokens(gateway, &gateway.demo_person("cleo")).await.access;
    for patient in ["pt-1021", "pt-1020"] {
        assert_eq!(get(gateway, &token, &format!("/fhir/Patient/{patient}")).await.status, 200);
    }
    assert_eq!(until_found(gateway, "vip", 1).await.len(), 1);
    until("it is told", || {
        (metric(&metrics(gateway), "chartgate_watch_stuck{lane=\"names\"}") == 1).then_some(())
    })
    .await;
    let metrics = metrics(gateway);
    assert_eq!(metric(&metrics, "chartgate_watch_stuck{lane=\"acts\"}"), 0);
    assert!(metric(&metrics, "chartgate_watch_lag_records{lane=\"names\"}") > 0, "{metrics}");
    let stuck = "Watching (`names`) does not get on";
    let told = pack(gateway, "stuck");
    assert!(lacks(&told, "C14", stuck) && !lacks(&told, "C14", "(`acts`)"), "{told}");
    assert_eq!(of(&findings(gateway), "same-surname").len(), 0);
    between.behave(Manner::Honest);
    let found = until_found(gateway, "same-surname", 1).await;
    assert_eq!(shown(gateway, &found[0])["patients"], json!(["pt-1021"]));
    assert!(!lacks(&pack(gateway, "gets on"), "C14", stuck));
}
