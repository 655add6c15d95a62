//! Beside an identity provider that is already there: its access tokens at our routes, with our policies, panels, records
//! and cut-offs. Rows J06, J18, J19 of the corpus.

use chartgate_protocol::jose::{Algorithm, KeySet, SigningKey, jws};
use serde_json::{Value, json};

use crate::fakes::large::LargeFhir;
use crate::fakes::secured::{Certificates, Secured, certificates};
use crate::faults::until_recorded;
use crate::gateway::{Gateway, Scratch};
use crate::reload::reload;
use crate::routes::{SCOPE, serve_in};
use crate::wire::{Answer, Call};

const ISSUER: &str = "https://login.example.org/realms/clinic";
const OTHER: &str = "https://other.example.org";
const SUBJECT: &str = "https://login.example.org/realms/clinic#f:8a1e:dana";
const MINE: &str = "pt-mine";

/// A gateway before a FHIR server, and the identity provider beside it.
struct Clinic {
    gateway: Gateway,
    provider: Secured,
    key: SigningKey,
    _fhir: LargeFhir,
}

fn publish(provider: &Secured, keys: &[&SigningKey]) {
    let set: KeySet = keys.iter().map(|key| key.verifying_key().clone()).collect();
    provider.seen.lock().unwrap().keys = Some(serde_json::to_string(&set).unwrap());
}

impl Clinic {
    async fn open(name: &str) -> Self {
        Self::open_with(name, "").await
    }

    /// The same with more keys for the route.
    async fn open_with(name: &str, route: &str) -> Self {
        let scratch = Scratch::new(name);
        certificates(scratch.path());
        let provider = Secured::start(scratch.path(), Certificates::NotWanted).await;
        let key = SigningKey::generate(Algorithm::RS256).unwrap();
        publish(&provider, &[&key]);
        let other = SigningKey::generate(Algorithm::ES256).unwrap();
        let keys: KeySet = [other.verifying_key().clone()].into_iter().collect();
        scratch.write("other.jwks", serde_json::to_string(&keys).unwrap());
        let fhir = LargeFhir::start(MINE, "pt-other").await;
        let tables = format!(
            r#"
[[route]]
name = "ehr"
kind = "fhir"
path = "/fhir"
upstream = "http://127.0.0.1:{}/fhir"
{route}
[[trusted_issuer]]
issuer = "{ISSUER}"
jwks_url = "https://localhost:{}/keys"
jwks_ca = "ca.pem"
audiences = ["fhir"]
typ = "jwt"
claims = {{ roles = "realm_access.roles", client_id = "azp" }}
roles = {{ "EHR Physician" = "physician" }}
acr = {{ "urn:test:key" = "phr" }}
amr = {{ "fido" = "pop" }}
[[trusted_issuer]]
issuer = "{OTHER}"
jwks_file = "other.jwks"
audiences = ["fhir"]
"#,
            fhir.port, provider.port
        );
        let gateway = serve_in(scratch, "", &tables, SCOPE);
        Self { gateway, provider, key, _fhir: fhir }
    }

    /// A token as Keycloak writes it, but for what is changed: `null` leaves a claim out.
    fn token(&self, jti: &str, changes: &Value) -> String {
        self.signed(&self.key, jti, changes)
    }

