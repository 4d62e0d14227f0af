//! The VIPs to announce, and the Services that ask for it.

use std::{
    collections::{BTreeSet, HashMap},
    mem,
    net::IpAddr,
    sync::Arc,
};

use crate::objects::{
    model::{Cluster, Wish},
    source::ObjectRef,
};

/// The VIPs of each Service, as they are in the cluster.
#[derive(Default)]
pub struct Vips {
    of_service: HashMap<ObjectRef, Vec<(IpAddr, Arc<Wish>)>>,
    /// Those that came, went, or may be another Service's.
    changed: BTreeSet<IpAddr>,
}

impl Vips {
    /// The Services with one of these VIPs.
    pub fn services_of(&self, vips: &BTreeSet<IpAddr>) -> impl Iterator<Item = ObjectRef> {
        let has_any = |wishes: &Vec<(IpAddr, Arc<Wish>)>| wishes.iter().any(|(vip, _)| vips.contains(vip));
        self.of_service.iter().filter(move |(_, wishes)| has_any(wishes)).map(|(service, _)| service.clone())
    }

    /// Those that came, went, or may be another Service's, since this was asked last.
    pub fn take_changed(&mut self) -> BTreeSet<IpAddr> {
        mem::take(&mut self.changed)
    }

    /// Replaces all wishes of a Service.
    pub fn replace_wishes(
        &mut self,
        service: &ObjectRef,
        wishes: Vec<(IpAddr, Arc<Wish>)>,
        cluster: &mut Arc<Cluster>,
    ) {
        let before = match wishes.is_empty() {
            true => self.of_service.remove(service),
            false => self.of_service.insert(service.clone(), wishes.clone()),
        };
        let before = before.unwrap_or_default();
        if before == wishes {
            return;
        }
        let vips =
            |wishes: &[(IpAddr, Arc<Wish>)]| wishes.iter().map(|(vip, _)| *vip).collect::<BTreeSet<_>>();
        self.changed.extend(vips(&before).symmetric_difference(&vips(&wishes)));
        let name: Arc<str> = service.full_name().into();
        let announced = &mut Arc::make_mut(cluster).announced;
        for (vip, _) in before {
            let Some(entry) = announced.get_mut(&vip) else { continue };
            Arc::make_mut(entry).wishes.remove(&name);
            if entry.wishes.is_empty() {
                announced.remove(&vip);
            }
        }
        for (vip, wish) in wishes {
            Arc::make_mut(announced.entry(vip).or_default()).wishes.insert(Arc::clone(&name), wish);
        }
    }
}
