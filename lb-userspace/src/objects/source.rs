//! Where objects come from. Every source hands over the same Kubernetes
//! objects, so that the rest of the program does not depend on the source.

mod decode;
pub mod file;
mod kind;
mod kube;
mod lines;
mod located;
mod object;
mod rank;
mod secret;
mod service;
mod slice;
mod update;
mod watched;

pub use kind::Kind;
pub use kube::{ApiServer, Event, follow_kinds, watch_all, watch_namespace};
pub use located::{Located, Origin};
pub use object::{Identified, Object, ObjectRef};
pub use rank::Rank;
pub use secret::Secret;
pub use service::{Service, ServiceSpec};
pub use slice::{Endpoint, EndpointSlice, SERVICE_LABEL};
pub use update::{Change, Update};
pub use watched::Source;
