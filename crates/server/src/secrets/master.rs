//! The master key, from wherever the configuration says it is.

use std::io::{self, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use chartgate_values::seal::MasterKey;
use zeroize::Zeroizing;

use super::{SecretsError, read_private};
use crate::config::MasterKeySource;

/// A key management service has so long to answer, and as long again to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// 64 digits and a line break, and room to notice that there is more.
const LONGEST: u64 = 256;

/// Why a source has no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoMasterKey {
    /// The environment has no such variable.
    #[error("the environment variable `{0}` with the master key is not set")]
    Variable(String),
    /// The program could not be run.
    #[error("`{program}`, which has to print the master key: {source}")]
    Program {
        /// Which.
        program: String,
        /// What the system says.
        source: io::Error,
    },
    /// It ran, and failed or took too long; what it has to say about that it says itself, on standard error.
    #[error("`{0}`, which has to print the master key, failed or took more than {seconds} s", seconds = PATIENCE.as_secs())]
    Failed(String),
    /// It is no key.
    #[error("{0} has to have 64 hexadecimal digits")]
    NoKey(String),
}

impl MasterKeySource {
    /// The key.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub(crate) fn master_key(&self) -> Result<MasterKey, SecretsError> {
        let (text, place) = match self {
            Self::File(path) => (Zeroizing::new(read_private(path)?), path.display().to_string()),
            Self::Environment(variable) => {
                let found = std::env::var(variable).map_err(|_| NoMasterKey::Variable(variable.clone()))?;
                (Zeroizing::new(found.into_bytes()), format!("the environment variable `{variable}`"))
            }
            Self::Command(words) => {
                let program = words.first().map(String::as_str).unwrap_or_default();
                (printed(program, words.get(1..).unwrap_or_default())?, format!("what `{program}` prints"))
            }
        };
        let bytes = unhex(text.trim_ascii()).ok_or(NoMasterKey::NoKey(place))?;
        Ok(MasterKey::from_bytes(*bytes))
    }
}

fn printed(program: &str, words: &[String]) -> Result<Zeroizing<Vec<u8>>, NoMasterKey> {
    let failed = || NoMasterKey::Failed(program.to_owned());
    let mut child = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|source| NoMasterKey::Program { program: program.to_owned(), source })?;
    let output = child.stdout.take().ok_or_else(failed)?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Zeroizing::new(Vec::new());
        let read = output.take(LONGEST).read_to_end(&mut text);
        let _ = sender.send(read.map(|_| text));
    });
    let text = receiver.recv_timeout(PATIENCE);
    let ended = text.is_ok() && ends(&mut child);
    if !ended {
        let _ = child.kill();
        let _ = child.wait();
    }
    match text {
        Ok(Ok(text)) if ended => Ok(text),
        Ok(_) | Err(_) => Err(failed()),
    }
}

/// Whether a program that has printed everything ends well and soon.
fn ends(child: &mut Child) -> bool {
    let step = Duration::from_millis(20);
    let mut waited = Duration::ZERO;
    while waited < PATIENCE {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => std::thread::sleep(step),
            Err(_) => return false,
        }
        waited = waited.saturating_add(step);
    }
    false
}

pub(super) fn unhex(text: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let mut out = Zeroizing::new([0; 32]);
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() != out.len() {
        return None;
    }
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
        *byte = (digit(*high)? << 4) | digit(*low)?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn shell(text: &str) -> Result<MasterKey, String> {
        let words = ["sh", "-c", text].map(str::to_owned).to_vec();
        MasterKeySource::Command(words).master_key().map_err(|error| error.to_string())
    }

    #[test]
    fn a_program_prints_the_key_or_there_is_none() {
        let key = shell(&format!("echo {HEX}")).unwrap();
        assert_eq!(key.expose()[..3], [0, 1, 2]);
        for bad in [
            format!("echo {HEX}; exit 1"),
            format!("echo {HEX}{HEX}"),
            "echo".to_owned(),
            "cat /dev/zero".to_owned(),
        ] {
            let error = shell(&bad).map(|_| ()).unwrap_err();
            assert!(error.contains("`sh`") && !error.contains(HEX), "{bad}: {error}");
        }
        let missing = MasterKeySource::Command(vec!["no-such-program".to_owned()]);
        assert!(missing.master_key().is_err());
        assert!(MasterKeySource::Environment("CHARTGATE_NO_SUCH_VARIABLE".to_owned()).master_key().is_err());
    }
}
