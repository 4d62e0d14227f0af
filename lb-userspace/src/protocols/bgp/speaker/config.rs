//! The configuration of a speaker.

use std::{collections::BTreeMap, sync::Arc};

use crate::protocols::bfd;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpeakerConfig {
    /// TCP port to listen on; None: peers can't connect to us.
    pub listen: Option<u16>,
    /// This process has taken over the programs of an earlier one, which went on forwarding. OPENs
    /// say so in the graceful restart capability (RFC 4724).
    pub restarted: bool,
}

/// The states of all BFD sessions.
pub type BfdStates = Arc<BTreeMap<bfd::SessionKey, bfd::SessionStatus>>;
