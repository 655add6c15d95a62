//! First starts that do not come to their end, and configurations whose start would be refused.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::gateway::{Gateway, PROGRAM, Scratch, chartgate, free_ports};

/// `init` in a folder, with more in the environment.
fn init(folder: &Path, issuer: &str, environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(PROGRAM);
    command.args(["init", "--dir"]).arg(folder).args(["--issuer", issuer]).envs(environment.iter().copied());
    let output = command.stdin(Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn check(folder: &Path) -> (Option<i32>, String) {
    let config = folder.join("chartgate.toml");
    let done = chartgate(&["config", "check", "--config", config.to_str().unwrap()]);
    (done.code, done.err)
}

#[test]
fn a_wrong_issuer_leaves_nothing_behind() {
    let scratch = Scratch::new("wrong-issuer");
    let folder = scratch.path().join("gate");
    for wrong in ["http://gate.example.org", "https://gate.example.org/", "https://gate.example.org\"", ""] {
        let (code, said) = init(&folder, wrong, &[]);
        assert_eq!(code, Some(1), "{wrong}: {said}");
        assert!(said.contains("--issuer") && said.contains("https://HOST"), "{wrong}: {said}");
        assert!(!folder.exists(), "{wrong}");
    }
    let (code, said) = init(&folder, "https://gate.example.org", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(check(&folder), (Some(0), String::new()));
}

#[test]
fn an_init_that_did_not_come_to_its_end_is_begun_anew_and_touches_nothing_of_others() {
    let scratch = Scratch::new("half-an-init");
    let folder = scratch.path();
    // It makes its keys, and then has no place for its store.
    let nowhere = [("CHARTGATE_STORE__URL", "sqlite:/nowhere/at/all.db")];
    let (code, said) = init(folder, "https://first.example.org", &nowhere);
    assert_eq!(code, Some(1), "{said}");
    assert!(folder.join("data/master.key").exists(), "it came as far as that");
    assert!(!folder.join("chartgate.toml").exists());
    let first = std::fs::read(folder.join("data/master.key")).unwrap();
    // Whoever put something there since finds it again.
    std::fs::create_dir_all(folder.join("secrets")).unwrap();
    std::fs::write(folder.join("secrets/fhir"), "the only copy").unwrap();
    let (code, said) = init(folder, "https://localhost:9443", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("unfinished-1"), "{said}");
    assert_ne!(std::fs::read(folder.join("data/master.key")).unwrap(), first);
    assert_eq!(std::fs::read(folder.join("unfinished-1/data/master.key")).unwrap(), first);
    assert_eq!(std::fs::read_to_string(folder.join("unfinished-1/secrets/fhir")).unwrap(), "the only copy");
    assert_eq!(check(folder), (Some(0), String::new()));
    let left = |name: &str| folder.join(name).exists();
    assert!(!left(".beginning") && !left(".chartgate.toml.new"), "nothing is left of the beginning");
    // Of a whole one nothing is removed, whatever became of its configuration.
    std::fs::remove_file(folder.join("chartgate.toml")).unwrap();
    let whole = std::fs::read(folder.join("data/master.key")).unwrap();
    let (code, said) = init(folder, "https://localhost:9443", &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("master.key") && said.contains("nothing was changed"), "{said}");
    assert_eq!(std::fs::read(folder.join("data/master.key")).unwrap(), whole);
    assert!(folder.join("data/chartgate.db").exists());
}

#[test]
fn an_init_that_did_not_come_to_its_end_is_begun_anew_with_its_data_elsewhere() {
    let scratch = Scratch::new("init-elsewhere");
    let (folder, data) = (scratch.path().join("gate"), scratch.path().join("data"));
    std::fs::create_dir(&data).unwrap();
    let elsewhere = ("CHARTGATE_DATA_DIR", data.to_str().unwrap());
    let nowhere = ("CHARTGATE_STORE__URL", "sqlite:/nowhere/at/all.db");
    let (code, said) = init(&folder, "https://first.example.org", &[elsewhere, nowhere]);
    assert_eq!(code, Some(1), "{said}");
    let key = || std::fs::read(data.join("master.key")).unwrap();
    let first = key();
    // Another installation has nothing to look for there.
    let (code, said) = init(&scratch.path().join("other"), "https://other.example.org", &[elsewhere]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("of another installation") && key() == first, "{said}");
    let (code, said) = init(&folder, "https://localhost:9443", &[elsewhere]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("unfinished-1"), "{said}");
    assert_eq!(std::fs::read(data.join("unfinished-1/master.key")).unwrap(), first);
    let whole = key();
    assert_ne!(whole, first);
    // Of a whole one nothing is set aside.
    std::fs::remove_file(folder.join("chartgate.toml")).unwrap();
    let (code, said) = init(&folder, "https://localhost:9443", &[elsewhere]);
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(key(), whole);
    assert!(!data.join("unfinished-2").exists(), "{said}");
}

/// A demo that is not to come to its end.
struct Cut(Child);

impl Drop for Cut {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_demo_whose_first_start_was_cut_anywhere_starts() {
    let scratch = Scratch::new("half-a-demo");
    let folder = scratch.path().join("demo");
    let demo = |more: &[&str]| {
        let [https, _, _] = free_ports();
        let listen = format!("127.0.0.1:{https}");
        let words = ["demo", "--dir", folder.to_str().unwrap(), "--listen", &listen];
        let mut command = Command::new(PROGRAM);
        command.args(words).args(more).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    };
    // Nothing in the folder that was named, and nobody of that name.
    let empty = scratch.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    for wrong in [["--data", empty.to_str().unwrap()], ["--second-factor", "nobody"]] {
        let output = demo(&wrong).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{wrong:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(wrong[1]), "{wrong:?}: {said}");
    }
    for come_to in ["tls/cert.pem", "data/master.key", "data/chartgate.db", "data/audit/log.vkey"] {
        let path = folder.join(come_to);
        let _ = std::fs::remove_file(&path);
        let cut = Cut(demo(&[]).stderr(Stdio::null()).spawn().unwrap());
        let begun = Instant::now();
        while !path.exists() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{come_to}");
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(cut);
    }
    let gateway = Gateway::demo_in(scratch, &[], &[]);
    assert!(gateway.command(&["user", "list"]).contains("ada"));
}

#[test]
fn a_configuration_is_checked_with_all_that_it_names_as_a_start_reads_it() {
    let scratch = Scratch::new("checked");
    let folder = scratch.path();
    let [https] = free_ports();
    let (code, said) = init(folder, &format!("https://localhost:{https}"), &[]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(check(folder), (Some(0), String::new()));
    let serve = || {
        let config = folder.join("chartgate.toml");
        let done = chartgate(&["serve", "--config", config.to_str().unwrap()]);
        assert_eq!(done.code, Some(1), "{done:?}");
        done.err
    };
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let (text, key, certificate) = (read("chartgate.toml"), read("data/master.key"), read("tls/cert.pem"));
    let route = "\n[[route]]\nname = \"ehr\"\nkind = \"fhir\"\npath = \"/fhir\"\nupstream = \"https://fhir.example/r4\"\n\
                 upstream_ca = \"no-ca.pem\"\n";
    let with_route = [&text[..], route.as_bytes()].concat();
    // Each by itself is refused by both, and all are told at once.
    let wrongs: [(&str, &str, &[u8], &[u8]); 4] = [
        ("no-ca.pem", "chartgate.toml", &text, &with_route),
        ("added.cedar", "policies/added.cedar", b"// None yet.\n", b"permit (principal, action, resource"),
        ("cert.pem", "tls/cert.pem", &certificate, b"no certificate"),
        ("master.key", "data/master.key", &key, b"no key"),
    ];
    for (name, file, good, wrong) in wrongs {
        scratch.write(file, wrong);
        let (code, said) = check(folder);
        assert_eq!(code, Some(1), "{name}: {said}");
        assert!(said.contains(name), "{name}: {said}");
        let refused = serve();
        assert!(refused.contains(name), "{name}: {refused}");
        scratch.write(file, good);
    }
    for (_, file, _, wrong) in wrongs {
        scratch.write(file, wrong);
    }
    let (code, said) = check(folder);
    assert_eq!(code, Some(1), "{said}");
    for (name, ..) in wrongs {
        assert!(said.contains(name), "{name}: {said}");
    }
}
