//! The evidence pack, as an auditor gets it: made from what is in force and from the log, and as it was signed.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chartgate_audit::note::VerifierKey;
use chartgate_audit::proof::TlogProof;
use chartgate_audit::tile::{parse_bundle, push_entry};
use serde_json::Value;

use crate::browser::{App, USER_SCOPE};
use crate::gateway::{Gateway, Scratch, chartgate};
use crate::outward_syslog::until;
use crate::routes::{SCOPE, serve_in};
use crate::wire::Call;

pub(crate) fn pack(gateway: &Gateway, name: &str) -> Value {
    let folder = gateway.folder().join(name);
    gateway.command(&["evidence", "--out", folder.to_str().unwrap()]);
    serde_json::from_slice(&std::fs::read(folder.join("evidence.json")).unwrap()).unwrap()
}

fn safeguard<'a>(pack: &'a Value, id: &str) -> &'a Value {
    pack["safeguards"].as_array().unwrap().iter().find(|own| own["id"] == id).unwrap()
}

/// Whether a safeguard lacks something that is told in these words.
pub(crate) fn lacks(pack: &Value, id: &str, words: &str) -> bool {
    let missing = safeguard(pack, id)["missing"].as_array().unwrap();
    missing.iter().any(|sentence| sentence.as_str().unwrap().contains(words))
}

pub(crate) fn count(pack: &Value, id: &str, what: &str) -> u64 {
    let shows = safeguard(pack, id)["shows"].as_array().unwrap();
    let shown = shows.iter().find(|own| own["what"] == what).unwrap_or_else(|| panic!("{what} of {id}"));
    shown["count"].as_u64().unwrap()
}

#[tokio::test]
async fn a_pack_shows_what_the_log_has_with_proofs_and_is_as_it_was_signed() {
    let gateway = &Gateway::demo("evidence", &[]);
    let (mine, theirs) = (gateway.panel("dana")[0], gateway.stranger_to("dana"));
    let dana = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await.access;
    for patient in [mine, theirs, mine] {
        Call::get(&format!("/fhir/Patient/{patient}")).bearer(&dana).to(gateway).await;
    }
    let before = pack(gateway, "before");
    let unseen = "No report of activity was made";
    assert!(lacks(&before, "C14", unseen), "nobody has looked yet");
    gateway.command(&["audit", "report", "access", "--patient", mine]);
    assert!(
        lacks(&self::pack(gateway, "between"), "C14", unseen),
        "one patient's is no review of what was done"
    );
    gateway.command(&["audit", "report", "activity"]);
    gateway.command(&["user", "disable", "dana"]);
    let pack = pack(gateway, "pack");

    let of = |question: &[&str]| gateway.audit(question).len() as u64;
    assert_eq!(count(&pack, "C01", "Accesses allowed"), of(&["--event", "access", "--outcome", "allow"]));
    assert_eq!(count(&pack, "C01", "Accesses refused"), of(&["--event", "access", "--outcome", "deny"]));
    assert_eq!(count(&pack, "C02", "Sign-ins"), 1);
    assert!(lacks(&pack, "C12", "1 of 1 sign-ins were by one factor alone"));
    assert_eq!((count(&before, "C15", "People shut out"), count(&pack, "C15", "People shut out")), (0, 1));
    assert!(!lacks(&pack, "C14", unseen));
    assert!(lacks(&pack, "C10", "No witness") && lacks(&pack, "C09", "lies in the data folder"));

    // Each record that is shown stands in the log.
    let audit = gateway.ready["audit_dir"].as_str().unwrap();
    let key_file = format!("{audit}/log.vkey");
    let key: VerifierKey = std::fs::read_to_string(&key_file).unwrap().trim().parse().unwrap();
    let mut proven = 0_usize;
    for shown in
        pack["safeguards"].as_array().unwrap().iter().flat_map(|own| own["shows"].as_array().unwrap())
    {
        let newest = shown["newest"].as_array().unwrap();
        assert!(newest.len() as u64 <= shown["count"].as_u64().unwrap());
        for row in newest {
            let proof = TlogProof::parse(row["proof"].as_str().unwrap().as_bytes(), &key).unwrap();
            proof.verify(&STANDARD.decode(row["entry"].as_str().unwrap()).unwrap()).unwrap();
            assert_eq!(proof.index(), row["record"].as_u64().unwrap());
            proven += 1;
        }
    }
    assert!(proven > 10, "{proven}");

    // It is handed to others: of whom a record is stands in the sealed part of its entry alone.
    for name in ["evidence.html", "evidence.json"] {
        let text = std::fs::read_to_string(gateway.folder().join("pack").join(name)).unwrap();
        let told = gateway.patients().into_iter().find(|patient| text.contains(*patient));
        assert_eq!(told, None, "{name}");
    }

    // With the public key alone it is seen that nobody changed it.
    let folder = gateway.folder().join("pack");
    let folder = folder.to_str().unwrap();
    let check = || chartgate(&["evidence", "--check", folder, "--key", &key_file]);
    let good = check();
    assert!(good.success && good.out.contains("signed it, made "), "{good:?}");
    for name in ["evidence.html", "evidence.json", "evidence.note"] {
        let path = format!("{folder}/{name}");
        let own = std::fs::read(&path).unwrap();
        let mut altered = own.clone();
        altered[40] ^= 1;
        std::fs::write(&path, altered).unwrap();
        let bad = check();
        assert!(!bad.success && bad.err.contains(name), "{bad:?}");
        std::fs::write(&path, own).unwrap();
    }
    assert!(check().success);
    let records = gateway.audit(&["--event", "audit.read"]);
    assert!(records.iter().any(|record| record["resource"] == "evidence"), "to make one is to read the log");

    // A pack that is there stays, unless its maker says otherwise.
    let folder = gateway.folder().join("pack");
    let out = ["evidence", "--out", folder.to_str().unwrap()];
    let read = || std::fs::read(folder.join("evidence.json")).unwrap();
    let kept = read();
    let reads = gateway.audit(&["--event", "audit.read"]).len();
    let refused = gateway.try_command(&out);
    assert!(!refused.success && refused.err.contains("is there already; nothing was made"), "{refused:?}");
    assert!(
        read() == kept && gateway.audit(&["--event", "audit.read"]).len() == reads + 1,
        "nor was the log read"
    );
    gateway.command(&[&out[..], &["--force"]].concat());
    assert!(read() != kept);
}

