//! Clients that show a certificate, and tokens that are bound to one (RFC 8705): rows G10, O06 and O12 of the corpus.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    PublicKeyData as _, SanType, date_time_ymd,
};
use serde_json::{Value, json};

use crate::browser::{App, CALLBACK, Tokens};
use crate::fakes::upstream::Upstream;
use crate::gateway::{Gateway, free_ports};
use crate::possession::DpopKey;
use crate::routes::{SCOPE, serve_with};
use crate::wire::{Answer, Call, Connection, Identity, Shown, Target, encode, fresh_address, tls_to};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A gateway with a listener that asks for certificates, and the authority that vouches for them there.
struct Mutual {
    gateway: Gateway,
    port: u16,
    authority: Authority,
    _upstream: Upstream,
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Clients of the clinic");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let (mut params, key) = (client_certificate(), KeyPair::generate().unwrap());
        change(&mut params);
        let own = params.signed_by(&key, &self.0).unwrap();
        Identity { chain: vec![own.der().clone()], key: key.serialize_der() }
    }
}

/// `CN=app,O=Clinic`, with a name of every kind.
fn client_certificate() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Clinic");
    params.distinguished_name.push(DnType::CommonName, "app");
    params.subject_alt_names = vec![
        SanType::DnsName("app.clinic.test".try_into().unwrap()),
        SanType::URI("urn:clinic:app".try_into().unwrap()),
        SanType::IpAddress("192.0.2.7".parse().unwrap()),
        SanType::Rfc822Name("app@clinic.test".try_into().unwrap()),
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// A certificate that nobody vouches for, with the key set that registers it.
pub(crate) fn self_signed() -> (Identity, Value) {
    let key = KeyPair::generate().unwrap();
    let own = client_certificate().self_signed(&key).unwrap();
    // An uncompressed point of P-256: 0x04, x, y.
    let point = key.der_bytes();
    let coordinate = |range| URL_SAFE_NO_PAD.encode(point.get::<std::ops::Range<usize>>(range).unwrap());
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": coordinate(1..33), "y": coordinate(33..65),
        "x5c": [STANDARD.encode(own.der())] });
    (Identity { chain: vec![own.der().clone()], key: key.serialize_der() }, json!({ "keys": [jwk] }))
}

impl Mutual {
    async fn serve(name: &str) -> Self {
        let (authority, upstream) = (Authority::new(), Upstream::start().await);
        let mut gateway = serve_with(name, upstream.port, "", "");
        gateway.terminate();
        gateway.scratch().write("client-ca.pem", authority.0.pem());
        let [port] = free_ports();
        let text = std::fs::read_to_string(gateway.config()).unwrap();
        let text = text.replace("[listen]", &format!("[listen]\nmtls = \"127.0.0.1:{port}\""));
        std::fs::write(gateway.config(), text.replace("[tls]", "[tls]\nclient_ca = \"client-ca.pem\""))
            .unwrap();
        gateway.start();
        Self { gateway, port, authority, _upstream: upstream }
    }

    fn register(&self, id: &str, kind: &str, more: &[&str]) -> Value {
        let words = ["client", "add", id, "--kind", kind, "--scope", SCOPE, "--role", "billing"];
        serde_json::from_str(&self.gateway.command(&[&words, more].concat())).unwrap()
    }

    async fn send(&self, identity: Option<&Identity>, call: Call) -> Answer {
        Connection::open_mutual(&self.gateway, self.port, identity).await.send(call).await
    }

    /// What a client gets for itself, with this certificate.
    async fn ask(&self, id: &str, identity: Option<&Identity>) -> Answer {
        self.send(identity, self.ask_call(id)).await
    }

    fn ask_call(&self, id: &str) -> Call {
        let orders = format!("{}/orders", self.gateway.issuer);
        let fields = [("grant_type", "client_credentials"), ("client_id", id), ("resource", &orders)];
        Call::form("/token", &fields)
    }

    async fn reads(&self, identity: Option<&Identity>, token: &str) -> bool {
        match self.send(identity, order().bearer(token)).await.status {
            200 => true,
            401 => false,
            other => panic!("{other}"),
        }
    }
}

fn order() -> Call {
    Call::get("/orders/17")
}

