//! Waking somebody's phone: messages for push services of browsers. RFC 8030 says how they are sent, RFC 8291 how they are
//! encrypted, RFC 8292 by whom they are.
//!
//! A push service sees where a message goes, when, and how long it is. What it says is for the phone alone, and even so says
//! nothing of anybody: only which question waits.

mod content;
mod subscription;
mod vapid;

pub use content::{NotEncrypted, encrypt};
pub use subscription::{NotASubscription, Subscription};
pub use vapid::{VapidKey, VapidKeyError};
