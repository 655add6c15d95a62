//! Messages that only the browser of a subscription reads: `aes128gcm` (RFC 8188) under a key that both agree on (RFC 8291).

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use chartgate_values::Entropy;
use zeroize::Zeroizing;

use super::Subscription;

/// How long a record may be; a message is one record. RFC 8291 section 4.
const RECORD: u32 = 4096;
/// The longest message: what of a record the delimiter and the tag leave.
const LONGEST: usize = 4096 - 17;
const SALT_BYTES: usize = 16;
const KEY_BYTES: usize = 16;
/// RFC 8188 section 2: this record is the last one.
const LAST: u8 = 2;

/// A message is too long, or the library refuses.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("message could not be encrypted")]
pub struct NotEncrypted;

/// The body of a message to a subscription. The key that is agreed on is drawn by the library, and used for nothing else.
///
/// # Errors
/// [`NotEncrypted`].
pub fn encrypt(
    to: &Subscription,
    message: &[u8],
    entropy: &mut dyn Entropy,
) -> Result<Vec<u8>, NotEncrypted> {
    let ephemeral = PrivateKey::generate(&ECDH_P256).map_err(|_| NotEncrypted)?;
    encrypt_with(to, &ephemeral, &entropy.bytes(), message)
}

fn encrypt_with(
    to: &Subscription,
    ephemeral: &PrivateKey,
    salt: &[u8; SALT_BYTES],
    message: &[u8],
) -> Result<Vec<u8>, NotEncrypted> {
    let own = ephemeral.compute_public_key().map_err(|_| NotEncrypted)?;
    let keying = agree(to, ephemeral, own.as_ref())?;
    record(&*keying, own.as_ref(), salt, message)
}

/// RFC 8291 section 3.4: the keying material of a message, by the secret of the subscription and both public keys.
fn agree(to: &Subscription, ephemeral: &PrivateKey, own: &[u8]) -> Result<Zeroizing<[u8; 32]>, NotEncrypted> {
    let theirs = UnparsedPublicKey::new(&ECDH_P256, to.key());
    agreement::agree(ephemeral, theirs, NotEncrypted, |secret| {
        let prk = Salt::new(HKDF_SHA256, to.secret()).extract(secret);
        let info = [INFO, to.key().as_slice(), own];
        let mut keying = Zeroizing::new([0; 32]);
        let expanded = prk.expand(&info, HKDF_SHA256).and_then(|okm| okm.fill(keying.as_mut()));
        expanded.map(|()| keying).map_err(|_| NotEncrypted)
    })
}

/// RFC 8188 section 2: the header, and the one record after it.
fn record(
    keying: &[u8],
    key_id: &[u8],
    salt: &[u8; SALT_BYTES],
    message: &[u8],
) -> Result<Vec<u8>, NotEncrypted> {
    if message.len() > LONGEST {
        return Err(NotEncrypted);
    }
    let prk = Salt::new(HKDF_SHA256, salt).extract(keying);
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    let mut nonce = [0; NONCE_LEN];
    for (info, out) in [(KEY_INFO, key.as_mut_slice()), (NONCE_INFO, nonce.as_mut_slice())] {
        let length = Length(out.len());
        prk.expand(&[info], length).and_then(|okm| okm.fill(out)).map_err(|_| NotEncrypted)?;
    }
    let key = UnboundKey::new(&AES_128_GCM, key.as_ref()).map_err(|_| NotEncrypted)?;
    let mut text = message.to_vec();
    text.push(LAST);
    LessSafeKey::new(key)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut text)
        .map_err(|_| NotEncrypted)?;
    let id_length = u8::try_from(key_id.len()).map_err(|_| NotEncrypted)?;
    Ok([salt.as_slice(), &RECORD.to_be_bytes(), &[id_length], key_id, &text].concat())
}

const INFO: &[u8] = b"WebPush: info\0";
const KEY_INFO: &[u8] = b"Content-Encoding: aes128gcm\0";
const NONCE_INFO: &[u8] = b"Content-Encoding: nonce\0";

/// So many bytes are to be derived.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base64url::{decode, encode};

    const THEIR_KEY: &str =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";

    fn subscription() -> Subscription {
        let text = format!(
            r#"{{"endpoint":"https://push.example.net/p/x","keys":{{"p256dh":"{THEIR_KEY}","auth":"BTBZMqHH6r4Tts7J_aSIgg"}}}}"#
        );
        Subscription::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_message_of_rfc_8291_appendix_a_is_encrypted_as_it_is_there() {
        let ephemeral = decode("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw").unwrap();
        let ephemeral = PrivateKey::from_private_key(&ECDH_P256, &ephemeral).unwrap();
        let salt = decode("DGv6ra1nlYgDCS1FRnbzlw").unwrap().try_into().unwrap();
        let message = b"When I grow up, I want to be a watermelon";
        let body = encrypt_with(&subscription(), &ephemeral, &salt, message).unwrap();
        assert_eq!(
            encode(&body),
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl\
             7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
        );
    }

    #[test]
    fn the_record_of_rfc_8188_section_3_1_is_encrypted_as_it_is_there() {
        let keying = decode("yqdlZ-tYemfogSmv7Ws5PQ").unwrap();
        let salt = decode("I1BsxtFttlv3u_Oo94xnmw").unwrap().try_into().unwrap();
        let body = record(&keying, b"", &salt, b"I am the walrus").unwrap();
        assert_eq!(encode(&body), "I1BsxtFttlv3u_Oo94xnmwAAEAAA-NAVub2qFgBEuQKRapoZu-IxkIva3MEB1PD-ly8Thjg");
    }

    #[test]
    fn no_two_messages_are_encrypted_alike_and_none_is_longer_than_a_record() {
        let mut entropy = chartgate_values::SeededEntropy::new(1);
        let [first, second] = [0, 1].map(|_| encrypt(&subscription(), b"{}", &mut entropy).unwrap());
        assert_ne!(first, second);
        assert_eq!(first.len(), second.len());
        let longest = encrypt(&subscription(), &[b'x'; LONGEST], &mut entropy).unwrap();
        assert_eq!(longest.len(), 16 + 4 + 1 + 65 + 4096);
        assert_eq!(encrypt(&subscription(), &[b'x'; LONGEST + 1], &mut entropy), Err(NotEncrypted));
    }
}