fn x5t(identity: &Identity) -> String {
    use aws_lc_rs::digest::{SHA256, digest};
    URL_SAFE_NO_PAD.encode(digest(&SHA256, &identity.chain[0]))
}

fn is_invalid_client(answer: &Answer) -> bool {
    answer.status == 401 && answer.error() == "invalid_client"
}

#[tokio::test]
async fn g10_a_client_shows_who_it_is_by_the_one_name_that_it_registered() {
    let mutual = Mutual::serve("mtls-names").await;
    let good = mutual.authority.issue(|_| {});
    for (number, (option, name)) in [
        ("--tls-client-auth-subject-dn", "CN=app,O=Clinic"),
        ("--tls-client-auth-san-dns", "app.clinic.test"),
        ("--tls-client-auth-san-uri", "urn:clinic:app"),
        ("--tls-client-auth-san-ip", "192.0.2.7"),
        ("--tls-client-auth-san-email", "app@clinic.test"),
    ]
    .into_iter()
    .enumerate()
    {
        let [id, other] = ["named", "misnamed"].map(|kind| format!("{kind}-{number}"));
        let shown = mutual.register(&id, "backend", &["--auth-method", "tls_client_auth", option, name]);
        assert_eq!(shown[option.trim_start_matches('-').replace('-', "_")], name);
        assert_eq!(mutual.ask(&id, Some(&good)).await.status, 200, "{name}");
        let wrong = name.replace("app", "App2").replace("192.0.2.7", "192.0.2.8");
        mutual.register(&other, "backend", &["--auth-method", "tls_client_auth", option, &wrong]);
        assert!(is_invalid_client(&mutual.ask(&other, Some(&good)).await), "{wrong}");
    }
    // The right name, but nobody whom we know vouches for it, or not for this, or not any more.
    let impostor = Authority::new().issue(|_| {});
    let server = mutual
        .authority
        .issue(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let expired = mutual.authority.issue(|params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let (alone, _) = self_signed();
    for identity in [Some(&impostor), Some(&server), Some(&expired), Some(&alone), None] {
        assert!(is_invalid_client(&mutual.ask("named-0", identity).await));
    }
    let main = Call::form("/token", &[("grant_type", "client_credentials"), ("client_id", "named-0")]);
    assert!(is_invalid_client(&main.to(&mutual.gateway).await), "the main port asks for none");
    let secret = [("grant_type", "client_credentials"), ("client_id", "named-0"), ("client_secret", "x")];
    assert!(
        is_invalid_client(&mutual.send(Some(&good), Call::form("/token", &secret)).await),
        "o28: its own way"
    );
    let records = mutual.gateway.audit(&["--client", "named-0", "--outcome", "deny"]);
    for reason in
        ["no-client-certificate", "client-certificate-not-vouched-for", "wrong-client-authentication-method"]
    {
        assert!(records.iter().any(|record| record["decision"]["reason"] == reason), "{reason}");
    }
    for words in [
        &["--auth-method", "tls_client_auth"][..],
        &["--tls-client-auth-san-dns", "app.clinic.test"],
        &["--auth-method", "tls_client_auth", "--tls-client-auth-san-ip", "app"],
        &[
            "--auth-method",
            "tls_client_auth",
            "--tls-client-auth-san-ip",
            "192.0.2.1",
            "--tls-client-auth-san-uri",
            "urn:x",
        ],
        &["--auth-method", "self_signed_tls_client_auth"],
    ] {
        let all = [&["client", "add", "loose", "--kind", "backend"], words].concat();
        assert!(!mutual.gateway.try_command(&all).success, "{words:?}");
    }
}

#[tokio::test]
async fn g10_a_self_signed_certificate_is_known_by_itself_and_binds_tokens_that_nobody_else_can_use() {
    let mutual = Mutual::serve("mtls-self-signed").await;
    let (own, jwks) = self_signed();
    let (other, _) = self_signed();
    let file = mutual.gateway.scratch().write("jwks.json", jwks.to_string());
    let words = ["--auth-method", "self_signed_tls_client_auth", "--jwks-file", file.to_str().unwrap()];
    let bound = ["--tls-client-certificate-bound-access-tokens"];
    let shown = mutual.register("teller", "backend", &[&words[..], &bound].concat());
    assert_eq!(shown["tls_client_certificate_bound_access_tokens"], true);
    assert!(
        is_invalid_client(&mutual.ask("teller", Some(&other)).await),
        "the same names, another certificate"
    );
    assert!(is_invalid_client(&mutual.ask("teller", None).await));
    let tokens = Tokens::of(&mutual.ask("teller", Some(&own)).await);
    assert_eq!(tokens.answer["token_type"], "Bearer");
    assert_eq!(tokens.claims()["cnf"], json!({ "x5t#S256": x5t(&own) }));
    // o06: with its certificate, and neither with another, nor without one, nor where none is asked for.
    assert!(mutual.reads(Some(&own), &tokens.access).await);
    assert!(!mutual.reads(Some(&other), &tokens.access).await && !mutual.reads(None, &tokens.access).await);
    assert_eq!(order().bearer(&tokens.access).to(&mutual.gateway).await.status, 401);
    let told = [("token", tokens.access.as_str()), ("client_id", "teller")];
    let told = mutual.send(Some(&own), Call::form("/introspect", &told)).await.json();
    assert_eq!((&told["active"], &told["cnf"]["x5t#S256"]), (&json!(true), &json!(x5t(&own))));
    // A certificate says nothing of a token that is bound to none.
    mutual.register("plain", "backend", &words);
    let plain = Tokens::of(&mutual.ask("plain", Some(&own)).await);
    assert_eq!(plain.claims().get("cnf"), None);
    assert!(mutual.reads(Some(&other), &plain.access).await && mutual.reads(None, &plain.access).await);
    assert_eq!(order().bearer(&plain.access).to(&mutual.gateway).await.status, 200);
}

#[tokio::test]
async fn o12_tokens_of_people_stay_bound_to_the_certificate_by_refresh_and_exchange() {
    let mutual = Mutual::serve("mtls-people").await;
    let gateway = &mutual.gateway;
    let (own, other) = (self_signed().0, self_signed().0);
    let bea = gateway.person("billing", &[]);
    // RFC 8705 section 4: a public client has no name in its certificate, and needs none.
    let callback = ["--redirect-uri", CALLBACK, "--tls-client-certificate-bound-access-tokens"];
    mutual.register("till-public", "public", &callback);
    let app = App { client: "till-public", secret: None, scope: SCOPE, patient: None, route: "/orders" };
    let code = app.code(gateway, &bea).await;
    assert_eq!(
        app.exchange_call(&code).to(gateway).await.error(),
        "invalid_request",
        "none on the main port"
    );
    let code = app.code(gateway, &bea).await;
    let tokens = Tokens::of(&mutual.send(Some(&own), app.exchange_call(&code)).await);
    assert_eq!(tokens.claims()["cnf"]["x5t#S256"], x5t(&own));
    assert!(
        mutual.reads(Some(&own), &tokens.access).await && !mutual.reads(Some(&other), &tokens.access).await
    );
    let refresh = app.refresh_call(tokens.refresh());
    assert_eq!(mutual.send(Some(&other), refresh.clone()).await.error(), "invalid_grant");
    assert_eq!(mutual.send(None, refresh.clone()).await.error(), "invalid_request");
    let next = Tokens::of(&mutual.send(Some(&own), refresh).await);
    assert_eq!(next.claims()["cnf"]["x5t#S256"], x5t(&own));

    let agent = ["--grant", EXCHANGE, "--grant", "authorization_code", "--redirect-uri", CALLBACK];
    let shown = mutual.register(
        "till-app",
        "confidential",
        &[&agent[..], &["--tls-client-certificate-bound-access-tokens", "--may-act", "till-agent"]].concat(),
    );
    let app = App { client: "till-app", secret: shown["client_secret"].as_str(), ..app };
    let shown = mutual.register("till-agent", "confidential", &agent);
    let agent = App { client: "till-agent", secret: shown["client_secret"].as_str(), ..app.clone() };
    let code = app.code(gateway, &bea).await;
    let tokens = Tokens::of(&mutual.send(Some(&own), app.exchange_call(&code)).await);
    let exchange = |by: &App<'_>| {
        let fields = [
            ("grant_type", EXCHANGE),
            ("subject_token", &tokens.access),
            ("subject_token_type", ACCESS_TOKEN),
        ];
        by.token_call(&fields)
    };
    assert_eq!(
        mutual.send(Some(&other), exchange(&agent)).await.error(),
        "invalid_request",
        "it binds nothing"
    );
    assert_eq!(mutual.send(Some(&other), exchange(&app)).await.error(), "invalid_request");
    let narrowed = Tokens::of(&mutual.send(Some(&own), exchange(&app)).await);
    assert_eq!(narrowed.claims()["cnf"]["x5t#S256"], x5t(&own));
}

#[tokio::test]
async fn g10_the_listener_is_published_and_the_main_port_asks_for_no_certificate() {
    let mutual = Mutual::serve("mtls-metadata").await;
    let gateway = &mutual.gateway;
    let base = format!("https://localhost:{}", mutual.port);
    let metadata = Call::get("/.well-known/openid-configuration").to(gateway).await.json();
    let aliases = metadata["mtls_endpoint_aliases"].as_object().unwrap();
    for (name, url) in aliases {
        let path = url.as_str().unwrap().strip_prefix(&base).unwrap();
        assert_eq!(metadata[name], format!("{}{path}", gateway.issuer), "{name}");
        assert_ne!(mutual.send(None, Call::get(path)).await.status, 404, "{name}");
    }
    assert_eq!(aliases.len(), 7);
    assert!(aliases.contains_key("backchannel_authentication_endpoint"));
    assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], true);
    for method in ["tls_client_auth", "self_signed_tls_client_auth"] {
        assert!(
            metadata["token_endpoint_auth_methods_supported"].as_array().unwrap().contains(&json!(method))
        );
    }
    // The main port asks for no certificate, the other one does.
    for (port, asks) in [(gateway.port, false), (mutual.port, true)] {
        let resolver = Arc::<Shown>::default();
        let to = Target { port, resolver: Arc::clone(&resolver) };
        drop(tls_to(gateway, fresh_address(), &[b"http/1.1"], to).await.unwrap());
        assert_eq!(resolver.was_asked(), asks, "{port}");
    }
    // Both at once: a token bound to a key and to a certificate.
    let (own, jwks) = self_signed();
    let file = gateway.scratch().write("jwks.json", jwks.to_string());
    let words = ["--auth-method", "self_signed_tls_client_auth", "--jwks-file", file.to_str().unwrap()];
    let bound = ["--tls-client-certificate-bound-access-tokens", "--dpop-bound-access-tokens"];
    mutual.register("careful", "backend", &[&words[..], &bound].concat());
    let (key, here) = (DpopKey::new(), json!({ "htu": format!("{base}/token") }));
    let call = mutual.ask_call("careful");
    let answer = mutual
        .send(Some(&own), call.clone().header("dpop", &key.proof(gateway, call.place(), None, &here)))
        .await;
    assert_eq!(answer.error(), "use_dpop_nonce");
    key.learn(&answer);
    let elsewhere = call.clone().header("dpop", &key.proof(gateway, call.place(), None, &json!({})));
    assert_eq!(
        mutual.send(Some(&own), elsewhere).await.error(),
        "invalid_dpop_proof",
        "the issuer's URL is not this one"
    );
    let proof = key.proof(gateway, call.place(), None, &here);
    let tokens = Tokens::of(&mutual.send(Some(&own), call.header("dpop", &proof)).await);
    assert_eq!(tokens.claims()["cnf"], json!({ "jkt": key.jkt(), "x5t#S256": x5t(&own) }));
    let htu = json!({ "htu": format!("{base}/orders/17") });
    let using = |htu: &Value| key.using_with(gateway, order(), &tokens.access, htu);
    assert_eq!(mutual.send(Some(&own), using(&htu)).await.status, 200);
    assert_eq!(mutual.send(None, using(&htu)).await.status, 401);
    assert_eq!(mutual.send(Some(&own), order().bearer(&tokens.access)).await.status, 401);
    assert_eq!(using(&json!({})).to(gateway).await.status, 401);
    let start = encode(&[("response_type", "code"), ("client_id", "careful")]);
    assert_eq!(
        mutual.send(None, Call::get(&format!("/authorize?{start}"))).await.status,
        400,
        "pages are there as well"
    );
}
