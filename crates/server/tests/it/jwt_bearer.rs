//! A trusted issuer speaks for a person of ours (RFC 7523 section 2.1): rows O14, O15 and O17 of the corpus.

use chartgate_protocol::jose::{Algorithm, KeySet, SigningKey, jws};
use serde_json::{Value, json};

use crate::browser::part;
use crate::gateway::{Gateway, Person, Scratch};
use crate::parallel::{FIFTY, at_once};
use crate::routes::serve_in;
use crate::wire::{Answer, Call};

const ISSUER: &str = "https://login.example.org";
/// Trusted, but not to speak for our people.
const SILENT: &str = "https://silent.example.org";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

struct Clinic {
    gateway: Gateway,
    key: SigningKey,
    secret: String,
}

impl Clinic {
    fn open(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let keys: KeySet = [key.verifying_key().clone()].into_iter().collect();
        scratch.write("keys.jwks", serde_json::to_string(&keys).unwrap());
        let tables = format!(
            "[[trusted_issuer]]\nissuer = \"{ISSUER}\"\njwks_file = \"keys.jwks\"\naudiences = [\"fhir\"]\n\
             jwt_bearer = {{ user = \"preferred_username\" }}\namr = {{ pwd = \"pwd\", fido = \"pop\" }}\n\
             [[trusted_issuer]]\nissuer = \"{SILENT}\"\njwks_file = \"keys.jwks\"\naudiences = [\"fhir\"]\n"
        );
        let gateway = serve_in(scratch, "", &tables, "openid");
        let words = ["client", "add", "portal", "--kind", "confidential", "--grant", GRANT, "--scope"];
        let scope = "openid offline_access online_access launch/patient orders.read user/*.rs patient/*.rs system/*.rs";
        let made: Value = serde_json::from_str(&gateway.command(&[&words[..], &[scope]].concat())).unwrap();
        Self { gateway, key, secret: made["client_secret"].as_str().unwrap().to_owned() }
    }

