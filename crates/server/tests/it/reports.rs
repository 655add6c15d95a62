//! Reports of the log, as a privacy officer makes them: each line is a record that its proof proves.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chartgate_audit::note::VerifierKey;
use chartgate_audit::proof::TlogProof;
use serde_json::Value;

use crate::browser::{App, USER_SCOPE};
use crate::gateway::Gateway;
use crate::wire::Call;

fn report(gateway: &Gateway, words: &[&str]) -> Value {
    let text = gateway.command(&[&["audit", "report"], words, &["--format", "json"]].concat());
    serde_json::from_str(&text).unwrap()
}

/// Holds each line against its proof, and returns the lines of a section, each with its record's number.
fn proven(gateway: &Gateway, report: &Value, heading: &str) -> Vec<(u64, Vec<String>)> {
    let path = format!("{}/log.vkey", gateway.ready["audit_dir"].as_str().unwrap());
    let key = std::fs::read_to_string(path).unwrap();
    let key: VerifierKey = key.trim().parse().unwrap();
    let sections = report["sections"].as_array().unwrap();
    let section = sections.iter().find(|own| own["heading"] == heading).unwrap_or_else(|| panic!("{report}"));
    let line = |row: &Value| {
        let index = row["record"].as_u64().unwrap();
        let proof = TlogProof::parse(row["proof"].as_str().unwrap().as_bytes(), &key).unwrap();
        assert_eq!(proof.index(), index);
        let entry = STANDARD.decode(row["entry"].as_str().unwrap()).unwrap();
        proof.verify(&entry).unwrap();
        assert!(proof.verify(&entry[1..]).is_err(), "another entry is not proven");
        assert!(report["checkpoint"] == proof.checkpoint().note(), "all under one checkpoint");
        (
            index,
            row["cells"].as_array().unwrap().iter().map(|cell| cell.as_str().unwrap().to_owned()).collect(),
        )
    };
    section["rows"].as_array().unwrap().iter().map(line).collect()
}

#[tokio::test]
async fn each_line_of_a_report_is_a_record_that_its_proof_proves() {
    let gateway = &Gateway::demo("reports", &[]);
    let (mine, theirs) = (gateway.panel("dana")[0], gateway.patients()[20]);
    let token =
        async |name: &str| App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person(name)).await.access;
    let (dana, remy) = (token("dana").await, token("remy").await);
    for (token, what) in [
        (&dana, format!("Patient/{mine}")),
        (&dana, format!("Observation?patient={mine}")),
        (&dana, format!("Patient/{theirs}")),
        (&remy, "Observation?_count=1000".to_owned()),
        (&remy, "Observation?_count=1000".to_owned()),
    ] {
        Call::get(&format!("/fhir/{what}")).bearer(token).to(gateway).await;
    }

    let access = report(gateway, &["access", "--patient", mine]);
    let lines = proven(gateway, &access, "Accesses");
    let searched = gateway.audit(&["--patient", mine, "--event", "access"]);
    let indexes: Vec<u64> = searched.iter().map(|record| record["index"].as_u64().unwrap()).collect();
    assert_eq!(lines.iter().map(|(index, _)| *index).collect::<Vec<_>>(), indexes);
    assert!(lines.iter().any(|(_, cells)| cells.iter().any(|cell| cell == "physician-panel")), "{lines:?}");
    // The same patient by a reference; and whom no record names is not reported as seen by nobody.
    let by_reference = report(gateway, &["access", "--patient", &format!("Patient/{mine}")]);
    assert_eq!(proven(gateway, &by_reference, "Accesses").len(), lines.len());
    let other = gateway.try_command(&["audit", "report", "access", "--patient", "Observation/1"]);
    assert!(other.code == Some(2) && other.err.contains("by the id alone"), "{other:?}");
    for words in [["access", "--patient", "pt-mistyped"], ["user", "--user", "dnaa"]] {
        let nobody = gateway.try_command(&[&["audit", "report"], &words[..], &["--format", "json"]].concat());
        assert!(nobody.success && nobody.err.contains("no record of any time names this"), "{nobody:?}");
        assert!(nobody.out.contains("no record of any time names this"), "{nobody:?}");
    }
    let early = ["audit", "report", "access", "--patient", mine, "--until", "2020-01-01T00:00:00Z"];
    assert!(
        !gateway.try_command(&early).err.contains("no record"),
        "of that time there is none, of others there are"
    );
    let wrong = gateway.try_command(&["audit", "report", "access", "--patient", theirs, "--columns", "what"]);
    assert!(!wrong.success && wrong.err.contains("what"), "there is no such column: {wrong:?}");
}

