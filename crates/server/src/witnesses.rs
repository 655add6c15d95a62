//! The log's witnesses: what the gateway asks of them, and what they say. C2SP tlog-witness.
//!
//! Beside the path of every request and checkpoint: a witness that is away holds up nothing. What they cosigned last stands
//! in `checkpoint.cosigned`, which is written here alone.

mod ask;
mod run;
mod told;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chartgate_audit::note::VerifierKey;

use crate::config;
use ask::Asking;
pub(crate) use run::Runner;
pub(crate) use told::{WitnessInForce, WitnessStanding};

/// All of them.
pub(crate) struct Witnesses {
    all: Vec<Arc<Witness>>,
    quorum: usize,
    /// How many records the log has, and how many are under what is kept of their cosignatures.
    sizes: Mutex<(u64, u64)>,
}

/// One of them.
pub(crate) struct Witness {
    name: String,
    key: VerifierKey,
    place: String,
    asking: Asking,
    state: Mutex<State>,
}

/// How one of them stands.
#[derive(Default)]
struct State {
    /// The size of its last checkpoint, as far as it said so.
    size: Option<u64>,
    /// How many records are under what it cosigned last, for us.
    cosigned: u64,
    /// When that was, in seconds since 1970.
    at: u64,
    standing: Standing,
}

/// Whether it does what it should.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
enum Standing {
    #[default]
    Well,
    /// It does not answer, or not as it should: a stable code.
    Away(String),
    /// It remembers another log than ours: a stable code.
    Contradicts(&'static str),
}

/// Name, help, and the number from a witness's state and the log's size.
type Metric = (&'static str, &'static str, fn(&State, u64) -> u64);

impl Witnesses {
    /// Those of a configuration.
    ///
    /// # Errors
    /// If a CA cannot be read.
    pub(crate) fn new(audit: &config::Audit) -> anyhow::Result<Self> {
        let all = audit.witnesses.iter().map(|witness| {
            Ok(Arc::new(Witness {
                name: witness.name.clone(),
                key: witness.key.clone(),
                place: witness.url.to_string(),
                asking: Asking::new(&witness.url, witness.ca.as_deref())?,
                state: Mutex::default(),
            }))
        });
        let all = all.collect::<anyhow::Result<_>>()?;
        Ok(Self { all, quorum: audit.witness_quorum, sizes: Mutex::default() })
    }

    /// What Prometheus reads.
    pub(crate) fn metrics(&self) -> String {
        if self.all.is_empty() {
            return String::new();
        }
        let (size, cosigned) = *self.sizes();
        let mut text = format!(
            "# HELP chartgate_audit_cosigned_records Records under the checkpoint that witnesses cosigned last.\n\
             # TYPE chartgate_audit_cosigned_records gauge\n\
             chartgate_audit_cosigned_records {cosigned}\n"
        );
        let metrics: [Metric; 3] = [
            ("lag_records", "Records that this witness has not cosigned.", |state, size| {
                size.saturating_sub(state.cosigned)
            }),
            (
                "last_success_seconds",
                "When it cosigned last, in seconds since 1970; 0 if never.",
                |state, _| state.at,
            ),
            ("contradicts", "Whether it remembers another log than ours.", |state, _| {
                u64::from(matches!(state.standing, Standing::Contradicts(_)))
            }),
        ];
        for (name, help, value) in metrics {
            text.push_str(&format!(
                "# HELP chartgate_witness_{name} {help}\n# TYPE chartgate_witness_{name} gauge\n"
            ));
            for witness in &self.all {
                let number = value(&witness.state(), size);
                text.push_str(&format!(
                    "chartgate_witness_{name}{{witness=\"{}\"}} {number}\n",
                    witness.name
                ));
            }
        }
        text
    }

    fn sizes(&self) -> MutexGuard<'_, (u64, u64)> {
        // INVARIANT: nothing panics while it holds this lock.
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Witness {
    fn state(&self) -> MutexGuard<'_, State> {
        // INVARIANT: nothing panics while it holds this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
