//! What an agent is told on its command line.

use std::path::PathBuf;

use super::speakers::SpeakersConfig;
use crate::{
    announce::departure::Pace,
    datapath::kernel::DatapathConfig,
    health::Probing,
    objects::{source::Source, translate::TranslateConfig},
    plan::Identity,
};

pub struct AgentConfig {
    pub me: Identity,
    pub source: Source,
    pub socket: PathBuf,
    pub datapath: DatapathConfig,
    /// How Services are to be understood.
    pub translate: TranslateConfig,
    /// How to tell who is alive; without, everybody is.
    pub health: Option<HealthConfig>,
    pub announce: AnnounceConfig,
}

/// How to tell others of VIPs: directors do of those in the data path, any node of kube-proxy's.
#[derive(Clone)]
pub struct AnnounceConfig {
    pub speakers: SpeakersConfig,
    pub pace: Pace,
}

/// How to tell who is alive.
#[derive(Clone, Copy)]
pub struct HealthConfig {
    pub nodes: Probing,
    pub servers: Probing,
}
