//! The configuration of an agent: its command line, checked.

use std::path::PathBuf;

use super::speakers::SpeakersConfig;
use crate::{
    announce::departure::DrainTimes,
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
    /// How to probe backends; without, all are taken for alive.
    pub health: Option<HealthConfig>,
    pub announce: AnnounceConfig,
}

/// How to announce VIPs. A director announces those in the data path; any node, those that kube-proxy carries.
#[derive(Clone)]
pub struct AnnounceConfig {
    pub speakers: SpeakersConfig,
    pub drain_times: DrainTimes,
}

/// How to probe nodes, and to check bare servers.
#[derive(Clone, Copy)]
pub struct HealthConfig {
    pub nodes: Probing,
    pub servers: Probing,
}
