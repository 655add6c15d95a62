//! SMART App Launch 2.2: scopes and discovery.

pub mod categories;
pub mod configuration;
pub mod launch;
pub mod scope;
