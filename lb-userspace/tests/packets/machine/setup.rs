//! The machines that cases ask for.

use std::fmt;

use lb_common::roles;

use super::full_table::{self, FullTable};

/// What a machine is to be, and the condition it is in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Setup {
    /// Bits of [`roles`].
    pub roles: u32,
    pub condition: Condition,
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const BOTH: u32 = roles::DIRECTOR | roles::NODE;
        f.write_str(match self.roles & BOTH {
            roles::DIRECTOR => "a director",
            roles::NODE => "a node",
            BOTH => "a director and node",
            _ => "a machine without a role",
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Condition {
    Ordinary,
    /// A client has opened a flow of each kind, all to the same endpoint.
    FlowsOpen,
    /// The same, and the SYNs of these connections are known.
    SynsNoted,
    /// As `FlowsOpen`, from a client on this node.
    InsideFlowsOpen,
    /// As `SynsNoted`, but the table of replies has just grown, and the former one has theirs.
    RepliesGrown,
    /// The client's other flows have all ports that could stand for its own.
    PortsTaken,
    /// As many flows of each service have begun in this second as may.
    AtLimit,
    /// `LOG_DROPS`: every dropped packet is reported.
    ReportsDrops,
    /// The driver leaves too little room in front of a frame.
    NoHeadroom,
    /// Sources of tunnels to bare servers are spread over a /24 and a /112.
    SpreadsSources,
    /// So many packets of unknown flows are handed on in a second.
    Strays(u32),
    /// This table takes no new entries.
    Full(FullTable),
}

const fn ordinary(roles: u32) -> Setup {
    Setup { roles, condition: Condition::Ordinary }
}

pub const AS_DIRECTOR: Setup = ordinary(roles::DIRECTOR);
pub const AS_NODE: Setup = ordinary(roles::NODE);
pub const AS_BOTH: Setup = ordinary(roles::DIRECTOR | roles::NODE);
pub const WITH_FLOWS: Setup = Setup { roles: roles::NODE, condition: Condition::FlowsOpen };
pub const WITH_SYNS: Setup = Setup { roles: roles::NODE, condition: Condition::SynsNoted };
pub const WITH_INSIDE_FLOWS: Setup = Setup { roles: roles::NODE, condition: Condition::InsideFlowsOpen };
pub const WITH_FORMER_REPLIES: Setup = Setup { roles: roles::NODE, condition: Condition::RepliesGrown };
pub const NODE_AT_LIMIT: Setup = Setup { roles: roles::NODE, condition: Condition::AtLimit };
pub const DIRECTOR_AT_LIMIT: Setup = Setup { roles: roles::DIRECTOR, condition: Condition::AtLimit };
pub const WITH_PORTS_TAKEN: Setup = Setup { roles: roles::NODE, condition: Condition::PortsTaken };
pub const WITHOUT_HEADROOM: Setup = Setup { roles: roles::DIRECTOR, condition: Condition::NoHeadroom };
pub const SPREADING: Setup = Setup { roles: roles::DIRECTOR, condition: Condition::SpreadsSources };
pub const WITHOUT_STRAYS: Setup = Setup { roles: roles::NODE, condition: Condition::Strays(0) };
pub const NODE_WITHOUT_HEADROOM: Setup = Setup { roles: roles::NODE, condition: Condition::NoHeadroom };
pub const REPLIES_FULL: Setup =
    Setup { roles: roles::NODE, condition: Condition::Full(full_table::NODE_REPLIES) };
pub const FLOWS_FULL: Setup =
    Setup { roles: roles::NODE, condition: Condition::Full(full_table::NODE_FLOWS) };
