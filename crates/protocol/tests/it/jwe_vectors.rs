//! Published vectors of JWE and of what lies below it: Project Wycheproof, the RFCs, the JOSE cookbook.

use chartgate_protocol::jose::jwe::{Ciphertext, Decrypted, Encrypted, key_wrap};
use chartgate_protocol::jose::{ContentEncryption, DecryptionKey, JweError, KeyManagement};
use chartgate_values::Secret;
use serde_json::Value;

use crate::vectors::{self, Tally};
use crate::wycheproof::{Annotations, unhex};

/// A vector's key for the algorithm that it names, if that is offered.
fn key(jwk: &Value) -> Option<DecryptionKey> {
    let management = KeyManagement::ALL.into_iter().find(|own| jwk["alg"] == own.key_name())?;
    let text = Secret::new(jwk.to_string().into_bytes());
    Some(DecryptionKey::from_private_jwk(management, &text).unwrap())
}

fn decrypt(token: &str, key: &DecryptionKey) -> Result<Decrypted, JweError> {
    Encrypted::parse(token, &ContentEncryption::ALL, usize::MAX)?.decrypt(key)
}

fn run_jwe_file(file: &str) -> Option<Tally> {
    let folder = vectors::folder("wycheproof")?;
    let annotations = Annotations::read(&folder);
    let mut tally = Tally::default();
    for group in vectors::json(&folder, file)["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            let Some(jwe) = test.get("jwe") else {
                tally.add("of JWS");
                continue;
            };
            let jwe = jwe.as_str().map_or_else(|| jwe.to_string(), str::to_owned);
            let context = format!("{file} {test}");
            let key = key(&group["private"]);
            let decrypted = key.as_ref().map(|key| decrypt(&jwe, key));
            match (annotations.recommended(file, test), test["result"].as_str().unwrap(), decrypted) {
                (Some("reject"), _, Some(decrypted)) | (None, "invalid", Some(decrypted)) => {
                    assert!(decrypted.is_err(), "{context}");
                    tally.add("refused");
                }
                (None, "valid", Some(Ok(decrypted))) => {
                    if let Some(plaintext) = test["pt"].as_str() {
                        assert_eq!(decrypted.plaintext(), unhex(plaintext), "{context}");
                    }
                    tally.add("accepted");
                }
                (None, "valid", Some(Err(JweError::EncryptionNotAllowed))) => {
                    tally.add("valid but of encryptions not offered");
                }
                (_, _, None) => tally.add("of keys not offered"),
                other => panic!("{other:?} {context}"),
            }
        }
    }
    println!("wycheproof {file}: {tally}");
    Some(tally)
}

#[test]
fn wycheproof_json_web_encryption() {
    let Some(tally) = run_jwe_file("json_web_encryption_test.json") else { return };
    assert!(tally.of("accepted") >= 11 && tally.of("refused") >= 17, "{tally}");
}

#[test]
fn wycheproof_json_web_crypto() {
    let Some(tally) = run_jwe_file("json_web_crypto_test.json") else { return };
    assert!(tally.of("accepted") >= 1 && tally.of("refused") >= 7, "{tally}");
}

fn run_content_file(file: &str, content: ContentEncryption) {
    let Some(folder) = vectors::folder("wycheproof") else { return };
    let mut tally = Tally::default();
    for group in vectors::json(&folder, file)["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            let bytes = |name: &str| unhex(test[name].as_str().unwrap());
            let (key, aad) = (bytes("key"), bytes("aad"));
            let sealed = Ciphertext { iv: bytes("iv"), body: bytes("ct"), tag: bytes("tag") };
            let opened = content.decrypt(&key, &aad, sealed.clone());
            let opened = opened.as_ref().map(Secret::expose);
            let made = content.encrypt(&key, &sealed.iv, &aad, &bytes("msg")).unwrap();
            match test["result"].as_str().unwrap() {
                "valid" => {
                    assert_eq!(opened, Some(&bytes("msg")), "{file} {test}");
                    assert_eq!(made, sealed, "{file} {test}");
                    tally.add("accepted");
                }
                "invalid" => {
                    assert!(opened.is_none(), "{file} {test}");
                    assert_ne!(made, sealed, "{file} {test}");
                    tally.add("refused");
                }
                other => panic!("{other} {test}"),
            }
        }
    }
    println!("wycheproof {file}: {tally}");
    assert!(tally.of("accepted") >= 30 && tally.of("refused") >= 18, "{tally}");
}

