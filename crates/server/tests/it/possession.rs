//! A client with a key of its own, which it proves to have. RFC 9449.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chartgate_protocol::jose::{Algorithm, SigningKey, Thumbprint};
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::wire::{Answer, Call, Connection};

/// A key, and the nonce that was given for its next proof.
pub(crate) struct DpopKey {
    key: SigningKey,
    nonce: Mutex<Option<String>>,
}

impl DpopKey {
    pub(crate) fn new() -> Self {
        Self::of(Algorithm::ES256)
    }

    pub(crate) fn of(algorithm: Algorithm) -> Self {
        Self { key: SigningKey::generate(algorithm).unwrap(), nonce: Mutex::default() }
    }

    pub(crate) fn jkt(&self) -> String {
        Thumbprint::of_key(self.key.public_jwk()).to_string()
    }

    /// A good proof for a request, with these changes; what is `null` is left out.
    pub(crate) fn proof(
        &self,
        gateway: &Gateway,
        place: (&str, &str),
        token: Option<&str>,
        changes: &Value,
    ) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mut jwk = serde_json::to_value(self.key.public_jwk()).unwrap();
        for name in ["kid", "alg", "use"] {
            jwk.as_object_mut().unwrap().remove(name);
        }
        let header = json!({ "typ": "dpop+jwt", "alg": self.key.algorithm().name(), "jwk": jwk });
        let (method, path) = place;
        let path = path.split('?').next().unwrap();
        let mut claims = json!({
            "jti": format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)),
            "htm": method,
            "htu": format!("{}{path}", gateway.issuer),
            "iat": now(),
            "ath": token.map(ath),
            "nonce": *self.nonce.lock().unwrap(),
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let input = [&header, &claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = self.key.sign(input.as_bytes()).unwrap();
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Learns a nonce, where an answer gives one.
    pub(crate) fn learn(&self, answer: &Answer) {
        if let Some(nonce) = answer.headers.get("dpop-nonce") {
            *self.nonce.lock().unwrap() = Some(nonce.to_str().unwrap().to_owned());
        }
    }

    /// Sends a request with a proof that has no nonce yet: it is asked for one, and nothing of the request is used up.
    pub(crate) async fn first(&self, gateway: &Gateway, call: &Call) -> Answer {
        let proof = self.proof(gateway, call.place(), None, &json!({ "nonce": null }));
        let answer = call.clone().header("dpop", &proof).to(gateway).await;
        assert_eq!(answer.error(), "use_dpop_nonce");
        answer
    }

    /// Sends a request with a proof, once more where it is told a nonce.
    pub(crate) async fn send(&self, gateway: &Gateway, call: &Call) -> Answer {
        let mut connection = Connection::open(gateway).await;
        for _ in 0..2 {
            let proof = self.proof(gateway, call.place(), None, &json!({}));
            let answer = connection.send(call.clone().header("dpop", &proof)).await;
            self.learn(&answer);
            if answer.status != 400 || answer.error() != "use_dpop_nonce" {
                return answer;
            }
        }
        panic!("it asks for a nonce without end");
    }

    /// A request that uses a token, with its proof.
    pub(crate) fn using(&self, gateway: &Gateway, call: Call, token: &str) -> Call {
        self.using_with(gateway, call, token, &json!({}))
    }

    pub(crate) fn using_with(&self, gateway: &Gateway, call: Call, token: &str, changes: &Value) -> Call {
        let proof = self.proof(gateway, call.place(), Some(token), changes);
        call.header("authorization", &format!("DPoP {token}")).header("dpop", &proof)
    }
}

pub(crate) fn ath(token: &str) -> String {
    use aws_lc_rs::digest::{SHA256, digest};
    URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()))
}

pub(crate) fn now() -> i64 {
    i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap()
}