    fn signed(&self, key: &SigningKey, jti: &str, changes: &Value) -> String {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let mut claims = json!({
            "exp": now.saturating_add(300), "iat": now, "jti": jti, "iss": ISSUER, "aud": ["fhir", "account"],
            "sub": "f:8a1e:dana", "typ": "Bearer", "azp": "portal", "sid": "6bd3a9b6-3f7d-4f1e", "acr": "1",
            "realm_access": { "roles": ["EHR Physician", "offline_access"] }, "scope": "openid user/*.rs",
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        jws::sign(key, "JWT", &claims).unwrap()
    }

    async fn read(&self, token: &str) -> Answer {
        Call::get("/fhir/Observation/small").bearer(token).to(&self.gateway).await
    }

    fn cut(&self, words: &[&str]) {
        self.gateway.command(words);
    }
}

#[tokio::test]
async fn a_token_of_another_issuer_opens_what_policy_and_panel_allow_its_person() {
    let clinic = Clinic::open("trusted").await;
    let token = clinic.token("t-1", &json!({}));
    assert_eq!(clinic.read(&token).await.status, 404, "nobody is in this person's care yet");
    clinic.cut(&["care", "add", SUBJECT, MINE]);
    let answer = clinic.read(&token).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let records = clinic.gateway.audit(&["--user", SUBJECT, "--outcome", "allow"]);
    let record = records.iter().find(|record| record["event"] == "access").unwrap();
    assert_eq!(record["actor"]["client_id"], format!("{ISSUER}#portal"));
    assert_eq!(record["actor"]["roles"], json!(["physician"]));
    assert_eq!(record["jti"], format!("{ISSUER}#t-1"));
    assert_eq!(record["session"], format!("{ISSUER}#6bd3a9b6-3f7d-4f1e"));
    assert_eq!(record["patients"], json!([MINE]));
    // Somebody of our own of the same name is somebody else.
    let same = clinic.token("t-2", &json!({"sub": "dana"}));
    assert_eq!(clinic.read(&same).await.status, 404);
    let nobody = clinic.token("t-3", &json!({"realm_access": {"roles": ["physician"]}}));
    assert_eq!(clinic.read(&nobody).await.status, 403, "only roles that were named here count");
    let metadata = Call::get("/.well-known/oauth-protected-resource/fhir").to(&clinic.gateway).await.json();
    assert_eq!(metadata["authorization_servers"], json!([clinic.gateway.issuer, ISSUER, OTHER]));
}

#[tokio::test]
async fn a_reload_while_an_issuers_server_is_away_refuses_nobody_and_another_ca_has_it_asked_anew() {
    let clinic = Clinic::open("trusted-reload").await;
    clinic.cut(&["care", "add", SUBJECT, MINE]);
    assert_eq!(clinic.read(&clinic.token("r-1", &json!({}))).await.status, 200);
    clinic.provider.seen.lock().unwrap().keys = None;
    reload(&clinic.gateway).await;
    let answer = clinic.read(&clinic.token("r-2", &json!({}))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // What another vouched for is not what this one does.
    let ca = clinic.gateway.folder().join("ca.pem");
    let text = std::fs::read_to_string(&ca).unwrap();
    std::fs::write(&ca, format!("{text}\n{text}")).unwrap();
    reload(&clinic.gateway).await;
    assert_eq!(clinic.read(&clinic.token("r-3", &json!({}))).await.status, 401);
}

#[tokio::test]
async fn j19_how_another_issuer_says_that_somebody_signed_in_counts_only_as_it_is_called_here() {
    let clinic = Clinic::open_with("trusted-methods", "").await;
    clinic.cut(&["care", "add", SUBJECT, MINE]);
    let policy = r#"@id("passkeys-alone") forbid (principal, action, resource is Chartgate::Record)
        unless { context.amr.contains("pop") };"#;
    std::fs::write(clinic.gateway.folder().join("policies/passkeys-alone.cedar"), policy).unwrap();
    until_recorded(&clinic.gateway, "policy.reload", 1).await;
    for (jti, said, status, recorded) in [
        ("m-1", json!(["pop", "user", "mfa"]), 403, json!([])),
        ("m-2", json!(["fido", "pwd"]), 200, json!(["pop"])),
    ] {
        let token = clinic.token(jti, &json!({ "amr": said }));
        let begun = std::time::Instant::now();
        let mut answer = clinic.read(&token).await;
        // It is recorded before it is in force.
        while answer.status != status && begun.elapsed() < std::time::Duration::from_secs(30) {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            answer = clinic.read(&token).await;
        }
        assert_eq!(answer.status, status, "{said}: {}", answer.text());
        let records = clinic.gateway.audit(&["--user", SUBJECT, "--event", "access"]);
        let record = records.iter().rfind(|record| record["jti"] == format!("{ISSUER}#{jti}")).unwrap();
        assert_eq!(record.get("amr").cloned().unwrap_or(json!([])), recorded);
    }
}

#[tokio::test]
async fn j19_what_another_issuer_calls_strong_is_so_here_where_it_was_said_to_be_and_not_by_using_our_word() {
    let clinic = Clinic::open_with(
        "trusted-strength",
        "acr_values = [\"https://refeds.org/profile/mfa\", \"urn:test:two\"]",
    )
    .await;
    clinic.cut(&["care", "add", SUBJECT, MINE]);
    let ours = "https://refeds.org/profile/mfa";
    for (jti, said, status, recorded) in [
        ("a-1", "phr", 401, None),
        ("a-2", ours, 401, None),
        ("a-3", "urn:test:key", 200, Some("phr")),
        ("a-4", "urn:test:two", 200, Some("urn:test:two")),
        ("a-5", "urn:test:one", 401, None),
    ] {
        let answer = clinic.read(&clinic.token(jti, &json!({ "acr": said }))).await;
        assert_eq!(answer.status, status, "{said}: {}", answer.text());
        let records = clinic.gateway.audit(&["--user", SUBJECT, "--outcome", "allow"]);
        let record = records.iter().find(|record| record["jti"] == format!("{ISSUER}#{jti}"));
        assert_eq!(record.map(|record| record["acr"].as_str().unwrap()), recorded, "{said}");
    }
}

#[tokio::test]
async fn another_issuer_names_no_purpose_that_its_persons_roles_do_not_have_here_and_no_emergency() {
    let clinic = Clinic::open_with("trusted-purpose", "").await;
    clinic.cut(&["care", "add", SUBJECT, MINE]);
    for (purpose, status, recorded) in [
        (json!("COC"), 200, json!("COC")),
        (json!("HPAYMT"), 401, json!(null)),
        (json!("HMARKT"), 401, json!(null)),
        (json!("ETREAT"), 200, json!(null)),
        (json!("BTG"), 200, json!(null)),
        (json!("made-up"), 200, json!(null)),
    ] {
        let jti = format!("p-{}", purpose.as_str().unwrap());
        let answer = clinic.read(&clinic.token(&jti, &json!({ "purpose_of_use": purpose }))).await;
        assert_eq!(answer.status, status, "{purpose}: {}", answer.text());
        if status == 200 {
            let records = clinic.gateway.audit(&["--user", SUBJECT]);
            let record = records.iter().find(|r| r["jti"] == format!("{ISSUER}#{jti}")).unwrap();
            assert_eq!(record.get("purpose_of_use").cloned().unwrap_or_default(), recorded, "{purpose}");
        }
    }
    let denied = clinic.gateway.audit(&["--outcome", "deny"]);
    let of = denied.iter().filter(|record| record["decision"]["reason"] == "purpose-not-allowed").count();
    assert_eq!(of, 2, "{denied:?}");
}

#[tokio::test]
async fn j18_j19_what_is_not_exactly_an_access_token_of_this_issuer_is_refused() {
    let clinic = Clinic::open("trusted-attacks").await;
    clinic.cut(&["care", "add", SUBJECT, MINE]);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    for (number, changes) in [
        json!({"iss": format!("{ISSUER}/")}),
        json!({"iss": ISSUER.to_uppercase()}),
        json!({"iss": OTHER}),
        json!({"iss": clinic.gateway.issuer}),
        json!({"iss": null}),
        json!({"aud": "fhi"}),
        json!({"aud": format!("{}/fhir", clinic.gateway.issuer)}),
        json!({"aud": ["fhir", "portal"]}),
        json!({"nonce": "n"}),
        json!({"at_hash": "h"}),
        json!({"typ": "Refresh"}),
        json!({"exp": now}),
        json!({"exp": now.saturating_add(90_000)}),
        json!({"iat": now.saturating_add(60)}),
        json!({"azp": null}),
        json!({"sub": null}),
        json!({"cnf": {"jkt": "x"}}),
    ]
    .iter()
    .enumerate()
    {
        let answer = clinic.read(&clinic.token(&format!("a-{number}"), changes)).await;
        assert_eq!(answer.status, 401, "{changes}: {}", answer.text());
    }
    let stranger = SigningKey::generate(Algorithm::RS256).unwrap();
    let forged = clinic.signed(&stranger, "forged", &json!({}));
    assert_eq!(clinic.read(&forged).await.status, 401);
    // At our own endpoints it is no token at all.
    let token = clinic.token("own", &json!({}));
    assert_eq!(clinic.read(&token).await.status, 200);
    assert_eq!(Call::get("/userinfo").bearer(&token).to(&clinic.gateway).await.status, 401);
    assert_eq!(Call::get("/audit/checkpoint").bearer(&token).to(&clinic.gateway).await.status, 401);
}

#[tokio::test]
async fn cut_offs_reach_tokens_of_another_issuer_at_once_and_survive_a_crash() {
    let mut clinic = Clinic::open("trusted-cuts").await;
    clinic.cut(&["care", "add", SUBJECT, MINE]);
    let (by_itself, by_name) = (clinic.token("r-1", &json!({})), clinic.token("r-2", &json!({})));
    let of_session = clinic.token("r-3", &json!({"sid": "session-2"}));
    let later = clinic.token("r-4", &json!({"sid": "session-3"}));
    for token in [&by_itself, &by_name, &of_session, &later] {
        assert_eq!(clinic.read(token).await.status, 200);
    }
    clinic.cut(&["token", "revoke", &by_itself]);
    assert_eq!(clinic.read(&by_itself).await.status, 401);
    clinic.cut(&["token", "revoke", &format!("{ISSUER}#r-2")]);
    assert_eq!(clinic.read(&by_name).await.status, 401);
    clinic.cut(&["session", "end", &format!("{ISSUER}#session-2")]);
    assert_eq!(clinic.read(&of_session).await.status, 401);
    assert_eq!(clinic.read(&later).await.status, 200);
    // What is mistyped ends nothing, and does not look as if it had.
    for words in [["user", "disable"], ["session", "end"], ["token", "revoke"]] {
        let mistyped =
            clinic.gateway.try_command(&[words[0], words[1], "https://login.example.org/realms/clinik#r-4"]);
        assert!(mistyped.code == Some(1) && mistyped.err.contains("nothing was ended"), "{mistyped:?}");
    }
    assert_eq!(clinic.read(&later).await.status, 200);
    // Whoever is shut out stays so, whatever their provider issues.
    clinic.cut(&["user", "disable", SUBJECT]);
    assert_eq!(clinic.read(&later).await.status, 401);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(clinic.read(&clinic.token("r-5", &json!({}))).await.status, 401);
    clinic.gateway.kill();
    clinic.gateway.start();
    for token in [&by_itself, &by_name, &of_session, &clinic.token("r-6", &json!({}))] {
        assert_eq!(clinic.read(token).await.status, 401);
    }
    clinic.cut(&["user", "enable", SUBJECT]);
    assert_eq!(clinic.read(&later).await.status, 401, "what was issued before stays cut off");
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(clinic.read(&clinic.token("r-7", &json!({"sid": "session-4"}))).await.status, 200);
    clinic.gateway.kill_and_restart();
    assert_eq!(clinic.read(&later).await.status, 401, "after a crash too");
    assert_eq!(clinic.read(&clinic.token("r-8", &json!({"sid": "session-4"}))).await.status, 200);
    let stranger = clinic.gateway.try_command(&["user", "add", SUBJECT]);
    assert!(!stranger.success, "a name of another issuer's is not ours to give");
}

#[tokio::test]
async fn j06_the_providers_keys_are_asked_for_once_and_made_up_names_of_keys_ask_nobody() {
    let clinic = Clinic::open("trusted-keys").await;
    clinic.cut(&["care", "add", SUBJECT, MINE]);
    for number in 0..5 {
        assert_eq!(clinic.read(&clinic.token(&format!("k-{number}"), &json!({}))).await.status, 200);
    }
    for number in 0..10 {
        let made_up = SigningKey::generate(Algorithm::ES256).unwrap();
        assert_eq!(
            clinic.read(&clinic.signed(&made_up, &format!("f-{number}"), &json!({}))).await.status,
            401
        );
    }
    assert_eq!(clinic.provider.seen.lock().unwrap().keys_asked, 1);
}

#[tokio::test]
async fn a_provider_that_cannot_be_asked_lets_nobody_in() {
    let clinic = Clinic::open("trusted-dead").await;
    clinic.provider.seen.lock().unwrap().keys = None;
    assert_eq!(clinic.read(&clinic.token("d-1", &json!({}))).await.status, 401);
}

#[tokio::test]
async fn rfc_9470_who_signed_in_too_long_ago_or_not_well_enough_is_told_to_sign_in_again() {
    let clinic =
        Clinic::open_with("trusted-step-up", "max_auth_age = \"10m\"\nacr_values = [\"gold\", \"silver\"]")
            .await;
    clinic.cut(&["care", "add", SUBJECT, MINE]);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let fresh = json!({"auth_time": now.saturating_sub(590), "acr": "silver"});
    assert_eq!(clinic.read(&clinic.token("s-1", &fresh)).await.status, 200);
    for (jti, changes) in [
        ("s-2", json!({"auth_time": now.saturating_sub(601), "acr": "silver"})),
        ("s-3", json!({"auth_time": now, "acr": "bronze"})),
        ("s-4", json!({"auth_time": now, "acr": null})),
        ("s-5", json!({"acr": "gold"})),
    ] {
        let answer = clinic.read(&clinic.token(jti, &changes)).await;
        assert_eq!(answer.status, 401, "{changes}");
        let challenge = answer.header("www-authenticate");
        for part in ["insufficient_user_authentication", "max_age=\"600\"", "acr_values=\"gold silver\""] {
            assert!(challenge.contains(part), "{challenge}");
        }
    }
    let records = clinic.gateway.audit(&["--outcome", "deny"]);
    assert_eq!(records.last().unwrap()["decision"]["reason"], "insufficient-user-authentication");
    // A service does not sign in.
    let itself = json!({"sub": "portal", "acr": null, "sid": null});
    assert_ne!(clinic.read(&clinic.token("s-6", &itself)).await.status, 401);
    // A person whose name is a client's is no service.
    let person = json!({"sub": "portal", "auth_time": now});
    assert_eq!(clinic.read(&clinic.token("s-7", &person)).await.status, 401);
}

#[tokio::test]
async fn a_route_that_wants_encrypted_tokens_names_no_issuer_whose_tokens_it_refuses() {
    let clinic = Clinic::open_with("trusted-encrypted", "encrypted_tokens = true").await;
    clinic.cut(&["care", "add", SUBJECT, MINE]);
    assert_eq!(clinic.read(&clinic.token("e-1", &json!({}))).await.status, 401);
    let metadata = Call::get("/.well-known/oauth-protected-resource/fhir").to(&clinic.gateway).await.json();
    assert_eq!(metadata["authorization_servers"], json!([clinic.gateway.issuer]));
}
