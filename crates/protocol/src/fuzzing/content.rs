//! What upstreams give besides records: content.

use super::fhir::bases;
use crate::fhir::binary::{binaries_in, content_of, guard_of};
use crate::fhir::content::MediaType;
use crate::fhir::name::ResourceType;
use crate::fhir::resource::Resource;

/// Any bytes as a Binary. What it says it is can stand in a header, and is read back the same.
pub fn fuzz_fhir_content(data: &[u8]) {
    let (Some(bases), Ok(asked)) = (bases(), "Binary/a".parse()) else { return };
    let Ok(binary) = Resource::parse(data, &asked, None) else { return };
    if let crate::fhir::binary::Guard::Record(record) = guard_of(binary.value(), &bases) {
        assert!(record.resource_type != ResourceType::BINARY, "no content protects content");
    }
    let _ = binaries_in(binary.value(), &bases);
    let Ok(content) = content_of(&binary) else { return };
    let name = content.media_type.to_string();
    assert!(name.bytes().all(|b| (b' '..0x7f).contains(&b)), "it can stand in a header");
    assert!(MediaType::of(&name).as_ref() == Some(&content.media_type), "what is written is read back");
}
