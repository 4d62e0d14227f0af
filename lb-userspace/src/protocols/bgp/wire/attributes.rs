//! Path attributes (RFC 4271, section 4.3), as far as we send them.

use std::collections::BTreeSet;

use netgauze_bgp_pkt::{
    community::{Community, LargeCommunity as WireLargeCommunity},
    path_attribute::{
        As2PathSegment, As4Path, As4PathSegment, AsPath, AsPathSegmentType, Communities, LargeCommunities,
        LocalPreference, MultiExitDiscriminator, Origin as WireOrigin, PathAttribute, PathAttributeValue,
    },
};
use netgauze_parse_utils::WritablePdu;

use super::{AS_TRANS, EncodeError};
use crate::protocols::bgp::config::LargeCommunity;

/// The community of routes that are about to be withdrawn (RFC 8326).
pub const GRACEFUL_SHUTDOWN: u32 = 0xffff_0000;

/// The most ASes in a segment of an AS_PATH.
const MAX_SEGMENT_LENGTH: usize = 255;

/// The ORIGIN of a route. We send `Igp`: the route comes from within this AS.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum OriginCode {
    #[default]
    Igp,
    Egp,
    Incomplete,
}

/// The path attributes of a route, except the next hop, which belongs to the prefixes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PathAttributes {
    pub origin: OriginCode,
    /// One AS_SEQUENCE, the neighbour's AS first.
    pub as_path: Vec<u32>,
    pub med: Option<u32>,
    pub local_pref: Option<u32>,
    pub communities: BTreeSet<u32>,
    pub large_communities: BTreeSet<LargeCommunity>,
}

impl PathAttributes {
    /// Encodes the attributes of an UPDATE with routes, in the order of their type codes.
    /// `next_hop`: the NEXT_HOP attribute, if there is one.
    pub(super) fn encode(
        &self,
        next_hop: Option<PathAttributeValue>,
        four_octet_as: bool,
        bytes: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let communities: Vec<_> = self.communities.iter().map(|value| Community::new(*value)).collect();
        let large: Vec<_> = self
            .large_communities
            .iter()
            .map(|LargeCommunity(a, b, c)| WireLargeCommunity::new(*a, *b, *c))
            .collect();
        let values = [
            Some(PathAttributeValue::Origin(self.wire_origin())),
            Some(PathAttributeValue::AsPath(self.encoded_as_path(four_octet_as))),
            next_hop,
            self.med.map(|med| PathAttributeValue::MultiExitDiscriminator(MultiExitDiscriminator::new(med))),
            self.local_pref.map(|pref| PathAttributeValue::LocalPreference(LocalPreference::new(pref))),
            (!communities.is_empty()).then(|| PathAttributeValue::Communities(Communities::new(communities))),
            self.as4_path(four_octet_as).map(PathAttributeValue::As4Path),
            (!large.is_empty()).then(|| PathAttributeValue::LargeCommunities(LargeCommunities::new(large))),
        ];
        values.into_iter().flatten().try_for_each(|value| encode_attribute(value, bytes))
    }

    /// Takes in a received attribute; attributes without a field here are ignored.
    pub(super) fn set_attribute(&mut self, value: &PathAttributeValue) {
        match value {
            PathAttributeValue::Origin(origin) => {
                self.origin = match origin {
                    WireOrigin::IGP => OriginCode::Igp,
                    WireOrigin::EGP => OriginCode::Egp,
                    WireOrigin::Incomplete => OriginCode::Incomplete,
                }
            }
            PathAttributeValue::AsPath(path) => self.as_path = Vec::from(path.clone()),
            PathAttributeValue::As4Path(path) => self.merge_as4_path(path),
            PathAttributeValue::MultiExitDiscriminator(med) => self.med = Some(med.metric()),
            PathAttributeValue::LocalPreference(pref) => self.local_pref = Some(pref.metric()),
            PathAttributeValue::Communities(all) => {
                self.communities = all.communities().iter().map(Community::value).collect();
            }
            PathAttributeValue::LargeCommunities(all) => {
                let large = |of: &WireLargeCommunity| {
                    LargeCommunity(of.global_admin(), of.local_data1(), of.local_data2())
                };
                self.large_communities = all.communities().iter().map(large).collect();
            }
            _ => {}
        }
    }

    /// Replaces the end of the path by the AS4_PATH (RFC 6793, section 4.2.3).
    fn merge_as4_path(&mut self, path: &As4Path) {
        let tail: Vec<u32> =
            path.segments().iter().flat_map(|segment| segment.as_numbers()).copied().collect();
        if let Some(kept) = self.as_path.len().checked_sub(tail.len()) {
            self.as_path.truncate(kept);
            self.as_path.extend(tail);
        }
    }

    fn wire_origin(&self) -> WireOrigin {
        match self.origin {
            OriginCode::Igp => WireOrigin::IGP,
            OriginCode::Egp => WireOrigin::EGP,
            OriginCode::Incomplete => WireOrigin::Incomplete,
        }
    }

    fn encoded_as_path(&self, four_octet_as: bool) -> AsPath {
        if four_octet_as {
            return AsPath::as4_path_segments(self.as4_segments());
        }
        let short = |asn: &u32| u16::try_from(*asn).unwrap_or(AS_TRANS);
        let segment = |of: &[u32]| {
            As2PathSegment::new(AsPathSegmentType::AsSequence, of.iter().map(short).collect::<Vec<_>>())
        };
        AsPath::as2_path_segments(self.as_path.chunks(MAX_SEGMENT_LENGTH).map(segment).collect::<Vec<_>>())
    }

    /// The AS4_PATH: only for peers that do not support four-octet ASes, and only if the path has
    /// such an AS (RFC 6793, section 4.2.2).
    fn as4_path(&self, four_octet_as: bool) -> Option<As4Path> {
        let is_long = self.as_path.iter().any(|asn| *asn > u32::from(u16::MAX));
        (is_long && !four_octet_as).then(|| As4Path::new(self.as4_segments()))
    }

    fn as4_segments(&self) -> Vec<As4PathSegment> {
        let segment = |of: &[u32]| As4PathSegment::new(AsPathSegmentType::AsSequence, of);
        self.as_path.chunks(MAX_SEGMENT_LENGTH).map(segment).collect()
    }
}

/// Encodes an attribute with the flags of its type.
pub fn encode_attribute(value: PathAttributeValue, bytes: &mut Vec<u8>) -> Result<(), EncodeError> {
    let optional = value.can_be_optional().unwrap_or(true);
    let transitive = value.can_be_transitive().unwrap_or(true);
    // A length field of two bytes is always allowed, and one byte may be too short.
    let attribute = PathAttribute::from(optional, transitive, false, true, value)
        .map_err(|(_, error)| EncodeError::Unencodable(error.to_string()))?;
    attribute.write(bytes).map_err(|error| EncodeError::Unencodable(error.to_string()))
}
