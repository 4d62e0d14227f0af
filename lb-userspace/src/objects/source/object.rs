//! The objects, as all sources hand them over.

use std::{fmt, str::FromStr, sync::Arc};

use k8s_openapi::{
    api::{
        core::v1::{self, Node},
        discovery,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    jiff::Timestamp,
};

use super::{kind::Kind, secret::Secret, service::Service, slice::EndpointSlice};
use crate::objects::{
    crds::{AddressPool, BfdProfile, BgpAdvertisement, BgpPeer, Community, L2Advertisement},
    model::Problem,
};

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
        let namespace = match namespace {
            _ if !kind.is_namespaced() => "",
            "" => "default",
            namespace => namespace,
        };
        Self { kind, namespace: namespace.into(), name: name.into() }
    }

    pub fn from_metadata(kind: Kind, meta: &ObjectMeta) -> Self {
        let [namespace, name] =
            [&meta.namespace, &meta.name].map(|field| field.as_deref().unwrap_or_default());
        Self::new(kind, namespace, name)
    }

    /// `namespace/name`, as `kubectl` and log lines write it.
    pub fn full_name(&self) -> String {
        if self.kind.is_namespaced() {
            format!("{}/{}", self.namespace, self.name)
        } else {
            self.name.to_string()
        }
    }

    /// A problem with this object.
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
            ..Problem::default()
        }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.full_name())
    }
}

/// What `Display` gives, as it stands in problems.
impl FromStr for ObjectRef {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (kind, full_name) = text.split_once(' ').ok_or(())?;
        let kind = Kind::ALL.into_iter().find(|known| known.name() == kind).ok_or(())?;
        let (namespace, name) = match full_name.split_once('/') {
            Some(parts) if kind.is_namespaced() => parts,
            _ => ("", full_name),
        };
        Ok(Self::new(kind, namespace, name))
    }
}

/// What is kept of an object; it knows which one it is.
pub trait Identified {
    fn object_ref(&self) -> ObjectRef;
}

/// An object of one of the kinds that Trigon reads.
#[derive(Clone, PartialEq, Debug)]
pub enum Object {
    Service(Arc<Service>),
    EndpointSlice(Arc<EndpointSlice>),
    Node(Arc<Node>),
    Secret(Arc<Secret>),
    AddressPool(Arc<AddressPool>),
    BgpPeer(Arc<BgpPeer>),
    BgpAdvertisement(Arc<BgpAdvertisement>),
    L2Advertisement(Arc<L2Advertisement>),
    BfdProfile(Arc<BfdProfile>),
    Community(Arc<Community>),
    /// There is such an object, of a kind that is about announcing, but it
    /// cannot be read; the source has reported why.
    Unreadable(ObjectRef),
}

impl Object {
    pub fn object_ref(&self) -> ObjectRef {
        let (kind, meta) = match self {
            Self::Service(service) => return service.this.clone(),
            Self::EndpointSlice(slice) => return slice.this.clone(),
            Self::Unreadable(object) => return object.clone(),
            Self::Node(node) => (Kind::Node, &node.metadata),
            Self::Secret(secret) => (Kind::Secret, &secret.metadata),
            Self::AddressPool(pool) => (Kind::AddressPool, &pool.metadata),
            Self::BgpPeer(peer) => (Kind::BgpPeer, &peer.metadata),
            Self::BgpAdvertisement(advertisement) => (Kind::BgpAdvertisement, &advertisement.metadata),
            Self::L2Advertisement(advertisement) => (Kind::L2Advertisement, &advertisement.metadata),
            Self::BfdProfile(profile) => (Kind::BfdProfile, &profile.metadata),
            Self::Community(community) => (Kind::Community, &community.metadata),
        };
        ObjectRef::from_metadata(kind, meta)
    }

    /// When it was created, as far as that is kept.
    pub fn born(&self) -> Option<Timestamp> {
        let meta = match self {
            Self::Service(service) => return service.born,
            Self::EndpointSlice(_) | Self::Unreadable(_) => return None,
            Self::Node(node) => &node.metadata,
            Self::Secret(secret) => &secret.metadata,
            Self::AddressPool(pool) => &pool.metadata,
            Self::BgpPeer(peer) => &peer.metadata,
            Self::BgpAdvertisement(advertisement) => &advertisement.metadata,
            Self::L2Advertisement(advertisement) => &advertisement.metadata,
            Self::BfdProfile(profile) => &profile.metadata,
            Self::Community(community) => &community.metadata,
        };
        meta.creation_timestamp.as_ref().map(|time| time.0)
    }
}

impl Identified for Object {
    fn object_ref(&self) -> ObjectRef {
        self.object_ref()
    }
}

/// Reduced to what is used of it.
impl From<v1::Service> for Object {
    fn from(service: v1::Service) -> Self {
        Self::Service(Arc::new(service.into()))
    }
}

/// Reduced to what is used of it.
impl From<discovery::v1::EndpointSlice> for Object {
    fn from(slice: discovery::v1::EndpointSlice) -> Self {
        Self::EndpointSlice(Arc::new(slice.into()))
    }
}

impl From<Node> for Object {
    fn from(node: Node) -> Self {
        Self::Node(Arc::new(node))
    }
}

/// Reduced to a password.
impl From<v1::Secret> for Object {
    fn from(secret: v1::Secret) -> Self {
        Self::Secret(Arc::new(secret.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_problem_is_that_of_the_object() {
        for kind in Kind::ALL {
            let object = ObjectRef::new(kind, "shop", "web.example");
            assert_eq!(object.to_string().parse(), Ok(object));
        }
        for strange in ["", "Service", "file a.yaml", "Node without a name/x y", "Node a/b"] {
            if let Ok(object) = strange.parse::<ObjectRef>() {
                assert_eq!(object.to_string(), strange);
            }
        }
    }
}
