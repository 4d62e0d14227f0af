//! Where objects come from. Every source hands over the same Kubernetes
//! objects, so that nothing behind it knows which one it was.
pub mod file;

use std::{fmt, sync::Arc};

use k8s_openapi::{
    api::{
        core::v1::{Node, Service},
        discovery::v1::EndpointSlice,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use crate::model::Problem;

/// A kind of object that Trigon reads. `Display` gives the name in manifests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    Service,
    EndpointSlice,
    Node,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Node => "Node",
        })
    }
}

/// The identity of an object. `Display` gives `Service default/web`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObjectRef {
    pub kind: Kind,
    /// Empty for a Node, which has none.
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl ObjectRef {
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        let namespace = match kind {
            Kind::Node => "",
            Kind::Service | Kind::EndpointSlice if namespace.is_empty() => "default",
            Kind::Service | Kind::EndpointSlice => namespace,
        };
        Self { kind, namespace: namespace.into(), name: name.into() }
    }

    fn of(kind: Kind, meta: &ObjectMeta) -> Self {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        Self::new(kind, &text(&meta.namespace), &text(&meta.name))
    }

    /// `namespace/name`, as `kubectl` and log lines write it.
    pub fn full_name(&self) -> String {
        match self.kind {
            Kind::Node => self.name.to_string(),
            Kind::Service | Kind::EndpointSlice => format!("{}/{}", self.namespace, self.name),
        }
    }

    /// Something that is wrong with this object.
    pub fn problem(
        &self,
        field: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Problem {
        Problem {
            object: self.to_string(),
            field: field.into(),
            message: message.into(),
            remedy: remedy.into(),
            location: None,
        }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.full_name())
    }
}

/// An object of one of the kinds that Trigon reads.
#[derive(Clone, PartialEq, Debug)]
pub enum Object {
    Service(Box<Service>),
    EndpointSlice(Box<EndpointSlice>),
    Node(Box<Node>),
}

impl Object {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Service(_) => Kind::Service,
            Self::EndpointSlice(_) => Kind::EndpointSlice,
            Self::Node(_) => Kind::Node,
        }
    }

    pub fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Service(service) => &service.metadata,
            Self::EndpointSlice(slice) => &slice.metadata,
            Self::Node(node) => &node.metadata,
        }
    }

    pub fn object_ref(&self) -> ObjectRef {
        ObjectRef::of(self.kind(), self.metadata())
    }
}
