//! What people type to sign in.

use crate::recovery_code::RecoveryCode;
use crate::totp::Code;

/// Any text as a code: an authenticator application's, a recovery code, or neither; never both.
pub fn fuzz_sign_in_code(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let code = text.parse::<Code>();
    assert!(
        code.is_ok() == (text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit())),
        "six digits alone"
    );
    if let Ok(recovery) = text.parse::<RecoveryCode>() {
        assert!(code.is_err(), "one kind of code is not the other");
        let again = recovery.grouped().expose().parse::<RecoveryCode>();
        assert!(
            again.is_ok_and(|again| again.expose() == recovery.expose()),
            "what is read has one spelling"
        );
    }
}
