//! What every request needs, in memory: of the store, keys, cut-offs, the care table and the policies; and which proofs
//! were used.
//!
//! What is of the store changes through one method here, which writes the store first: so the next request sees what was committed,
//! and nothing that was not.

pub(crate) mod approvals;
pub(crate) mod apps;
pub(crate) mod care;
pub(crate) mod client_keys;
pub(crate) mod client_origins;
pub(crate) mod cut_offs;
pub(crate) mod emergency;
pub(crate) mod factors;
pub(crate) mod findings;
pub(crate) mod hints;
pub(crate) mod identity_providers;
pub(crate) mod in_force;
pub(crate) mod keys;
pub(crate) mod outbox;
pub(crate) mod passkeys;
pub(crate) mod phones;
pub(crate) mod policies;
pub(crate) mod proofs;
pub(crate) mod proven;
pub(crate) mod remote_keys;
pub(crate) mod sessions;
pub(crate) mod status_lists;
pub(crate) mod tokens;
pub(crate) mod trusted_issuers;
