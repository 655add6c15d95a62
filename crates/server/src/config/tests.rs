use std::time::Duration;

use super::*;
use chartgate_protocol::fhir::version::FhirVersion;

const GOOD: &str = r#"
issuer = "https://gate.example.org"
[tls]
certificate = "Cargo.toml"
private_key = "Cargo.toml"
[[route]]
name = "ehr"
kind = "fhir"
path = "/fhir"
upstream = "https://hapi.internal:8080/fhir"
"#;

fn read(text: &str, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let environment: Vec<_> = environment.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Config::read(text, Path::new(env!("CARGO_MANIFEST_DIR")), &environment)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[test]
fn a_short_file_gives_the_documented_defaults() {
    let config = read(GOOD, &[]).unwrap();
    assert_eq!(config.tokens.access_token_ttl, Duration::from_secs(300));
    assert_eq!(config.sessions.shortest().idle, Duration::from_secs(900));
    assert_eq!(config.audit.durability, Durability::Fsync);
    assert_eq!(config.routes[0].audience, "https://gate.example.org/fhir");
    assert!(config.store.ends_with("data/chartgate.db"));
}

#[test]
fn sessions_have_the_limits_of_how_strongly_their_person_signed_in_or_of_the_next_weaker() {
    let text = "[sessions]\nidle_timeout = \"10m\"\n[sessions.two_factors]\nabsolute_timeout = \"24h\"\n\
                [sessions.phishing_resistant]\nidle_timeout = \"30m\"";
    let sessions = read(&format!("{GOOD}\n{text}"), &[]).unwrap().sessions;
    let limits = [sessions.one_factor, sessions.two_factors, sessions.phishing_resistant];
    let minutes = limits.map(|one| (one.idle.as_secs() / 60, one.absolute.as_secs() / 60));
    assert_eq!(minutes, [(10, 720), (10, 1440), (30, 1440)]);
    let wrong = read(&format!("{GOOD}\n[sessions.two_factors]\nidle_timeout = \"30s\""), &[]).map(drop);
    assert!(wrong.unwrap_err()[0].contains("sessions.two_factors.idle_timeout"));
}

#[test]
fn emergency_access_lasts_an_hour_at_most_and_purposes_are_known_ones() {
    let with = |text: &str| read(&format!("{GOOD}\n{text}"), &[]);
    let config =
        with("[emergency]\nduration = \"30m\"\n[purpose_of_use]\nphysician = [\"HOPERAT\"]").unwrap();
    assert_eq!(config.emergency.limits.duration, Duration::from_mins(30));
    let roles = ["physician".parse().unwrap()].into();
    assert_eq!(config.purposes.choose(&roles, None).unwrap().map(|p| p.code()), Some("HOPERAT"));
    assert!(config.purposes.choose(&roles, "TREAT".parse().ok()).is_err());
    for (wrong, key) in [
        ("[emergency]\nduration = \"61m\"", "emergency.duration"),
        ("[emergency]\nunreviewed_limit = 0", "emergency.unreviewed_limit"),
        ("[emergency]\nwebhook = \"http://siem.example/\"", "emergency.webhook"),
        ("[emergency]\nmail_to = \"a@b.example\"", "emergency.mail_command"),
        (
            "[emergency]\nmail_command = [\"x\"]\nmail_to = \"a@b.example\\nBcc: c@d.example\"",
            "emergency.mail_to",
        ),
        ("[purpose_of_use]\nphysician = [\"BTG\"]", "purpose_of_use.physician"),
        ("[purpose_of_use]\nphysician = [\"CURIOSITY\"]", "purpose_of_use.physician"),
    ] {
        let errors = with(wrong).map(drop).unwrap_err();
        assert!(errors.iter().any(|error| error.contains(key)), "{wrong}: {errors:?}");
    }
}

#[test]
fn a_route_says_which_fhir_it_is_and_one_that_is_not_known_is_an_error() {
    let with = |version: &str| {
        let route = format!(
            "[[route]]\nname = \"v\"\nkind = \"fhir\"\npath = \"/v\"\nupstream = \"https://ehr.example/v\"\n{version}"
        );
        read(&format!("{GOOD}\n{route}"), &[]).map(|config| {
            let route = config.routes.iter().find(|route| route.name == "v").unwrap();
            match &route.kind {
                RouteKind::Fhir { version, .. } => *version,
                RouteKind::Http { .. } => panic!("a FHIR route"),
            }
        })
    };
    for (text, expected) in [
        ("", FhirVersion::R4),
        ("fhir_version = \"4.0\"", FhirVersion::R4),
        ("fhir_version = \"4.3\"", FhirVersion::R4B),
        ("fhir_version = \"5.0\"", FhirVersion::R5),
    ] {
        assert_eq!(with(text).unwrap(), expected, "{text}");
    }
    for wrong in ["\"4.0.1\"", "\"R5\"", "\"6.0\"", "5.0"] {
        let errors = with(&format!("fhir_version = {wrong}")).unwrap_err();
        assert!(errors.iter().any(|error| error.contains("fhir_version")), "{wrong}: {errors:?}");
    }
}

#[test]
fn what_is_watched_needs_numbers_times_and_ids_that_are_such() {
    let with = |watch: &str| read(&format!("{GOOD}\n{watch}"), &[]);
    let hours = |more: &str| {
        format!("[[watch.off_hours]]\nfrom = \"07:00\"\nuntil = \"19:00\"\ntime_zone = \"+02:00\"\n{more}")
    };
    let rules = with(&hours("days = [\"sat\", \"sun\"]\nroles = [\"nurse\"]")).unwrap().watch;
    assert_eq!(rules.off_hours.len(), 1);
    assert_eq!(rules.bulk_reads.map(|rule| rule.patients), Some(50));
    assert!(rules.failed_sign_ins.is_some() && rules.vip.is_none() && rules.canary.is_none());
    let off = with("[watch.bulk_reads]\noff = true\n[watch.canary]\npatients = [\"a\", \"b\", \"a\"]")
        .unwrap()
        .watch;
    assert_eq!((off.bulk_reads, off.canary.map(|rule| rule.patients.len())), (None, Some(2)));
    for (text, key) in [
        ("[watch.bulk_reads]\npatients = 1".to_owned(), "watch.bulk_reads.patients"),
        ("[watch.bulk_reads]\nwithin = \"2d\"".to_owned(), "watch.bulk_reads.within"),
        (hours("days = [\"Monday\"]"), "watch.off_hours[1].days"),
        (hours("again_after = \"1s\""), "watch.off_hours[1].again_after"),
        ("[[watch.off_hours]]\nfrom = \"7\"".to_owned(), "watch.off_hours[1].from"),
        ("[[watch.off_hours]]\nfrom = \"07:00\"".to_owned(), "watch.off_hours[1].time_zone"),
        ("[watch.vip]\npatients = [\"a b\"]".to_owned(), "watch.vip.patients"),
        ("[watch.vip]\npatients_file = \"none\"".to_owned(), "watch.vip.patients_file"),
        ("[watch.self_access]\npatients_at_most = 3".to_owned(), "watch.self_access.patients_at_most"),
        ("[watch.failed_sign_ins]\nin_all = 1".to_owned(), "watch.failed_sign_ins.in_all"),
        ("[watch.unusual]\nx = 1".to_owned(), "watch.unusual"),
    ] {
        let errors = with(&text).unwrap_err();
        assert!(errors.iter().any(|error| error.contains(key)), "{key}: {errors:?}");
        assert!(!errors.join(" ").contains("a b"), "{errors:?}");
    }
}

#[test]
fn messages_go_to_known_services_unless_others_are_named() {
    let with = |push: &str| read(&format!("{GOOD}\n[push]\n{push}"), &[]);
    let known = with("").unwrap().push;
    assert!(known.allows("fcm.googleapis.com") && known.allows("web.push.apple.com"));
    assert!(known.contact.starts_with("https://"), "{}", known.contact);
    let own = with("services = [\"push.example.org\"]\ncontact = \"mailto:it@example.org\"").unwrap().push;
    assert!(own.allows("push.example.org") && !own.allows("fcm.googleapis.com"));
    assert_eq!(own.contact, "mailto:it@example.org");
    assert!(with("services = []").unwrap().push.services.is_empty());
    for (text, key) in [
        ("services = [\"https://push.example.org\"]", "push.services"),
        ("services = [\"*\"]", "push.services"),
        ("contact = \"it@example.org\"", "push.contact"),
    ] {
        let errors = with(text).unwrap_err();
        assert!(errors.iter().any(|error| error.contains(key)), "{key}: {errors:?}");
    }
}

#[test]
fn what_takes_a_passkey_to_approve_is_refused_where_none_are_offered() {
    for (key, value) in [("approved_by", "[\"physician\"]"), ("agents_ask", "true")] {
        let with = |sign_in: &str| {
            format!(
                "{GOOD}{sign_in}[[route]]\nname = \"orders\"\nkind = \"http\"\npath = \"/orders\"\n\
                 upstream = \"http://127.0.0.1:1/\"\n\
                 [[route.allow]]\nmethods = [\"POST\"]\npath = \"/orders\"\n{key} = {value}\n"
            )
        };
        if cfg!(feature = "passkeys") {
            assert_eq!(read(&with(""), &[]).err(), None);
        }
        let text = with("[sign_in]\npasskeys = \"off\"\n");
        let errors = read(&text, &[]).err().unwrap_or_default();
        let line = text.lines().count();
        let told =
            errors.iter().any(|error| error.starts_with(&format!("line {line}: ")) && error.contains(key));
        assert!(told, "{key}: {errors:?}");
    }
}

// It has what is of passkeys.
#[cfg(feature = "passkeys")]
#[test]
fn docs_config_md_states_the_defaults() {
    let page = include_str!("../../../../docs/config.md");
    let documented = page.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    // What a file names is not a default.
    let read = |text| Config { paths: Vec::new(), ..read(text, &[]).unwrap() };
    let [short, full] = [GOOD, documented].map(|text| format!("{:#?}", read(text)));
    assert_eq!(full, short);
}

#[test]
fn the_environment_wins_over_the_file() {
    let config = read(
        GOOD,
        &[
            ("CHARTGATE_ISSUER", "https://other.example"),
            ("CHARTGATE_TOKENS__ACCESS_TOKEN_TTL", "10m"),
            ("CHARTGATE_LISTEN__TRUSTED_PROXIES", r#"["10.0.0.0/8"]"#),
            ("CHARTGATE_CONFIG", "/elsewhere"),
            // Of a Service in Kubernetes that is called like us.
            ("CHARTGATE_SERVICE_HOST", "10.0.0.1"),
            ("CHARTGATE_SERVICE_PORT", "443"),
            ("CHARTGATE_SERVICE_PORT_HTTPS", "443"),
            ("CHARTGATE_PORT", "tcp://10.0.0.1:443"),
            ("CHARTGATE_PORT_443_TCP_ADDR", "10.0.0.1"),
        ],
    )
    .unwrap();
    assert_eq!(config.issuer, "https://other.example");
    assert_eq!(config.tokens.access_token_ttl, Duration::from_secs(600));
    assert!(config.listen.trusted_proxies[0].contains("10.1.2.3".parse().unwrap()));
    assert!(!config.listen.trusted_proxies[0].contains("11.1.2.3".parse().unwrap()));
}

#[test]
fn a_variable_that_sets_no_key_is_named() {
    for (name, value, key) in [("CHARTGATE_PORT", "8443", "port"), ("CHARTGATE_TLS__CRT", "x.pem", "tls.crt")]
    {
        let problems = read(GOOD, &[(name, value)]).unwrap_err().join("\n");
        assert!(
            problems.contains(&format!("`{key}`")) && problems.contains(&format!("{name} sets it")),
            "{problems}"
        );
    }
}

#[test]
fn a_variable_below_what_is_no_table_is_named() {
    let routes = format!("{GOOD}\n[[route]]\nname = \"x\"\n");
    for (name, above) in [("CHARTGATE_ISSUER__HOST", "issuer"), ("CHARTGATE_ROUTE__0__CONSENT", "route")] {
        let problems = read(&routes, &[(name, "enforce")]).unwrap_err().join("\n");
        assert!(
            problems.contains(&format!("the variable {name} sets nothing: `{above}` is no table")),
            "{problems}"
        );
    }
}

#[test]
fn every_error_is_reported_at_once_with_line_and_key() {
    let text = r#"issuer = "http://gate.example.org/"
colour = "blue"
[tls]
certificate = "missing.pem"
[tokens]
access_token_ttl = "2h"
signing_algorithm = "HS256"
[sessions]
idle_timeout = 15
[[route]]
name = "ehr"
kind = "fhir"
path = "fhir"
upstream = "http://hapi.internal/fhir"
upstream_auth = { bearer = { env = "NOT_SET" } }
"#;
    let errors = read(text, &[]).unwrap_err().join("\n");
    for part in [
        "line 1: `issuer`",
        "line 2: `colour`: is not a key",
        "`tls.certificate`: no file",
        "`tls.private_key`: is missing",
        "line 6: `tokens.access_token_ttl`: `2h` is not between",
        "line 7: `tokens.signing_algorithm`",
        "line 9: `sessions.idle_timeout`: has to be a text",
        "line 13: `route[1].path`",
        "line 14: `route[1].upstream`: is plain http",
        "line 15: `route[1].upstream_auth.bearer`: the environment variable `NOT_SET`",
    ] {
        assert!(errors.contains(part), "{part} in\n{errors}");
    }
}

#[test]
fn routes_that_overlap_or_take_our_paths_are_refused() {
    let route = |name: &str, path: &str| {
        format!(
            "[[route]]\nname = \"{name}\"\nkind = \"http\"\npath = \"{path}\"\nupstream = \"https://u\"\n"
        )
    };
    let text = format!("{GOOD}{}{}", route("a", "/fhir/sub"), route("b", "/token"));
    let errors = read(&text, &[]).unwrap_err().join("\n");
    assert!(errors.contains("overlaps"), "{errors}");
    assert!(errors.contains("gateway's own path"), "{errors}");
    assert!(read(&format!("{GOOD}{}", route("a", "/fhirx")), &[]).is_ok());
}

#[test]
fn a_rule_has_the_whole_path_and_one_scope() {
    let with = |rule: &str| {
        let route =
            "[[route]]\nname = \"slots\"\nkind = \"http\"\npath = \"/api\"\nupstream = \"https://u\"\n";
        let text = format!("{GOOD}{route}[[route.allow]]\nmethods = [\"GET\"]\n{rule}\n");
        read(&text, &[]).err().unwrap_or_default().join("\n")
    };
    for good in ["/api", "/api/slots/{id}", "/api/", "/{any}/slots", "/%61pi/slots"] {
        assert_eq!(with(&format!("path = \"{good}\"\nscope = \"slots.read\"")), "");
    }
    for above in ["/slots/{id}", "/apis/{id}", "/*"] {
        let told =
            format!("`route[2].allow[1].path`: `{above}` is not below `/api`; rules have the whole path");
        let errors = with(&format!("path = \"{above}\""));
        assert!(errors.contains(&told), "{above}: {errors}");
    }
    for scope in ["slots.read slots.write", "", "slots.read "] {
        let errors = with(&format!("path = \"/api\"\nscope = \"{scope}\""));
        assert!(
            errors.contains("`route[2].allow[1].scope`") && errors.contains("one scope"),
            "{scope}: {errors}"
        );
    }
}

#[test]
fn a_file_that_is_not_there_names_how_another_is_chosen() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let error = |name: &str| Config::load(&folder.join(name)).map(drop).unwrap_err()[0].to_string();
    let missing = error("no-such.toml");
    assert!(missing.contains("no-such.toml") && missing.contains("--config"), "{missing}");
    assert!(missing.contains("CHARTGATE_CONFIG"), "{missing}");
    let folder_in_its_place = error("src");
    assert!(!folder_in_its_place.contains("--config"), "it is the right one: {folder_in_its_place}");
}

#[test]
fn who_may_register_itself_is_named_by_host_and_never_without_a_limit() {
    let with = |table: &str| read(&format!("{GOOD}[registration]\n{table}\n"), &[]).map(|c| c.registration);
    let admits = |hosts: &str, id: &str| {
        let registration = with(&format!("documents = [{hosts}]\nscope = \"openid\"")).unwrap();
        registration.admits(&id.parse().unwrap())
    };
    let id = "https://app.example.org/c";
    assert!(!read(GOOD, &[]).unwrap().registration.admits(&id.parse().unwrap()));
    for (hosts, admitted) in [
        ("", false),
        ("\"app.example.org\"", true),
        ("\"*\"", true),
        ("\"example.org\"", false),
        ("\"app.example.org:8443\"", false),
    ] {
        assert_eq!(admits(hosts, id), admitted, "{hosts}");
    }
    assert!(!admits("\"*\"", "app") && !admits("\"*\"", "https://app.example.org#c"));
    let errors = with("documents = [\"*\"]").unwrap_err().join("\n");
    assert!(errors.contains("`registration.scope`"), "{errors}");
    for bad in ["https://app.example.org", "*.example.org", "App.example.org", "app.example.org:443", ""] {
        let errors = with(&format!("documents = [\"{bad}\"]\nscope = \"openid\"")).unwrap_err().join("\n");
        assert!(errors.contains("is no host"), "{bad}: {errors}");
    }
}

#[test]
fn what_is_not_toml_is_named_by_its_line() {
    let errors = read("issuer = \"https://a\"\n[tls\n", &[]).unwrap_err().join("\n");
    assert!(errors.contains("line 2: not TOML"), "{errors}");
}

#[test]
fn a_rotated_secret_of_an_export_needs_a_restart() {
    let with = |kind: &str, keys: &str| {
        let export = format!(
            "{GOOD}\n[[audit.export]]\nname = \"x\"\nkind = \"{kind}\"\nurl = \"https://x.example/b\"\n{keys}"
        );
        read(&export, &[]).unwrap()
    };
    let s3 = "region = \"r\"\naccess_key_id = \"AK\"\nsecret_access_key = ";
    for (kind, keys) in [
        ("ocsf", "signing_secret = \"the first secret of the two NUMBER\""),
        ("ocsf", "auth = { bearer = \"the-first-token-NUMBER\" }"),
        ("fhir", "auth = { basic = { username = \"u\", password = \"password-NUMBER\" } }"),
        ("s3", &format!("{s3}\"secret-NUMBER\"")),
    ] {
        let number = |number: &str| with(kind, &keys.replace("NUMBER", number));
        let needs = |old: Config, new: Config| old.succeeded_by(new).unwrap().needs_restart;
        assert_eq!(needs(number("1"), number("1")), [""; 0], "{kind}");
        assert_eq!(needs(number("1"), number("2")), ["audit.export"], "{kind}");
    }
}

#[test]
fn how_long_the_log_is_kept_is_taken_over_and_where_it_is_needs_a_restart() {
    let with = |audit: &str| read(&format!("{GOOD}\n[audit]\n{audit}\n"), &[]).unwrap();
    let succession = with("").succeeded_by(with("retention = \"10y\"")).unwrap();
    assert_eq!(succession.needs_restart, [""; 0]);
    assert_eq!(succession.config.audit.retention, Duration::from_secs(10 * 31_557_600));
    let elsewhere = "retention = \"1y\"\ndir = \"elsewhere\"\ndurability = \"os\"";
    let succession = with("").succeeded_by(with(elsewhere)).unwrap();
    assert_eq!(succession.needs_restart, ["audit.dir", "audit.durability"]);
    assert_eq!(succession.config.audit.durability, Durability::Fsync);
}

#[test]
fn the_host_is_told_without_its_port_whatever_it_is() {
    let host = |issuer: &str| {
        let text = GOOD.replace("https://gate.example.org", issuer);
        read(&text, &[]).unwrap().host().to_owned()
    };
    assert_eq!(host("https://gate.example.org"), "gate.example.org");
    assert_eq!(host("https://gate.example.org:8443"), "gate.example.org");
    assert_eq!(host("https://[2001:db8::1]:8443"), "[2001:db8::1]");
    assert_eq!(host("https://[2001:db8::1]"), "[2001:db8::1]");
}

#[test]
fn where_an_export_goes_is_told_without_a_path_that_may_admit_us() {
    let text = format!(
        "{GOOD}\n[[audit.export]]\nname = \"siem\"\nkind = \"ocsf\"\n\
         url = \"https://siem.example.org:8088/services/T0123/very-secret\"\n"
    );
    let config = read(&text, &[]).unwrap();
    assert_eq!(config.audit.exports[0].receiver.place(), "https://siem.example.org:8088");
}
