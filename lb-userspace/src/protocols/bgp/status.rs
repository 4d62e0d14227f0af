//! The status of peers, as `trigon bgp` shows it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The state of a peer (RFC 4271, section 8.2.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub enum State {
    #[default]
    Idle,
    Connect,
    Active,
    OpenSent,
    OpenConfirm,
    Established,
}

/// How a peer is doing.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Name of its `BgpPeer`.
    pub name: String,
    /// Its address, or the interface it is looked for on.
    pub remote: String,
    /// Its address, once known: of an unnumbered peer, when it has been heard.
    pub address: Option<IpAddr>,
    pub remote_as: Option<u32>,
    pub local_as: u32,
    pub state: State,
    /// Seconds since it entered this state.
    pub seconds: u64,
    pub hold_time_seconds: Option<u16>,
    /// Families spoken on the session: `ipv4`, `ipv6`.
    pub families: Vec<String>,
    /// What the peer offered that matters: `route-refresh`, `graceful-restart`, `4-octet-as`, ...
    pub capabilities: Vec<String>,
    /// Routes that the peer has from us now.
    pub routes_sent: usize,
    /// Routes that wait to be sent.
    pub routes_pending: usize,
    /// Routes that the peer offered, and that were refused.
    pub routes_refused: u64,
    /// How often the session was established.
    pub established: u64,
    /// `up`, `down`, `init` or `admin-down`; None: the peer has no BFD profile.
    pub bfd: Option<String>,
    /// Routes that can't be announced to it, and what to do about that.
    pub problems: Vec<String>,
    pub last_error: Option<LastError>,
}

/// Why a session ended or did not come up.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct LastError {
    /// By its RFC name: `OPEN Message Error: Bad Peer AS`.
    pub name: String,
    /// Code and subcode, where a NOTIFICATION was sent or received.
    pub code: Option<(u8, u8)>,
    /// We sent it; false: the peer did.
    pub sent: bool,
    /// What was wrong in particular, or the peer's shutdown message (RFC 9003).
    pub detail: String,
    pub remedy: String,
    /// Seconds since it happened.
    pub seconds_ago: u64,
}

impl LastError {
    /// The session's task has panicked with this text.
    pub fn of_panic(detail: String) -> Self {
        Self {
            name: "Internal Error".into(),
            detail,
            remedy: "This is a fault of Trigon: report it, with the agent's log. The session begins anew by itself."
                .into(),
            ..Self::default()
        }
    }
}