    fn assertion(&self, person: &Person, jti: &str, changes: &Value) -> String {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let mut claims = json!({
            "iss": ISSUER, "sub": "4711", "aud": self.gateway.issuer, "iat": now, "exp": now.saturating_add(120),
            "jti": jti, "preferred_username": person.name, "amr": ["pwd", "otp"],
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        jws::sign(&self.key, "JWT", &claims).unwrap()
    }

    fn ask(&self, assertion: &str) -> Call {
        Call::form("/token", &[("grant_type", GRANT), ("assertion", assertion)]).basic("portal", &self.secret)
    }

    async fn outcome(&self, assertion: &str) -> Answer {
        self.ask(assertion).to(&self.gateway).await
    }
}

#[tokio::test]
async fn a_person_of_ours_whom_a_trusted_issuer_speaks_for_gets_a_token_and_nothing_that_outlives_it() {
    let clinic = Clinic::open("jwt-bearer");
    let person = clinic.gateway.person("physician", &[]);
    let answer = clinic.outcome(&clinic.assertion(&person, "a-1", &json!({}))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    assert_eq!(
        answer["scope"], "orders.read user/*.rs",
        "no identity, no refresh, no patient's and no system's scopes"
    );
    assert_eq!((answer.get("refresh_token"), answer.get("id_token")), (None, None));
    let claims = part(answer["access_token"].as_str().unwrap(), 1);
    assert_eq!(claims["sub"], person.name);
    assert_eq!(claims["roles"], json!(["physician"]), "ours, not the issuer's");
    assert_eq!(claims["amr"], json!(["pwd"]), "what nobody here named is not repeated");
    assert_eq!(claims.get("auth_time"), None, "an assertion is no sign-in");
    let said = json!({"auth_time": 1_700_000_000});
    let answer = clinic.outcome(&clinic.assertion(&person, "a-2", &said)).await.json();
    assert_eq!(part(answer["access_token"].as_str().unwrap(), 1)["auth_time"], 1_700_000_000);
    let record = clinic.gateway.audit(&["--user", &person.name]).pop().unwrap();
    assert_eq!(record["event"], "token.issue");
    assert_eq!(record["detail"]["asserted_by"], ISSUER);
    let names = Call::get("/.well-known/openid-configuration").to(&clinic.gateway).await.json();
    assert!(names["grant_types_supported"].as_array().unwrap().contains(&GRANT.into()));
}

#[tokio::test]
async fn o14_an_assertion_that_is_not_exactly_right_or_was_used_is_refused() {
    let clinic = Clinic::open("jwt-bearer-attacks");
    let person = clinic.gateway.person("physician", &[]);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    for (number, changes) in [
        json!({"iss": SILENT}),
        json!({"iss": "https://stranger.example.org"}),
        json!({"iss": clinic.gateway.issuer}),
        json!({"iss": "portal", "sub": "portal"}),
        json!({"aud": [clinic.gateway.issuer]}),
        json!({"aud": "https://elsewhere.example"}),
        json!({"aud": "portal"}),
        json!({"exp": now.saturating_add(400)}),
        json!({"exp": now}),
        json!({"iat": now.saturating_add(60)}),
        json!({"iat": null}),
        json!({"jti": null}),
        json!({"preferred_username": null}),
        json!({"preferred_username": "nobody"}),
        json!({"preferred_username": "till"}),
        json!({"preferred_username": format!("{ISSUER}#4711")}),
    ]
    .iter()
    .enumerate()
    {
        let answer = clinic.outcome(&clinic.assertion(&person, &format!("b-{number}"), changes)).await;
        assert_eq!((answer.status, answer.error()), (400, "invalid_grant".to_owned()), "{changes}");
    }
    let stranger = SigningKey::generate(Algorithm::ES256).unwrap();
    let forged = Clinic { key: stranger, ..clinic };
    let assertion = forged.assertion(&person, "forged", &json!({}));
    assert_eq!(forged.outcome(&assertion).await.error(), "invalid_grant");
    assert_eq!(forged.outcome("a.b.c").await.error(), "invalid_grant");
}

#[tokio::test]
async fn o14_of_fifty_parallel_uses_of_an_assertion_one_wins() {
    let clinic = Clinic::open("jwt-bearer-race");
    let person = clinic.gateway.person("physician", &[]);
    let assertion = clinic.assertion(&person, "race", &json!({}));
    let answers = at_once(&clinic.gateway, FIFTY, |_| clinic.ask(&assertion)).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.error() == "invalid_grant").count(), FIFTY - 1);
}

#[tokio::test]
async fn o15_whom_the_issuer_may_speak_of_no_more_it_speaks_for_no_more() {
    let clinic = Clinic::open("jwt-bearer-foreign-names");
    let person = clinic.gateway.person("physician", &[]);
    let theirs = format!("{ISSUER}#4711");
    clinic.gateway.command(&["user", "disable", &theirs]);
    let refused = clinic.outcome(&clinic.assertion(&person, "d-1", &json!({}))).await;
    assert_eq!((refused.status, refused.error()), (400, "invalid_grant".to_owned()));
    let why = clinic.gateway.audit(&["--event", "token.denied"]).pop().unwrap();
    assert_eq!(why["decision"]["reason"], "revoked-subject");
    let other = json!({"sub": "4712"});
    assert_eq!(clinic.outcome(&clinic.assertion(&person, "d-2", &other)).await.status, 200);
    clinic.gateway.command(&["token", "revoke", &format!("{ISSUER}#d-3")]);
    let one = clinic.outcome(&clinic.assertion(&person, "d-3", &other)).await;
    assert_eq!((one.status, one.error()), (400, "invalid_grant".to_owned()));
    clinic.gateway.command(&["user", "enable", &theirs]);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(clinic.outcome(&clinic.assertion(&person, "d-4", &json!({}))).await.status, 200);
}

#[tokio::test]
async fn o15_who_was_shut_out_signs_in_again_there_too_however_long_ago_that_was() {
    let clinic = Clinic::open("jwt-bearer-shut-out");
    let person = clinic.gateway.person("physician", &[]);
    let name = person.name.as_str();
    let database = rusqlite::Connection::open(clinic.gateway.folder().join("data/chartgate.db")).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    let now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let ways: [&[&[&str]]; 3] = [
        &[&["user", "disable", name], &["user", "enable", name]],
        &[&["user", "set-password", name]],
        &[&["user", "reset-mfa", name]],
    ];
    for (number, commands) in ways.into_iter().enumerate() {
        let before = json!({ "auth_time": now() });
        let good = clinic.outcome(&clinic.assertion(&person, &format!("e-{number}"), &before)).await;
        assert_eq!(good.status, 200, "{commands:?}: {}", good.text());
        for command in commands {
            clinic.gateway.command(command);
        }
        // As if longer had passed than any token lives, after which cut-offs are forgotten.
        assert!(database.execute("DELETE FROM cut_offs", []).unwrap() > 0);
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        let refused = clinic.outcome(&clinic.assertion(&person, &format!("f-{number}"), &before)).await;
        assert_eq!((refused.status, refused.error()), (400, "invalid_grant".to_owned()), "{commands:?}");
        let why = clinic.gateway.audit(&["--event", "token.denied"]).pop().unwrap();
        assert_eq!(why["decision"]["reason"], "signed-in-before-shut-out");
    }
    // Other roles shut nobody out: what is said of them from then on is good, by the sign-in from before.
    let before = json!({ "auth_time": now() });
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    clinic.gateway.command(&["user", "roles", name, "--role", "nurse"]);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let good = clinic.outcome(&clinic.assertion(&person, "g", &before)).await;
    assert_eq!(good.status, 200, "{}", good.text());
}

#[tokio::test]
async fn o15_o17_nobody_who_was_shut_out_and_no_client_that_may_not() {
    let clinic = Clinic::open("jwt-bearer-gate");
    let person = clinic.gateway.person("physician", &[]);
    let before = clinic.assertion(&person, "c-1", &json!({}));
    let also_before = clinic.assertion(&person, "c-2", &json!({}));
    clinic.gateway.command(&["user", "disable", &person.name]);
    assert_eq!(clinic.outcome(&before).await.error(), "invalid_grant");
    clinic.gateway.command(&["user", "enable", &person.name]);
    assert_eq!(clinic.outcome(&also_before).await.error(), "invalid_grant", "made before they were shut out");
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(clinic.outcome(&clinic.assertion(&person, "c-3", &json!({}))).await.status, 200);
    let words =
        ["client", "add", "other", "--kind", "confidential", "--redirect-uri", "https://o.example/cb"];
    let made: Value = serde_json::from_str(&clinic.gateway.command(&words)).unwrap();
    let secret = made["client_secret"].as_str().unwrap();
    let assertion = clinic.assertion(&person, "c-4", &json!({}));
    let fields = [("grant_type", GRANT), ("assertion", assertion.as_str())];
    let answer = Call::form("/token", &fields).basic("other", secret).to(&clinic.gateway).await;
    assert_eq!(answer.error(), "unauthorized_client");
    clinic.gateway.command(&["client", "remove", "portal"]);
    assert_eq!(clinic.outcome(&assertion).await.error(), "invalid_client", "o16");
}
