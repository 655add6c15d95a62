use std::convert::Infallible;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use chartgate_protocol::base64url;
use chartgate_protocol::jose::{Algorithm, SigningKey, Thumbprint, jws};
use chartgate_protocol::revocations::{CutClaim, CutOffEntry, Revocations};
use chartgate_values::{Secret, Timestamp};
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::*;

const ISSUER: &str = "https://gate.test";
const LAB: &str = "https://lab.test";

/// A service, and an issuer whose tokens it takes.
struct Lab {
    verifier: Verifier,
    key: SigningKey,
}

fn feed(reset: bool, cut_offs: Vec<CutOffEntry>) -> Revocations {
    Revocations { iss: ISSUER.into(), iat: clock::now().into(), position: "a.1".into(), reset, cut_offs }
}

fn entry(claim: CutClaim, value: &str, issued_until: Option<i64>) -> CutOffEntry {
    let forget_at = clock::now().plus(Duration::from_secs(3600)).as_unix();
    CutOffEntry { claim, value: value.to_owned(), issued_until, forget_at }
}

impl Lab {
    fn new() -> Self {
        Self::asked(Duration::ZERO)
    }

    /// One that asked its issuer so long ago.
    fn asked(ago: Duration) -> Self {
        Self::made(ago, Some(Proofs::at(LAB).unwrap()))
    }

    fn made(ago: Duration, proofs: Option<Proofs>) -> Self {
        let asked_at = Instant::now().checked_sub(ago).unwrap();
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let keys = KeySet::parse(json!({ "keys": [key.public_jwk()] }).to_string().as_bytes()).unwrap();
        let state = State::new(keys, feed(true, vec![]), asked_at, Duration::from_secs(30));
        let inner = Inner {
            state: Arc::new(state),
            tokens: AccessTokenVerifier::new(ISSUER, ExpectedAudience::OneOf(vec![LAB.to_owned()])),
            proofs,
        };
        Self { verifier: Verifier(Arc::new(inner)), key }
    }

    fn token(&self, change: &Value) -> String {
        let now = clock::now().as_unix();
        let mut claims = json!({ "iss": ISSUER, "aud": LAB, "sub": "dana", "client_id": "app", "jti": "j-1",
            "sid": "s-1", "grant_id": "g-1", "iat": now.saturating_sub(10), "exp": now.saturating_add(290), "scope": "lab.read" });
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        jws::sign(&self.key, "at+jwt", &claims).unwrap()
    }

    async fn check(&self, authorization: &str, proof: Option<&str>) -> Result<String, Refused> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        proof.into_iter().for_each(|proof| drop(headers.insert(DPOP, proof.parse().unwrap())));
        let caller = self.verifier.check(&Method::GET, &Uri::from_static("/results?a=b"), &headers).await;
        caller.map(|caller| caller.claims.sub.to_string())
    }

    /// The status of the answer to this from a service that wants a scope, and its challenges.
    async fn challenged(&self, authorization: Option<&str>) -> (u16, Vec<String>) {
        let service = service_fn(async |_| Ok::<_, Infallible>(Response::new(())));
        let mut request = Request::get("/results").body(()).unwrap();
        if let Some(line) = authorization {
            request.headers_mut().insert(header::AUTHORIZATION, line.parse().unwrap());
        }
        let answer = self.verifier.require("lab.write").layer(service).oneshot(request).await.unwrap();
        let lines = answer.headers().get_all(header::WWW_AUTHENTICATE).iter();
        (answer.status().as_u16(), lines.map(|line| line.to_str().unwrap().to_owned()).collect())
    }

    fn told(&self, news: Revocations) {
        self.verifier.0.state.put_news(news, Instant::now(), clock::now());
    }
}

/// A caller with a key of its own.
struct Holder(Ed25519KeyPair);

impl Holder {
    fn new() -> Self {
        Self(Ed25519KeyPair::generate().unwrap())
    }

    fn thumbprint(&self) -> String {
        let pkcs8 = Secret::new(self.0.to_pkcs8v1().unwrap().as_ref().to_vec());
        let key = SigningKey::from_pkcs8(Algorithm::EdDSA, &pkcs8).unwrap();
        Thumbprint::of_key(key.public_jwk()).as_str().to_owned()
    }

