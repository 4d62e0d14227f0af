//! What a Service says about all of its ports.

use crate::objects::model::{Check, DeliveryMode, Policy};

/// What a Service in the data path says about all of its ports.
pub struct Settings {
    pub delivery: DeliveryMode,
    pub bare: bool,
    pub publish_not_ready: bool,
    pub policy: Policy,
    /// Of bare servers, at TCP ports.
    pub check: Option<Check>,
}
