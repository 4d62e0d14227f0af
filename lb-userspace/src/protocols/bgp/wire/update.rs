//! UPDATE (RFC 4271, section 4.3). Routes of IPv6, and IPv4 routes with IPv6 next hops, are in
//! MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760, RFC 8950).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netgauze_bgp_pkt::{
    nlri::{Ipv4Unicast, Ipv4UnicastAddress, Ipv6Unicast, Ipv6UnicastAddress},
    path_attribute::{MpReach, MpUnreach, NextHop as WireNextHop, PathAttribute, PathAttributeValue},
    wire::deserializer::BgpParsingContext,
};
use netgauze_parse_utils::{reader::SliceReader, traits::ParseFromWithOneInput};

use super::{EncodeError, Family, Notification, PathAttributes, attributes, code, reader::ByteReader};

/// The next hop of a route.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RouteNextHop {
    V4(Ipv4Addr),
    /// `link_local`: also given on a shared link (RFC 2545, section 3). If there is no other
    /// address, `global` is link-local itself.
    V6 {
        global: Ipv6Addr,
        link_local: Option<Ipv6Addr>,
    },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReachableRoutes {
    pub next_hop: RouteNextHop,
    pub prefixes: Vec<IpNet>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Update {
    /// Withdrawn prefixes. A family without any, in an otherwise empty UPDATE, is End-of-RIB
    /// (RFC 4724, section 2).
    pub unreach: BTreeMap<Family, Vec<IpNet>>,
    /// Announced prefixes. An UPDATE that we send has one family here at most.
    pub reach: BTreeMap<Family, ReachableRoutes>,
    pub attributes: PathAttributes,
    /// The first error of a received UPDATE. Its routes then count as withdrawn
    /// ("treat-as-withdraw", RFC 7606).
    pub malformed: Option<String>,
}

impl Update {
    pub fn withdraw(family: Family, prefixes: Vec<IpNet>) -> Self {
        Self { unreach: [(family, prefixes)].into(), ..Self::default() }
    }

    pub fn end_of_rib(family: Family) -> Self {
        Self::withdraw(family, Vec::new())
    }

    pub fn announce(family: Family, reach: ReachableRoutes, attributes: PathAttributes) -> Self {
        Self { reach: [(family, reach)].into(), attributes, ..Self::default() }
    }

    /// The number of routes that it announces.
    pub fn offered_routes(&self) -> usize {
        self.reach.values().map(|reach| reach.prefixes.len()).sum()
    }

    pub fn end_of_rib_family(&self) -> Option<Family> {
        let mut families = self.unreach.iter();
        let (family, prefixes) = families.next()?;
        let is_end = prefixes.is_empty() && self.reach.is_empty() && families.next().is_none();
        (is_end && self.malformed.is_none()).then_some(*family)
    }

    pub(super) fn encode(&self, four_octet_as: bool, bytes: &mut Vec<u8>) -> Result<(), EncodeError> {
        let mut withdrawn = Vec::new();
        let mut path = Vec::new();
        let mut announced = Vec::new();
        let mut next_hop = None;
        for (family, prefixes) in &self.unreach {
            match family {
                Family::Ipv4 => prefixes.iter().for_each(|prefix| encode_prefix(prefix, &mut withdrawn)),
                Family::Ipv6 => {
                    let nlri = v6_nlri(prefixes)?;
                    attributes::encode_attribute(
                        PathAttributeValue::MpUnreach(MpUnreach::Ipv6Unicast { nlri }),
                        &mut path,
                    )?;
                }
            }
        }
        for (family, reach) in &self.reach {
            match (family, reach.next_hop) {
                (Family::Ipv4, RouteNextHop::V4(address)) => {
                    next_hop = Some(PathAttributeValue::NextHop(WireNextHop::new(address)));
                    reach.prefixes.iter().for_each(|prefix| encode_prefix(prefix, &mut announced));
                }
                // RFC 7606, section 5.1: MP_REACH_NLRI is the first attribute.
                _ => attributes::encode_attribute(
                    PathAttributeValue::MpReach(to_mp_reach(*family, reach)?),
                    &mut path,
                )?,
            }
        }
        if !self.reach.is_empty() {
            self.attributes.encode(next_hop, four_octet_as, &mut path)?;
        }
        bytes.extend(length_field(&withdrawn)?);
        bytes.extend(&withdrawn);
        bytes.extend(length_field(&path)?);
        bytes.extend(&path);
        bytes.extend(&announced);
        Ok(())
    }

    /// Fails only if the lengths of the UPDATE's three parts are impossible. As every route is
    /// refused, no other error needs to end the session: in terms of RFC 7606, every family is
    /// disabled for receiving from the start.
    pub(super) fn decode(body: &[u8], four_octet_as: bool) -> Result<Self, Notification> {
        let malformed = || Notification::new(code::MALFORMED_ATTRIBUTE_LIST);
        let mut reader = ByteReader::new(body);
        let withdrawn = take_field(&mut reader).ok_or_else(malformed)?;
        let path = take_field(&mut reader).ok_or_else(malformed)?;
        let announced = reader.remaining();

        let mut update = Self::default();
        if body.len() == 4 {
            return Ok(Self::end_of_rib(Family::Ipv4));
        }
        let next_hop = update.decode_attributes(path, four_octet_as);
        if !withdrawn.is_empty() {
            let prefixes = update.decode_prefixes(withdrawn);
            update.unreach.insert(Family::Ipv4, prefixes);
        }
        if !announced.is_empty() {
            let prefixes = update.decode_prefixes(announced);
            let next_hop = next_hop.unwrap_or_else(|| {
                update.record_error("NEXT_HOP is missing");
                RouteNextHop::V4(Ipv4Addr::UNSPECIFIED)
            });
            update.reach.insert(Family::Ipv4, ReachableRoutes { next_hop, prefixes });
        }
        Ok(update)
    }

    /// Takes in the path attributes, and returns NEXT_HOP if it is among them.
    fn decode_attributes(&mut self, path: &[u8], four_octet_as: bool) -> Option<RouteNextHop> {
        let mut context = BgpParsingContext::asn2_default();
        context.set_asn4(four_octet_as);
        let mut reader = ByteReader::new(path);
        let mut next_hop = None;
        let mut seen = BTreeSet::new();
        while !reader.is_empty() {
            let Some((kind, bytes)) = take_attribute(&mut reader) else {
                self.record_error("the length of a path attribute is wrong");
                break;
            };
            // RFC 7606, section 3, g: of attributes that stand twice the first counts.
            if !seen.insert(kind) {
                continue;
            }
            let mut slice = SliceReader::new(bytes);
            match PathAttribute::parse(&mut slice, &mut context) {
                Ok(attribute) if slice.is_empty() => self.apply_attribute(attribute.value(), &mut next_hop),
                Ok(_) => self.record_error(&format!("path attribute {kind} is too long")),
                Err(error) => self.record_error(&format!("path attribute {kind}: {error}")),
            }
        }
        next_hop
    }

    fn apply_attribute(&mut self, value: &PathAttributeValue, next_hop: &mut Option<RouteNextHop>) {
        match value {
            PathAttributeValue::NextHop(of) => *next_hop = Some(RouteNextHop::V4(of.next_hop())),
            PathAttributeValue::MpReach(reach) => self.reach.extend(from_mp_reach(reach)),
            PathAttributeValue::MpUnreach(MpUnreach::Ipv4Unicast { nlri }) => {
                self.unreach.insert(Family::Ipv4, nlri.iter().map(prefix_from_v4).collect());
            }
            PathAttributeValue::MpUnreach(MpUnreach::Ipv6Unicast { nlri }) => {
                self.unreach.insert(Family::Ipv6, nlri.iter().map(prefix_from_v6).collect());
            }
            other => self.attributes.set_attribute(other),
        }
    }

    /// IPv4 prefixes, up to the first malformed one.
    fn decode_prefixes(&mut self, bytes: &[u8]) -> Vec<IpNet> {
        let mut reader = ByteReader::new(bytes);
        let mut prefixes = Vec::new();
        while !reader.is_empty() {
            let Some(prefix) = decode_prefix(&mut reader) else {
                self.record_error("a prefix has a wrong length");
                break;
            };
            prefixes.push(prefix);
        }
        prefixes
    }

    /// Notes an error; only the first is kept.
    fn record_error(&mut self, complaint: &str) {
        self.malformed.get_or_insert_with(|| complaint.to_owned());
    }
}

/// Takes a field that is preceded by its length in two bytes.
fn take_field<'a>(reader: &mut ByteReader<'a>) -> Option<&'a [u8]> {
    let length = reader.take_u16()?;
    reader.take(length.into())
}

