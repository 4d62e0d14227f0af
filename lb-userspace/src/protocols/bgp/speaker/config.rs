//! What a speaker is told.

use std::{collections::BTreeMap, sync::Arc};

use crate::protocols::bfd;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpeakerConfig {
    /// TCP port to be called on; none: nobody can call.
    pub listen: Option<u16>,
    /// We have taken over what an earlier process forwarded, and it is forwarded
    /// still: peers are told so (RFC 4724).
    pub restarted: bool,
}

/// States of the BFD sessions that there are.
pub type BfdStates = Arc<BTreeMap<bfd::Key, bfd::Status>>;
