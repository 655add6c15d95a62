//! The crate as its users see it: published vectors, the attack corpus, the attacks by name.

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod bound_tokens;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod fhir_attacks;
#[cfg(test)]
mod forge;
#[cfg(test)]
mod jwe_attacks;
#[cfg(test)]
mod jwe_vectors;
#[cfg(test)]
mod jwt_attacks;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod synthea;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod wycheproof;
