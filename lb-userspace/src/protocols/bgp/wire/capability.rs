//! Capabilities (RFC 5492): the protocol extensions that a speaker supports.

use netgauze_bgp_pkt::capabilities::{
    BgpCapability, ExtendedNextHopEncoding, ExtendedNextHopEncodingCapability, FourOctetAsCapability,
    GracefulRestartAddressFamily, GracefulRestartCapability, MultiProtocolExtensionsCapability,
    UnrecognizedCapability,
};
use netgauze_iana::address_family::AddressFamily;
use netgauze_parse_utils::{WritablePdu, reader::SliceReader, traits::ParseFrom};

use super::{EncodeError, Family, reader::ByteReader};

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Capability {
    /// RFC 4760
    MultiProtocol(Family),
    /// RFC 2918
    RouteRefresh,
    /// RFC 7313
    EnhancedRouteRefresh,
    /// RFC 8950: IPv4 routes may have IPv6 next hops.
    ExtendedNextHop,
    GracefulRestart(GracefulRestart),
    /// RFC 6793
    FourOctetAs(u32),
    /// Unknown, of an unknown family, or malformed: to be ignored.
    Other {
        code: u8,
        value: Vec<u8>,
    },
}

/// The graceful restart capability (RFC 4724).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GracefulRestart {
    /// "R": the sender has just restarted.
    pub restarted: bool,
    /// "N": the sender keeps routes over a NOTIFICATION as well (RFC 8538).
    pub notification: bool,
    /// Restart time in seconds, 12 bits.
    pub time: u16,
    /// Families, each with "F": the sender went on forwarding over the restart.
    pub families: Vec<(Family, bool)>,
}

const MULTI_PROTOCOL: u8 = 1;

impl Capability {
    /// Is it the multiprotocol capability of any family, known or not?
    pub fn is_multi_protocol(&self) -> bool {
        matches!(self, Self::MultiProtocol(_) | Self::Other { code: MULTI_PROTOCOL, .. })
    }

    /// Its name in `trigon bgp`; None: not shown there.
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Self::MultiProtocol(_) | Self::Other { .. } => None,
            Self::RouteRefresh => Some("route-refresh"),
            Self::EnhancedRouteRefresh => Some("enhanced-route-refresh"),
            Self::ExtendedNextHop => Some("extended-next-hop"),
            Self::GracefulRestart(_) => Some("graceful-restart"),
            Self::FourOctetAs(_) => Some("4-octet-as"),
        }
    }

    pub(super) fn encode(&self, bytes: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.to_netgauze().write(bytes).map_err(|error| EncodeError::Unencodable(error.to_string()))
    }

    fn to_netgauze(&self) -> BgpCapability {
        match self {
            Self::MultiProtocol(family) => {
                let family = MultiProtocolExtensionsCapability::new(family.address_type());
                BgpCapability::MultiProtocolExtensions(family)
            }
            Self::RouteRefresh => BgpCapability::RouteRefresh,
            Self::EnhancedRouteRefresh => BgpCapability::EnhancedRouteRefresh,
            Self::ExtendedNextHop => {
                let encoding = ExtendedNextHopEncoding::new(Family::Ipv4.address_type(), AddressFamily::IPv6);
                BgpCapability::ExtendedNextHopEncoding(ExtendedNextHopEncodingCapability::new([encoding]))
            }
            Self::GracefulRestart(restart) => {
                let families: Vec<_> = restart
                    .families
                    .iter()
                    .map(|(family, forwards)| {
                        GracefulRestartAddressFamily::new(*forwards, family.address_type())
                    })
                    .collect();
                BgpCapability::GracefulRestartCapability(GracefulRestartCapability::new(
                    restart.restarted,
                    restart.notification,
                    restart.time & 0xfff,
                    families,
                ))
            }
            Self::FourOctetAs(asn) => BgpCapability::FourOctetAs(FourOctetAsCapability::new(*asn)),
            Self::Other { code, value } => {
                BgpCapability::Unrecognized(UnrecognizedCapability::new(*code, value.clone()))
            }
        }
    }

    /// None: not a capability that we know.
    fn from_netgauze(capability: BgpCapability) -> Option<Self> {
        Some(match capability {
            BgpCapability::MultiProtocolExtensions(of) => {
                Self::MultiProtocol(Family::from_address_type(of.address_type())?)
            }
            BgpCapability::RouteRefresh => Self::RouteRefresh,
            BgpCapability::EnhancedRouteRefresh => Self::EnhancedRouteRefresh,
            BgpCapability::ExtendedNextHopEncoding(of) => {
                let is_ours = |of: &ExtendedNextHopEncoding| {
                    Family::from_address_type(of.address_type()) == Some(Family::Ipv4)
                        && of.next_hop_afi() == AddressFamily::IPv6
                };
                of.encodings().iter().any(is_ours).then_some(Self::ExtendedNextHop)?
            }
            BgpCapability::GracefulRestartCapability(of) => {
                let family = |of: &GracefulRestartAddressFamily| {
                    Some((Family::from_address_type(of.address_type())?, of.forwarding_state()))
                };
                Self::GracefulRestart(GracefulRestart {
                    restarted: of.restart(),
                    notification: of.graceful_notification(),
                    time: of.time(),
                    families: of.address_families().iter().filter_map(family).collect(),
                })
            }
            BgpCapability::FourOctetAs(of) => Self::FourOctetAs(of.asn4()),
            _ => return None,
        })
    }
}

/// Decodes all capabilities of an optional parameter; None if a length is wrong.
pub fn decode_all(value: &[u8]) -> Option<Vec<Capability>> {
    let mut reader = ByteReader::new(value);
    let mut capabilities = Vec::new();
    while !reader.is_empty() {
        let whole = reader.remaining();
        let code = reader.take_u8()?;
        let length = reader.take_u8()?;
        let value = reader.take(length.into())?;
        let mut one = SliceReader::new(&whole[..value.len() + 2]);
        // RFC 5492, section 3: capabilities that are not understood are ignored.
        let known = BgpCapability::parse(&mut one).ok().filter(|_| one.is_empty());
        let known = known.and_then(Capability::from_netgauze);
        capabilities.push(known.unwrap_or_else(|| Capability::Other { code, value: value.to_vec() }));
    }
    Some(capabilities)
}