/// Nothing in it is a constant: another setting says something else, once it is in force.
#[tokio::test]
async fn nothing_is_signed_or_handed_out_of_a_log_whose_records_were_altered() {
    let gateway = &Gateway::demo("evidence-altered", &[]);
    let dana = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await.access;
    let bundle = Path::new(gateway.ready["audit_dir"].as_str().unwrap()).join("tile/entries/000");
    let mut asked = 0;
    while !bundle.is_file() {
        Call::get("/fhir/Patient/no-such").bearer(&dana).to(gateway).await;
        asked += 1;
        assert!(asked < 2000);
    }
    let folder = gateway.folder().join("pack");
    let words: [&[&str]; 4] = [
        &["evidence", "--out", folder.to_str().unwrap()],
        &["audit", "export", "--limit", "1"],
        &["audit", "search", "--limit", "1", "--scan"],
        &["audit", "prove", "200"],
    ];
    for words in words {
        assert!(gateway.try_command(words).success, "{words:?}");
    }
    // One record in the place of another, as who can write the folder can do.
    let bytes = std::fs::read(&bundle).unwrap();
    let mut entries = parse_bundle(&bytes).unwrap();
    assert_ne!(entries[200], entries[201]);
    entries[200] = entries[201];
    let mut altered = Vec::new();
    entries.iter().for_each(|entry| push_entry(&mut altered, entry).unwrap());
    std::fs::remove_file(&bundle).unwrap();
    std::fs::write(&bundle, altered).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    for words in words {
        let refused = gateway.try_command(words);
        assert!(!refused.success && refused.err.contains("not "), "{words:?}: {refused:?}");
    }
    assert!(!folder.exists(), "no pack was made");
}

