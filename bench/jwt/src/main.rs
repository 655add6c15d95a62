//! Signing and checking access tokens, ours beside `jsonwebtoken`, in one process, in turns. Prints a JSON object.
//!
//! Both check signature, type or algorithm, issuer, audience and times, into a struct of the same claims; both hold
//! their keys parsed as far as their API lets them.

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chartgate_protocol::jose::claims::{AccessTokenClaims, Audience, NumericDate};
use chartgate_protocol::jose::{
    AccessTokenVerifier, Algorithm, ExpectedAudience, KeySet, Presentation, SigningKey, jws,
};
use chartgate_values::Timestamp;
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

const ISSUER: &str = "https://gate.example.org";
const AUDIENCE: &str = "https://gate.example.org/fhir";
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(300);

/// The claims of the peer's token: those of ours that are there.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    exp: u64,
    iat: u64,
    jti: String,
    client_id: String,
    scope: String,
    roles: Vec<String>,
}

/// A key as each of the two holds it.
struct Bench {
    name: &'static str,
    ours: SigningKey,
    set: KeySet,
    signs: EncodingKey,
    checks: DecodingKey,
    peer: jsonwebtoken::Algorithm,
}

fn main() -> anyhow::Result<()> {
    let mut out = serde_json::Map::new();
    for (name, algorithm, peer) in [
        ("RS256", Algorithm::RS256, jsonwebtoken::Algorithm::RS256),
        ("ES256", Algorithm::ES256, jsonwebtoken::Algorithm::ES256),
        ("EdDSA", Algorithm::EdDSA, jsonwebtoken::Algorithm::EdDSA),
    ] {
        let bench = Bench::new(name, algorithm, peer)?;
        out.insert(format!("check {name}"), bench.check()?);
        out.insert(format!("sign {name}"), bench.sign()?);
    }
    println!("{}", serde_json::Value::from(out));
    Ok(())
}

impl Bench {
    fn new(name: &'static str, algorithm: Algorithm, peer: jsonwebtoken::Algorithm) -> anyhow::Result<Self> {
        let ours = SigningKey::generate(algorithm)?;
        let set = KeySet::parse(&serde_json::to_vec(&serde_json::json!({ "keys": [ours.public_jwk()] }))?)?;
        let jwk = serde_json::from_value(serde_json::to_value(ours.public_jwk())?)?;
        let body = STANDARD.encode(ours.to_pkcs8()?.expose());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        let signs = match algorithm {
            Algorithm::ES256 => EncodingKey::from_ec_pem(pem.as_bytes()),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(pem.as_bytes()),
            _ => EncodingKey::from_rsa_pem(pem.as_bytes()),
        };
        Ok(Self { name, ours, set, signs: signs?, checks: DecodingKey::from_jwk(&jwk)?, peer })
    }

    fn check(&self) -> anyhow::Result<serde_json::Value> {
        let (now, token) = (now(), self.token()?);
        let verifier = AccessTokenVerifier::new(ISSUER, ExpectedAudience::OneOf(vec![AUDIENCE.to_owned()]));
        let mut validation = Validation::new(self.peer);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = 0;
        let mut altered = token.clone().into_bytes();
        let middle = altered.len() / 2;
        altered[middle] = if altered[middle] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered)?;
        let ours = |token: &str| verifier.verify(token, &self.set, Presentation::BEARER, now).is_ok();
        let theirs = |token: &str| decode::<Claims>(token, &self.checks, &validation).is_ok();
        ensure!(ours(&token) && !ours(&altered), "{}: ours is wrong about a token", self.name);
        ensure!(theirs(&token) && !theirs(&altered), "{}: the peer is wrong about a token", self.name);
        Ok(side_by_side(|| black_box(ours(&token)), || black_box(theirs(&token))))
    }

    fn sign(&self) -> anyhow::Result<serde_json::Value> {
        let (ours, theirs) = (claims(now())?, peer_claims(now()));
        let mut header = Header::new(self.peer);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(self.ours.kid().to_owned());
        Ok(side_by_side(
            || jws::sign(&self.ours, "at+jwt", black_box(&ours)).is_ok(),
            || encode(&header, black_box(&theirs), &self.signs).is_ok(),
        ))
    }

    fn token(&self) -> anyhow::Result<String> {
        jws::sign(&self.ours, "at+jwt", &claims(now())?).context("signing")
    }
}

/// Both in turns, every second round in reverse; microseconds each, and how many times faster ours is.
fn side_by_side(ours: impl Fn() -> bool, theirs: impl Fn() -> bool) -> serde_json::Value {
    let (mut a, mut b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (x, y) = if round % 2 == 0 {
            let x = micros(&ours);
            (x, micros(&theirs))
        } else {
            let y = micros(&theirs);
            (micros(&ours), y)
        };
        a.push(x);
        b.push(y);
        ratios.push(y / x);
    }
    let [a, b, ratios] = [a, b, ratios].map(|mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values
    });
    let middle = ROUNDS / 2;
    serde_json::json!({
        "ours_us": a[middle], "peer_us": b[middle],
        "ratio": ratios[middle], "min": ratios[0], "max": ratios[ROUNDS - 1],
    })
}

/// How long one call takes, from as many as fit a round.
fn micros(call: &impl Fn() -> bool) -> f64 {
    let (start, mut calls) = (Instant::now(), 0_u32);
    while start.elapsed() < ROUND {
        for _ in 0..16 {
            assert!(call());
        }
        calls += 16;
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
}

fn claims(now: Timestamp) -> anyhow::Result<AccessTokenClaims> {
    Ok(AccessTokenClaims {
        iss: ISSUER.to_owned(),
        sub: "bench".parse()?,
        aud: Audience::one(AUDIENCE),
        exp: NumericDate::from(now.plus(Duration::from_secs(3600))),
        iat: NumericDate::from(now),
        nbf: None,
        jti: "xVFxvIhZiEfaugk28EGeQQ".parse()?,
        client_id: "bench".parse()?,
        scope: "system/Patient.rs system/Observation.rs".parse()?,
        sid: None,
        grant_id: None,
        roles: vec!["service".parse()?],
        acr: None,
        amr: Vec::new(),
        auth_time: None,
        fhir_user: None,
        patient: None,
        encounter: None,
        purpose_of_use: None,
        act: None,
        cnf: None,
        authorization_details: Vec::new(),
        status: None,
    })
}

fn peer_claims(now: Timestamp) -> Claims {
    let seconds = now.as_unix().unsigned_abs();
    Claims {
        iss: ISSUER.to_owned(),
        sub: "bench".to_owned(),
        aud: AUDIENCE.to_owned(),
        exp: seconds + 3600,
        iat: seconds,
        jti: "xVFxvIhZiEfaugk28EGeQQ".to_owned(),
        client_id: "bench".to_owned(),
        scope: "system/Patient.rs system/Observation.rs".to_owned(),
        roles: vec!["service".to_owned()],
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