#[tokio::test]
async fn reports_say_who_saw_a_patient_and_what_has_to_be_accounted_for() {
    let gateway = &Gateway::demo("accounting", &[]);
    let theirs = gateway.patients()[20];
    let token =
        async |name: &str| App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person(name)).await.access;
    let (dana, remy) = (token("dana").await, token("remy").await);
    for (token, what) in [(&dana, format!("Patient/{theirs}")), (&remy, "Observation?_count=1000".to_owned())]
    {
        for _ in 0..2 {
            Call::get(&format!("/fhir/{what}")).bearer(token).to(gateway).await;
        }
    }
    let wanted = ["access", "--patient", theirs, "--columns", "who,outcome,resource", "--scan"];
    let lines = proven(gateway, &report(gateway, &wanted), "Accesses");
    let of = |name: &str| lines.iter().filter(|(_, cells)| cells[0] == name).count();
    assert_eq!((of("dana"), of("remy")), (2, 2), "{lines:?}");
    assert!(lines.iter().all(|(_, cells)| (cells[0] == "dana") == (cells[1] == "denied")), "{lines:?}");

    // Research is a disclosure: told once in full, and how often. What was refused is none.
    let accounting = report(gateway, &["disclosures", "--patient", theirs]);
    let lines = proven(gateway, &accounting, "Disclosures");
    assert_eq!(lines.len(), 1, "{accounting}");
    let cells = &lines[0].1;
    assert_eq!(
        (cells[1].as_str(), cells[6].as_str(), cells[7].as_str()),
        ("remy", "HRESCH", "2"),
        "{cells:?}"
    );
    assert_eq!(cells[9].split(' ').count(), 2, "both are named: {cells:?}");
    assert!(proven(gateway, &accounting, "Of unknown purpose: to be looked at").is_empty());

    let user = proven(gateway, &report(gateway, &["user", "--user", "dana"]), "Acts");
    assert_eq!(user.len(), gateway.audit(&["--user", "dana"]).len());
    let activity = report(gateway, &["activity"]);
    assert!(
        proven(gateway, &activity, "Administration").iter().any(|(_, cells)| cells[2] == "gateway.start")
    );

    // What is drawn is what the records say, by day and by hour of the week.
    let requests = gateway.audit(&["--event", "access"]);
    let allowed = requests.iter().filter(|record| record["outcome"] == "allow").count();
    let numbers = |heading: &str| -> Vec<Vec<usize>> {
        let sections = activity["sections"].as_array().unwrap();
        let section = sections.iter().find(|own| own["heading"] == heading).unwrap();
        let cells = |row: &Value| -> Vec<usize> {
            row["cells"].as_array().unwrap()[1..]
                .iter()
                .map(|cell| cell.as_str().unwrap().parse().unwrap())
                .collect()
        };
        section["rows"].as_array().unwrap().iter().map(cells).collect()
    };
    let sum = |rows: &[Vec<usize>], at: usize| rows.iter().map(|row| row[at]).sum::<usize>();
    let days = numbers("Requests by day");
    assert_eq!((sum(&days, 0), sum(&days, 1)), (allowed, requests.len() - allowed), "{days:?}");
    let week = numbers("Requests by hour of the week (UTC)");
    assert_eq!(week.concat().iter().sum::<usize>(), requests.len(), "{week:?}");

    let csv = gateway.command(&["audit", "report", "access", "--patient", theirs, "--format", "csv"]);
    assert_eq!(csv.lines().filter(|line| line.starts_with("\"Accesses\",\"")).count(), 4, "{csv}");
    let page = gateway.scratch().path().join("report.html");
    let out = page.to_str().unwrap();
    gateway.command(&[
        "audit",
        "report",
        "access",
        "--patient",
        theirs,
        "--out",
        out,
        "--time-zone",
        "-05:00",
    ]);
    let html = std::fs::read_to_string(page).unwrap();
    assert!(html.contains("When (-05:00)") && html.contains("c2sp.org/tlog-proof@v1"), "{html}");
    assert!(html.contains("<svg") && html.contains(": 2 allowed, 2 refused or failed"), "{html}");
    assert!(!html.contains("<script") && !html.contains("http://") && !html.contains("https://"), "{html}");
    let read = gateway.audit(&["--event", "audit.read"]);
    let is_report = |record: &&Value| record["resource"].as_str().unwrap().starts_with("report/");
    assert!(read.iter().filter(is_report).count() >= 6, "{read:?}");
}