#[test]
fn wycheproof_aes_cbc_with_hmac() {
    run_content_file("a128cbc_hs256_test.json", ContentEncryption::A128CbcHs256);
    run_content_file("a256cbc_hs512_test.json", ContentEncryption::A256CbcHs512);
}

#[test]
fn wycheproof_aes_key_wrap() {
    let Some(folder) = vectors::folder("wycheproof") else { return };
    let mut tally = Tally::default();
    for group in vectors::json(&folder, "aes_wrap_test.json")["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            let bytes = |name: &str| unhex(test[name].as_str().unwrap());
            let (kek, key, wrapped) = (bytes("key"), bytes("msg"), bytes("ct"));
            let unwrapped = key_wrap::unwrap(&kek, &wrapped);
            let unwrapped = unwrapped.as_deref();
            match (group["keySize"].as_u64().unwrap(), test["result"].as_str().unwrap()) {
                (256, "valid") => {
                    assert_eq!(unwrapped, Some(&key), "{test}");
                    assert_eq!(key_wrap::wrap(&kek, &key), Some(wrapped), "{test}");
                    tally.add("accepted");
                }
                (256, "invalid") => {
                    assert!(unwrapped.is_none(), "{test}");
                    tally.add("refused");
                }
                (256, _) => tally.add("either"),
                _ => {
                    assert!(unwrapped.is_none(), "{test}");
                    tally.add("of key sizes not offered");
                }
            }
        }
    }
    println!("wycheproof aes_wrap_test.json: {tally}");
    assert!(tally.of("accepted") >= 7 && tally.of("refused") >= 20, "{tally}");
}

#[test]
fn jose_cookbook() {
    let Some(folder) = vectors::folder("jose-cookbook") else { return };
    let mut tally = Tally::default();
    let mut files: Vec<_> =
        std::fs::read_dir(folder.join("jwe")).unwrap().map(|file| file.unwrap().file_name()).collect();
    files.sort();
    for file in files {
        let file = file.to_str().unwrap();
        let example = vectors::json(&folder.join("jwe"), file);
        let (input, output) = (&example["input"], &example["output"]);
        let Some(token) = output["compact"].as_str() else {
            let parsed = Encrypted::parse(output["json"].as_str().unwrap_or("{}"), &[], usize::MAX);
            assert_eq!(parsed.unwrap_err(), JweError::Malformed, "{file}");
            tally.add("not compact");
            continue;
        };
        let Some(key) = key(&input["key"]) else {
            let parsed = Encrypted::parse(token, &ContentEncryption::ALL, usize::MAX);
            assert_eq!(parsed.unwrap_err(), JweError::ManagementNotAllowed, "{file}");
            tally.add("of algorithms not offered");
            continue;
        };
        let decrypted = decrypt(token, &key).unwrap();
        assert_eq!(decrypted.plaintext(), input["plaintext"].as_str().unwrap().as_bytes(), "{file}");
        assert_eq!(key.management(), KeyManagement::Direct(ContentEncryption::A128Gcm), "{file}");
        tally.add("decrypted");
    }
    let nested = vectors::json(&folder, "6.nesting_signatures_and_encryption.json");
    let token = nested["encrypt"]["output"]["compact"].as_str().unwrap();
    let parsed = Encrypted::parse(token, &ContentEncryption::ALL, usize::MAX);
    assert_eq!(parsed.unwrap_err(), JweError::ManagementNotAllowed, "RSA-OAEP with SHA-1");
    tally.add("of algorithms not offered");
    println!("jose-cookbook jwe: {tally}");
    assert!(tally.of("decrypted") == 1 && tally.of("of algorithms not offered") == 6, "{tally}");
}

/// The examples use RSA-OAEP with SHA-1, RSA1_5 and A128KW, none of which is offered.
#[test]
fn rfc7516_and_rfc7519_appendix_a() {
    let Some(folder) = vectors::folder("jose-rfc") else { return };
    let mut tally = Tally::default();
    for example in vectors::json(&folder, "rfc7516_rfc7519_appendix.json").as_array().unwrap() {
        let Some(token) = example["compact"].as_str() else {
            tally.add("not compact");
            continue;
        };
        let parsed = Encrypted::parse(token, &ContentEncryption::ALL, usize::MAX);
        assert_eq!(parsed.unwrap_err(), JweError::ManagementNotAllowed, "{example}");
        tally.add("of algorithms not offered");
    }
    println!("rfc7516, rfc7519: {tally}");
    assert!(tally.of("of algorithms not offered") >= 4, "{tally}");
}
