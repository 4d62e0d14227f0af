//! A real Kubernetes API server, with etcd and, where they are wanted, controllers, in a namespace of a testbed; and the Helm
//! chart.

mod api_server;
mod chart;
mod control_plane;
mod controllers;
mod identity;
mod objects;
mod pods;
mod programs;
mod requests;

pub use api_server::{ApiServer, Link};
pub use chart::{kustomize, manifests_dir, write_chart};
pub(crate) use control_plane::ControlPlane;
pub use controllers::Controllers;
pub(crate) use identity::{AUTHORITY, KUBE_PROXY};
pub use pods::PodSpec;
pub(crate) use pods::pod_object;
pub use programs::{
    HELM, HELM_VERSION, Programs, built_helm, built_program, find_go, find_helm, find_helm_or_skip,
    module_dir,
};
pub use requests::Writes;
