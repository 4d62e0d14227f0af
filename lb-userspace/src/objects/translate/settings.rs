//! Settings of a Service.

use crate::objects::model::{Check, DeliveryMode, Policy};

/// What a Service in the data path says about all of its ports.
pub struct Settings {
    pub delivery: DeliveryMode,
    pub bare: bool,
    /// `externalTrafficPolicy: Local`; not of bare servers, which are on no node.
    pub local: bool,
    pub publish_not_ready: bool,
    pub policy: Policy,
    /// Only for bare servers, at TCP ports.
    pub check: Option<Check>,
}