fn length_field(part: &[u8]) -> Result<[u8; 2], EncodeError> {
    u16::try_from(part.len()).map(u16::to_be_bytes).map_err(|_| EncodeError::TooLong(part.len()))
}

/// Takes the next attribute: its type, and all its bytes with header and unchecked value.
fn take_attribute<'a>(reader: &mut ByteReader<'a>) -> Option<(u8, &'a [u8])> {
    const EXTENDED_LENGTH: u8 = 0x10;
    let whole = reader.remaining();
    let [flags, kind] = reader.take_array()?;
    let length =
        if flags & EXTENDED_LENGTH == 0 { reader.take_u8()?.into() } else { usize::from(reader.take_u16()?) };
    reader.take(length)?;
    Some((kind, &whole[..whole.len() - reader.remaining().len()]))
}

/// The prefix length in bits, then as many bytes of address as it needs (RFC 4271,
/// section 4.3).
fn encode_prefix(prefix: &IpNet, bytes: &mut Vec<u8>) {
    let address = match prefix.network() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    bytes.push(prefix.prefix_len());
    bytes.extend(address.iter().take(usize::from(prefix.prefix_len().div_ceil(8))));
}

fn decode_prefix(reader: &mut ByteReader<'_>) -> Option<IpNet> {
    let bits = reader.take_u8().filter(|bits| *bits <= Family::Ipv4.max_prefix_length())?;
    let prefix_bytes = reader.take(bits.div_ceil(8).into())?;
    let mut address = [0; 4];
    address[..prefix_bytes.len()].copy_from_slice(prefix_bytes);
    Ipv4Net::new(address.into(), bits).ok().map(|prefix| prefix.trunc().into())
}

