//! How witnesses stand, for whoever tells of it.

use chartgate_values::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Standing, Witness, Witnesses};

/// A witness, and what it does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WitnessInForce {
    pub(crate) name: String,
    pub(crate) standing: WitnessStanding,
    /// How many records are under what it cosigned last; none, as far as that is known here.
    pub(crate) cosigned: u64,
    /// When it cosigned that.
    pub(crate) cosigned_at: Option<Timestamp>,
    /// When the first of the records under a checkpoint was made that it has not cosigned, if there is one.
    pub(crate) waiting_since: Option<Timestamp>,
}

/// Whether a witness does what it should.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WitnessStanding {
    Well,
    /// It does not answer, or not as it should: a stable code.
    Away(String),
    /// It remembers another log than ours: a stable code.
    Contradicts(String),
}

impl Witnesses {
    /// How each of them stands, as far as it is known without the log.
    pub(crate) fn told(&self) -> impl Iterator<Item = WitnessInForce> {
        self.all.iter().map(|witness| witness.told())
    }
}

impl Witness {
    fn told(&self) -> WitnessInForce {
        let state = self.state();
        WitnessInForce {
            name: self.name.clone(),
            standing: match &state.standing {
                Standing::Well => WitnessStanding::Well,
                Standing::Away(code) => WitnessStanding::Away(code.clone()),
                Standing::Contradicts(code) => WitnessStanding::Contradicts((*code).to_owned()),
            },
            cosigned: state.cosigned,
            cosigned_at: (state.at > 0)
                .then(|| Timestamp::from_unix(state.at.try_into().unwrap_or(i64::MAX))),
            waiting_since: None,
        }
    }
}
