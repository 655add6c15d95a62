//! Questions that people answer elsewhere than where they were asked: on their phone. What they are shown, what their answer is
//! bound to, how often they may be asked; and what they are told there. OpenID Connect CIBA Core; ATTACKS O20.

pub mod deed;
pub mod flood;
pub mod known;
pub mod opened;
pub mod question;
pub mod sign_in;