fn to_mp_reach(family: Family, reach: &ReachableRoutes) -> Result<MpReach, EncodeError> {
    Ok(match (family, reach.next_hop) {
        (Family::Ipv4, RouteNextHop::V6 { global, link_local }) => MpReach::Ipv4Unicast {
            next_hop: global.into(),
            next_hop_local: link_local,
            nlri: v4_nlri(&reach.prefixes)?,
        },
        (Family::Ipv4, RouteNextHop::V4(address)) => MpReach::Ipv4Unicast {
            next_hop: address.into(),
            next_hop_local: None,
            nlri: v4_nlri(&reach.prefixes)?,
        },
        (Family::Ipv6, RouteNextHop::V6 { global, link_local }) => MpReach::Ipv6Unicast {
            next_hop_global: global,
            next_hop_local: link_local,
            nlri: v6_nlri(&reach.prefixes)?,
        },
        (Family::Ipv6, RouteNextHop::V4(_)) => {
            return Err(EncodeError::Unencodable("IPv6 routes have no IPv4 next hops".into()));
        }
    })
}

fn v4_nlri(prefixes: &[IpNet]) -> Result<Box<[Ipv4UnicastAddress]>, EncodeError> {
    let encode = |prefix: &IpNet| match prefix {
        IpNet::V4(prefix) => Ipv4Unicast::from_net(*prefix).ok().map(Ipv4UnicastAddress::new_no_path_id),
        IpNet::V6(_) => None,
    };
    prefixes.iter().map(|prefix| encode(prefix).ok_or_else(|| not_unicast_error(prefix))).collect()
}

fn v6_nlri(prefixes: &[IpNet]) -> Result<Box<[Ipv6UnicastAddress]>, EncodeError> {
    let encode = |prefix: &IpNet| match prefix {
        IpNet::V6(prefix) => {
            Ipv6Unicast::from_net(*prefix).ok().map(|prefix| Ipv6UnicastAddress::new(None, prefix))
        }
        IpNet::V4(_) => None,
    };
    prefixes.iter().map(|prefix| encode(prefix).ok_or_else(|| not_unicast_error(prefix))).collect()
}

fn not_unicast_error(prefix: &IpNet) -> EncodeError {
    EncodeError::Unencodable(format!("{prefix} is no unicast prefix of that family"))
}

fn from_mp_reach(reach: &MpReach) -> Option<(Family, ReachableRoutes)> {
    match reach {
        MpReach::Ipv4Unicast { next_hop, next_hop_local, nlri } => {
            let next_hop = match next_hop {
                IpAddr::V4(address) => RouteNextHop::V4(*address),
                IpAddr::V6(global) => RouteNextHop::V6 { global: *global, link_local: *next_hop_local },
            };
            Some((
                Family::Ipv4,
                ReachableRoutes { next_hop, prefixes: nlri.iter().map(prefix_from_v4).collect() },
            ))
        }
        MpReach::Ipv6Unicast { next_hop_global, next_hop_local, nlri } => {
            let next_hop = RouteNextHop::V6 { global: *next_hop_global, link_local: *next_hop_local };
            Some((
                Family::Ipv6,
                ReachableRoutes { next_hop, prefixes: nlri.iter().map(prefix_from_v6).collect() },
            ))
        }
        _ => None,
    }
}

fn prefix_from_v4(prefix: &Ipv4UnicastAddress) -> IpNet {
    let net: Ipv4Net = prefix.network().address();
    net.into()
}

fn prefix_from_v6(prefix: &Ipv6UnicastAddress) -> IpNet {
    let net: Ipv6Net = prefix.network().address();
    net.into()
}
