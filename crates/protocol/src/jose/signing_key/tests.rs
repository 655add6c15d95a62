use super::*;
use crate::jose::JwkError;

fn text(key: &SigningKey) -> String {
    String::from_utf8(key.to_private_jwk().unwrap().expose().clone()).unwrap()
}

fn from_text(algorithm: Algorithm, jwk: &str) -> Result<SigningKey, ImportKeyError> {
    SigningKey::from_private_jwk(algorithm, &Secret::new(jwk.as_bytes().to_vec()))
}

#[test]
fn a_key_comes_back_from_both_of_its_forms_and_signs_for_the_same_public_key() {
    for algorithm in Algorithm::ALL {
        let key = SigningKey::generate(algorithm).unwrap();
        assert_eq!(key.kid(), key.public_jwk().thumbprint());
        let forms = [
            SigningKey::from_pkcs8(algorithm, &key.to_pkcs8().unwrap()).unwrap(),
            SigningKey::from_private_jwk(algorithm, &key.to_private_jwk().unwrap()).unwrap(),
        ];
        for again in forms {
            assert_eq!(again.public_jwk(), key.public_jwk(), "{algorithm}");
            assert_eq!(again.to_pkcs8().unwrap().expose(), key.to_pkcs8().unwrap().expose(), "{algorithm}");
            let signature = again.sign(b"message").unwrap();
            assert_eq!(key.verifying_key().verify(algorithm, b"message", &signature), Ok(()), "{algorithm}");
        }
    }
}

#[test]
fn an_rsa_key_is_as_long_as_was_asked_for() {
    let key = SigningKey::generate_with(Algorithm::PS256, RsaModulus::Bits3072).unwrap();
    assert_eq!(key.sign(b"").unwrap().len(), 384);
}

#[test]
fn a_key_is_taken_for_its_own_algorithm_alone() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let jwk = text(&key);
    for other in [Algorithm::RS256, Algorithm::ES384, Algorithm::EdDSA] {
        assert_eq!(
            SigningKey::from_pkcs8(other, &key.to_pkcs8().unwrap()).unwrap_err(),
            ImportKeyError::Rejected
        );
        assert_eq!(from_text(other, &jwk).unwrap_err(), ImportKeyError::Algorithm);
        let unsaid = jwk.replace(r#""alg":"ES256","#, "");
        assert_eq!(from_text(other, &unsaid).unwrap_err(), ImportKeyError::Rejected);
    }
}

#[test]
fn halves_that_do_not_belong_together_are_refused() {
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA] {
        let [own, other] = [(); 2].map(|()| SigningKey::generate(algorithm).unwrap());
        let d = |key: &SigningKey| base64url_of(&key.pair().curve_secret().unwrap());
        let mixed = text(&own).replace(&d(&own), &d(&other));
        assert_eq!(from_text(algorithm, &mixed).unwrap_err(), ImportKeyError::Rejected);
        let public = serde_json::to_string(own.public_jwk()).unwrap();
        assert_eq!(from_text(algorithm, &public).unwrap_err(), JwkError::Missing("d").into());
    }
    assert_eq!(
        from_text(Algorithm::ES256, "{").unwrap_err(),
        JwkError::from(crate::json::JsonError::Syntax).into()
    );
}

fn base64url_of(secret: &Secret<Vec<u8>>) -> String {
    crate::base64url::encode(secret.expose())
}

#[test]
fn a_private_key_prints_its_public_half_alone() {
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let printed = format!("{key:?}");
    for form in [key.pair().curve_secret().unwrap(), key.to_pkcs8().unwrap()] {
        let hex: String = form.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!printed.contains(&hex) && !printed.contains(&base64url_of(&form)), "{printed}");
        assert!(!printed.contains(&format!("{:?}", form.expose())), "{printed}");
    }
}