    fn proof(&self, jti: &str, token: &str, change: &Value) -> String {
        let x = base64url::encode(self.0.public_key().as_ref());
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
        let header = json!({ "alg": "EdDSA", "typ": "dpop+jwt", "jwk": jwk });
        let ath = base64url::encode(digest(&SHA256, token.as_bytes()).as_ref());
        let mut claims = json!({ "jti": jti, "htm": "GET", "htu": format!("{LAB}/results"),
            "iat": clock::now().as_unix(), "ath": ath });
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let [header, claims] = [header, claims].map(|part| base64url::encode(part.to_string().as_bytes()));
        let input = format!("{header}.{claims}");
        format!("{input}.{}", base64url::encode(self.0.sign(input.as_bytes()).as_ref()))
    }
}

#[test]
fn every_scope_that_is_wanted_has_to_be_granted_a_wider_smart_scope_will_do() {
    let allow =
        |granted: &str, wanted: &str| allows(&granted.parse().unwrap(), &wanted.parse::<ScopeSet>().unwrap());
    assert!(allow("lab.read lab.write", "lab.read"));
    assert!(!allow("lab.read", "lab.read lab.write"));
    assert!(allow("user/*.rs", "user/Observation.r"));
    assert!(!allow("user/*.rs", "user/Observation.u"));
    assert!(!allow("patient/*.rs", "user/Observation.r"));
}

#[tokio::test]
async fn dpop_is_offered_where_proofs_are_taken_and_the_error_stands_with_what_was_tried() {
    let (with, without) = (Lab::new(), Lab::made(Duration::ZERO, None));
    let bearer = |lab: &Lab| format!("Bearer {}", lab.token(&json!({})));
    let algs = "algs=\"RS256 RS384 PS256 PS384 ES256 ES384 EdDSA\"";
    let dpop = &format!("DPoP {algs}");
    for (authorization, status, expected) in [
        (None, 401, ["Bearer", dpop]),
        (Some("Basic eDp5"), 401, ["Bearer", dpop]),
        (Some("Bearer x.y.z"), 401, ["Bearer error=\"invalid_token\"", dpop]),
        (Some("DPoP x.y.z"), 401, ["Bearer", &format!("DPoP error=\"invalid_dpop_proof\", {algs}")]),
        (
            Some(bearer(&with).as_str()),
            403,
            ["Bearer error=\"insufficient_scope\", scope=\"lab.write\"", dpop],
        ),
    ] {
        assert_eq!(with.challenged(authorization).await, (status, expected.map(str::to_owned).to_vec()));
    }
    for (authorization, expected) in [
        (None, "Bearer"),
        (Some("Bearer x.y.z"), "Bearer error=\"invalid_token\""),
        (Some("DPoP x.y.z"), "Bearer error=\"invalid_token\""),
    ] {
        assert_eq!(without.challenged(authorization).await, (401, vec![expected.to_owned()]));
    }
}

#[tokio::test]
async fn each_kind_of_cut_off_reaches_its_tokens_alone_and_a_reset_forgets_the_rest() {
    let lab = Lab::new();
    let bearer = format!("Bearer {}", lab.token(&json!({})));
    let now = clock::now().as_unix();
    let kid = lab.key.kid().to_owned();
    for (claim, value) in [
        (CutClaim::Sub, "dana"),
        (CutClaim::Sid, "s-1"),
        (CutClaim::ClientId, "app"),
        (CutClaim::GrantId, "g-1"),
        (CutClaim::Kid, kid.as_str()),
        (CutClaim::Jti, "j-1"),
        (CutClaim::Iss, ISSUER),
    ] {
        assert_eq!(lab.check(&bearer, None).await, Ok("dana".to_owned()), "{claim:?}");
        lab.told(feed(false, vec![entry(claim, "another", None), entry(claim, value, Some(now - 11))]));
        assert_eq!(lab.check(&bearer, None).await, Ok("dana".to_owned()), "{claim:?}: it was issued later");
        lab.told(feed(false, vec![entry(claim, value, Some(now - 10))]));
        assert_eq!(lab.check(&bearer, None).await, Err(Refused::Revoked), "{claim:?}");
        lab.told(feed(false, vec![entry(claim, value, Some(now - 11))]));
        assert_eq!(lab.check(&bearer, None).await, Err(Refused::Revoked), "{claim:?} never moves back");
        lab.told(feed(true, vec![]));
    }
    assert_eq!(lab.check(&bearer, None).await, Ok("dana".to_owned()));
}