#[tokio::test]
async fn a_setting_that_is_changed_shows_once_it_is_in_force() {
    let route = |rule: &str| {
        format!(
            r#"[audit]
retention = "7y"
[[route]]
name = "orders"
kind = "http"
path = "/orders"
upstream = "http://127.0.0.1:9"
upstream_auth = {{ bearer = {{ file = "upstream-secret" }} }}
[[route.allow]]
methods = ["GET"]
path = "/orders/{{id}}"
{rule}"#
        )
    };
    let strict = route("roles = [\"billing\"]");
    let mut gateway = serve_in(Scratch::new("evidence-settings"), "", &strict, SCOPE);
    let first = pack(&gateway, "first");
    assert!(!lacks(&first, "C01", "open to every good token") && !lacks(&first, "C07", "orders (http"));
    assert!(!lacks(&first, "C23", "shorter than six years") && !lacks(&first, "C10", "`os`"));
    assert!(!lacks(&first, "C05", "idle"));

    // What stands in the file is not in force before it was taken over.
    let file = gateway.folder().join("chartgate.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let open = text.replace("roles = [\"billing\"]", "").replace("upstream_auth", "# upstream_auth");
    std::fs::write(&file, &open).unwrap();
    assert!(!lacks(&pack(&gateway, "unread"), "C01", "open to every good token"));
    gateway.hang_up();
    until("it is in force", || gateway.output().contains("the new configuration is in force")).await;
    let second = pack(&gateway, "second");
    assert!(lacks(&second, "C01", "orders: /orders/{id} is open to every good token"));
    assert!(lacks(&second, "C07", "gets nothing by which it knows the gateway"));
    assert_eq!(count(&second, "C21", "Changes of the configuration"), 2, "and of the certificate");

    // What needs a restart shows after one.
    let sessions = "[sessions]\nidle_timeout = \"2h\"\n[sessions.two_factors]\nidle_timeout = \"20m\"";
    let weak = open.replace("7y\"", &format!("5y\"\ndurability = \"os\"\n{sessions}"));
    let elsewhere = "
[mail]
server = \"smtp.clinic.example\"
from = \"gate@clinic.example\"
[[identity_provider]]
name = \"campus\"
issuer = \"https://login.campus.example\"
client_id = \"gate\"
client_secret = { file = \"upstream-secret\" }
add_newcomers = true
sign_out = \"never\"
";
    std::fs::write(&file, weak + elsewhere).unwrap();
    gateway.terminate();
    gateway.start();
    let third = pack(&gateway, "third");
    assert!(lacks(&third, "C23", "5 years, shorter than six years") && lacks(&third, "C10", "`os`"));
    assert!(lacks(&third, "C05", "A session after one factor may be idle for 2 hours"));
    assert!(!lacks(&third, "C05", "A session after a passkey"));
    let logoff = safeguard(&third, "C05")["in_force"].to_string();
    assert!(logoff.contains("A session after two factors ends after 20 minutes without use"), "{logoff}");
    assert!(lacks(&third, "C05", "what is open at https://login.campus.example"));
    assert!(logoff.contains("login.campus.example and signs out here stays signed in there"), "{logoff}");
    let mail = "Nobody is told by e-mail";
    assert!(lacks(&first, "C12", mail) && !lacks(&third, "C12", mail));
    assert!(lacks(&third, "C12", "Whoever https://login.campus.example vouches for is added"));
    let signing_in = safeguard(&third, "C12")["in_force"].to_string();
    assert!(signing_in.contains(
        "login.campus.example, with accounts linked by issuer and subject: all of it is one factor"
    ));

    // What is not running has nothing in force.
    gateway.terminate();
    let out = gateway.folder().join("nothing");
    let none = gateway.try_command(&["evidence", "--out", out.to_str().unwrap()]);
    assert!(!none.success && none.err.contains("no gateway runs") && !out.exists(), "{none:?}");
    gateway.start();

    // Policies that are not those in force are told, and tests that fail.
    let tests = gateway.folder().join("policies/tests");
    for entry in std::fs::read_dir(&tests).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    assert!(lacks(&pack(&gateway, "untested"), "C01", "have no tests"));
    std::fs::write(gateway.folder().join("policies/broken.cedar"), "permit (").unwrap();
    assert!(lacks(&pack(&gateway, "broken"), "C01", "no test was run"));
    let watched = safeguard(&first, "C14")["in_force"].to_string();
    assert!(watched.contains("Watched for: ") && !watched.contains("canary"), "{watched}");
}
