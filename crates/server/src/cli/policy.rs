//! `chartgate policy check` and `test`.

use std::process::ExitCode;

use chartgate_access::pdp::decide::Pdp;
use chartgate_access::pdp::policy_set::{Policies, PolicyError};
use chartgate_access::pdp::policy_test::Outcome;
use clap::Subcommand;

use super::print;
use crate::config::Config;
use crate::live::policies::{read, read_tests};

#[derive(Clone, Copy, Debug, Subcommand)]
pub(super) enum PolicyWord {
    /// Validate the policies against their schema.
    Check,
    /// Run the policies' tests.
    Test,
    /// Say why a recorded or supposed request is allowed or denied.
    Explain {
        /// A record's index.
        index: Option<u64>,
    },
}

pub(super) fn carry_out(word: PolicyWord, config: &Config) -> anyhow::Result<ExitCode> {
    match word {
        PolicyWord::Check => {
            let policies = policies(config)?;
            print::line(&format!("{} policies, no errors", policies.ids().len()));
            Ok(ExitCode::SUCCESS)
        }
        PolicyWord::Test => test(config),
        PolicyWord::Explain { .. } => anyhow::bail!("`policy explain` is not built yet"),
    }
}

fn policies(config: &Config) -> anyhow::Result<Policies> {
    let folder = read(&config.policy_dir).map_err(|errors| all(&errors))?;
    Policies::read(&folder.schema, &folder.policies).map_err(|errors| all(&errors))
}

fn test(config: &Config) -> anyhow::Result<ExitCode> {
    let pdp = Pdp::new(policies(config)?, "test".to_owned());
    let (mut passed, mut questions, mut failed) = (0_usize, 0_usize, 0_usize);
    for (file, tests) in read_tests(&config.policy_dir).map_err(|errors| all(&errors))? {
        for test in &tests.tests {
            match test.run(&pdp) {
                Outcome::Passed(asked) => {
                    passed = passed.saturating_add(1);
                    questions = questions.saturating_add(asked);
                }
                Outcome::Failed(why) => {
                    failed = failed.saturating_add(1);
                    print::line(&format!("FAILED {file}: {}", test.name));
                    why.iter().for_each(|line| print::line(&format!("    {line}")));
                }
            }
        }
    }
    print::line(&format!("{passed} policy tests passed ({questions} questions), {failed} failed"));
    if passed == 0 {
        anyhow::bail!("there are no policy tests in {}", config.policy_dir.join("tests").display());
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn all(errors: &[PolicyError]) -> anyhow::Error {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    anyhow::anyhow!("{}", lines.join("\n"))
}
