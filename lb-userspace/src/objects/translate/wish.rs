//! What a Service asks of announcements.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::{annotations, readiness::Readiness, values::family_name};
use crate::objects::{
    model::{Carrier, Labels, Sharing, Wish},
    source::{Endpoint, EndpointSlice, Service, ServiceSpec},
};

/// For the VIPs of a Service in the data path.
pub fn data_path_wishes(object: &Service, vips: impl Iterator<Item = IpAddr>) -> Vec<(IpAddr, Arc<Wish>)> {
    let (labels, sharing) = (object.labels.clone(), sharing_of(object));
    let wish = Arc::new(Wish { labels, carrier: Carrier::DataPath, sharing });
    vips.map(|vip| (vip, Arc::clone(&wish))).collect()
}

/// For the VIPs of a Service of ours that kube-proxy carries, given its slices.
pub fn kube_proxy_wishes<'a>(
    object: &Service,
    slices: impl IntoIterator<Item = &'a EndpointSlice>,
    vips: impl Iterator<Item = IpAddr>,
) -> Vec<(IpAddr, Arc<Wish>)> {
    let slices: Vec<_> = slices.into_iter().collect();
    let spec = object.spec.as_ref();
    let local = spec.is_some_and(ServiceSpec::is_local);
    let all_ready = spec.is_some_and(|spec| spec.publish_not_ready_addresses);
    let wish = |vip: IpAddr| {
        let of_family = slices.iter().filter(|slice| slice.address_type == family_name(vip));
        let endpoints = of_family.flat_map(|slice| &slice.endpoints);
        let readiness = |endpoint: &Endpoint| Readiness::of(endpoint, all_ready);
        let least = Readiness::least_for_new(endpoints.clone().map(readiness));
        let ready: Vec<_> = endpoints.filter(|endpoint| readiness(endpoint).takes_new(least)).collect();
        let nodes = ready.iter().filter_map(|endpoint| endpoint.node_name.as_deref().map(Arc::from));
        let carrier = Carrier::KubeProxy { local, ready: !ready.is_empty(), nodes: nodes.collect() };
        (vip, Arc::new(Wish { labels: object.labels.clone(), carrier, sharing: sharing_of(object) }))
    };
    vips.map(wish).collect()
}

/// What decides with whom a Service may share a VIP, whatever endpoints it has.
pub fn sharing_terms(object: &Service) -> Wish {
    let is_dsr = annotations::parse_choice(&object.annotations, annotations::DSR, annotations::BOOLEANS);
    let carrier = match is_dsr {
        Ok(true) => Carrier::DataPath,
        _ => Carrier::KubeProxy {
            local: object.spec.as_ref().is_some_and(ServiceSpec::is_local),
            ready: false,
            nodes: BTreeSet::new(),
        },
    };
    Wish { labels: Labels::default(), carrier, sharing: sharing_of(object) }
}

/// The key is that of our annotation, or of MetalLB's.
fn sharing_of(object: &Service) -> Sharing {
    let key = annotations::SHARING.iter().find_map(|name| object.annotations.get(name));
    Sharing {
        key: key.filter(|key| !key.is_empty()).map(Into::into),
        pods: object.spec.as_ref().map(|spec| spec.selector.clone()).unwrap_or_default(),
        born: object.born,
    }
}
