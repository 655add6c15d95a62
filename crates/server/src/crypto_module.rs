//! What computes: aws-lc, in the build with the feature `fips` as the module that is made for FIPS 140-3. Nothing here says that
//! a module is validated: whether the one that was built has a certificate is NIST's to say (docs/fips.md).

use std::fmt;

#[cfg(all(feature = "fips", feature = "passkeys"))]
compile_error!(
    "`fips` goes with --no-default-features: passkeys are registered outside the module (docs/fips.md)"
);

/// What computes in this process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CryptoModule {
    /// aws-lc, as it is.
    Ordinary,
    /// Its FIPS module, in its mode of operation, whose self-tests have passed.
    FipsCapable,
}

/// The build is for the FIPS module, and it is not what computes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("this build is for the FIPS module, and that is not in use: {0}")]
pub(crate) struct NotInUse(&'static str);

impl CryptoModule {
    /// What computes.
    ///
    /// # Errors
    /// [`NotInUse`].
    pub(crate) fn in_use() -> Result<Self, NotInUse> {
        if cfg!(feature = "fips") {
            aws_lc_rs::try_fips_mode().map_err(NotInUse)?;
            return Ok(Self::FipsCapable);
        }
        Ok(Self::Ordinary)
    }
}

impl fmt::Display for CryptoModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ordinary => "aws-lc",
            Self::FipsCapable => "aws-lc, FIPS-capable module",
        })
    }
}

/// Which build it is, as `--version` says.
pub(crate) const VERSION: &str = if cfg!(feature = "fips") {
    concat!(env!("CARGO_PKG_VERSION"), " (FIPS-capable)")
} else {
    env!("CARGO_PKG_VERSION")
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_for_the_module_uses_it_and_says_so() {
        let module = CryptoModule::in_use().unwrap();
        assert_eq!(module == CryptoModule::FipsCapable, cfg!(feature = "fips"));
        assert_eq!(module == CryptoModule::FipsCapable, aws_lc_rs::try_fips_mode().is_ok());
        assert_eq!(VERSION.contains("FIPS-capable"), cfg!(feature = "fips"));
        assert!(!module.to_string().contains("validated"));
    }
}