#[tokio::test]
async fn beyond_the_limits_of_feed_and_keys_nobody_comes_in() {
    for (ago, at_first, after_news) in [
        (0, Ok("dana".to_owned()), Ok("dana".to_owned())),
        (31, Err(Refused::TooOld), Ok("dana".to_owned())),
        (601, Err(Refused::TooOld), Err(Refused::TooOld)),
    ] {
        let lab = Lab::asked(Duration::from_secs(ago));
        let bearer = format!("Bearer {}", lab.token(&json!({})));
        assert_eq!(lab.check(&bearer, None).await, at_first, "{ago}");
        lab.told(feed(false, vec![]));
        assert_eq!(lab.check(&bearer, None).await, after_news, "{ago}");
    }
}

#[tokio::test]
async fn o13_a_bound_token_needs_a_proof_of_its_key_for_this_request_once() {
    let lab = Lab::new();
    let (holder, thief) = (Holder::new(), Holder::new());
    let token = lab.token(&json!({ "cnf": { "jkt": holder.thumbprint() } }));
    let (bearer, dpop) = (format!("Bearer {token}"), format!("DPoP {token}"));
    assert_eq!(lab.check(&bearer, None).await, Err(Refused::Token(Rejection::Confirmation)));
    assert_eq!(lab.check(&dpop, None).await, Err(Refused::Proof(ProofError::Missing)));
    let proof = holder.proof("p-1", &token, &json!({}));
    assert_eq!(lab.check(&bearer, Some(&proof)).await, Err(Refused::Token(Rejection::Confirmation)));
    let stolen = thief.proof("p-1", &token, &json!({}));
    assert_eq!(lab.check(&dpop, Some(&stolen)).await, Err(Refused::Token(Rejection::Confirmation)));
    for (change, cause) in [
        (json!({ "htm": "POST" }), ProofError::Method),
        (json!({ "htu": "https://lab.test/other" }), ProofError::Target),
        (json!({ "htu": "https://gate.test/results" }), ProofError::Target),
        (json!({ "iat": clock::now().as_unix() - 61 }), ProofError::TooOld),
        (json!({ "ath": "x" }), ProofError::AccessToken),
    ] {
        let wrong = holder.proof("p-2", &token, &change);
        assert_eq!(lab.check(&dpop, Some(&wrong)).await, Err(Refused::Proof(cause)), "{change}");
    }
    assert_eq!(lab.check(&dpop, Some(&proof)).await, Ok("dana".to_owned()));
    assert_eq!(lab.check(&dpop, Some(&proof)).await, Err(Refused::Proof(ProofError::Replayed)));
    let next = holder.proof("p-3", &token, &json!({}));
    assert_eq!(lab.check(&dpop, Some(&next)).await, Ok("dana".to_owned()));
    // A certificate cannot be shown here.
    let by_certificate = lab.token(&json!({ "cnf": { "x5t#S256": "A".repeat(43) } }));
    let refused = lab.check(&format!("Bearer {by_certificate}"), None).await;
    assert_eq!(refused, Err(Refused::Token(Rejection::Confirmation)));
}

#[test]
fn fifty_uses_of_one_proof_at_once_have_one_winner() {
    let proofs = Proofs::at(LAB).unwrap();
    let holder = Holder::new();
    let now = clock::now();
    let proof = holder.proof("p-1", "token", &json!({}));
    let verify = || proofs.verify(&proof, "token", &Method::GET, &Uri::from_static("/results"), now).unwrap();
    let winners = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..50).map(|_| scope.spawn(|| proofs.use_up(&verify(), now).is_ok())).collect();
        tries.into_iter().map(|one| one.join().unwrap()).filter(|won| *won).count()
    });
    assert_eq!(winners, 1);
    assert!(Proofs::at("http://lab.test").is_err());
    let later = Timestamp::from_unix(now.as_unix() + 120);
    assert!(proofs.use_up(&verify(), later).is_ok(), "forgotten when it would be too old anyway");
}
