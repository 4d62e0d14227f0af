//! ROUTE-REFRESH (RFC 2918), with the marks of its begin and end (RFC 7313).

use super::{Family, Notification, code};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefreshKind {
    Request,
    /// Beginning-of-Route-Refresh
    Begin,
    /// End-of-Route-Refresh
    End,
    /// Unknown; to be ignored.
    Other(u8),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouteRefresh {
    /// None: a family that we do not speak.
    pub family: Option<Family>,
    pub kind: RefreshKind,
}

impl RouteRefresh {
    pub fn new(family: Family, kind: RefreshKind) -> Self {
        Self { family: Some(family), kind }
    }

    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        let (afi, safi) = self.family.map_or((0, 0), |family| (family.afi(), 1));
        let kind = match self.kind {
            RefreshKind::Request => 0,
            RefreshKind::Begin => 1,
            RefreshKind::End => 2,
            RefreshKind::Other(kind) => kind,
        };
        bytes.extend(afi.to_be_bytes());
        bytes.extend([kind, safi]);
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, Notification> {
        let Ok([a, f, kind, safi]) = <[u8; 4]>::try_from(body) else {
            return Err(Notification::with_data(code::INVALID_REFRESH_LENGTH, body));
        };
        let kind = match kind {
            0 => RefreshKind::Request,
            1 => RefreshKind::Begin,
            2 => RefreshKind::End,
            other => RefreshKind::Other(other),
        };
        Ok(Self { family: Family::from_wire(u16::from_be_bytes([a, f]), safi), kind })
    }
}
