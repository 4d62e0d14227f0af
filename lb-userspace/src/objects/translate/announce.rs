//! Our own kinds to the model of announcements.
//!
//! Each object is read on its own, then they are brought together, kind after
//! kind. A problem with one object does not change the others; and an object that
//! was good before keeps that version until it is good again.
mod admit;
mod bfd;
mod bgp;
mod choice;
mod community;
mod fields;
mod known;
mod l2;
mod peer;
mod pool;
mod selector;
mod session;
#[cfg(test)]
mod tests;

use admit::{ParsedObject, admit};
use fields::Fields;
pub use known::AnnouncingObjects;
use known::KnownObjects;
use selector::NodesByName;

use crate::objects::{
    model::{Announcing, Problem},
    source::{Kind, Object, ObjectRef, Rank},
};

/// Translates all objects. `before`: the last result, from earlier versions of them.
pub fn announcing(
    objects: &AnnouncingObjects,
    nodes: &NodesByName,
    before: &Announcing,
) -> (Announcing, Vec<Problem>) {
    let names = objects.keys().map(|object| (object.kind, &*object.name)).collect();
    let known = KnownObjects { objects, names };
    let mut problems = Vec::new();
    let mut all = Announcing::default();

    let pools = read_kind(&known, Kind::AddressPool, &mut problems, |object, fields| match object {
        Object::AddressPool(pool) => pool::read(pool, fields),
        _ => None,
    });
    all.pools = admit(pools, &before.pools, &mut problems, pool::check_fit);

    let communities = read_kind(&known, Kind::Community, &mut problems, |object, fields| match object {
        Object::Community(community) => community::read(community, fields),
        _ => None,
    });
    all.communities = admit(communities, &before.communities, &mut problems, community::check_fit);

    let profiles = read_kind(&known, Kind::BfdProfile, &mut problems, |object, fields| match object {
        Object::BfdProfile(profile) => bfd::read(profile, fields),
        _ => None,
    });
    all.profiles = admit(profiles, &before.profiles, &mut problems, |_, _, _| admit::Fit::Well);

    let peers = read_kind(&known, Kind::BgpPeer, &mut problems, |object, fields| match object {
        Object::BgpPeer(peer) => peer::read(peer, &known, &all.profiles, fields),
        _ => None,
    });
    all.peers = admit(peers, &before.peers, &mut problems, |this, new, others| {
        peer::check_fit(this, new, others, nodes)
    });

    let bgp = read_kind(&known, Kind::BgpAdvertisement, &mut problems, |object, fields| match object {
        Object::BgpAdvertisement(advertisement) => bgp::read(advertisement, &known, &all.communities, fields),
        _ => None,
    });
    all.bgp = admit(bgp, &before.bgp, &mut problems, |this, new, others| {
        bgp::check_fit(this, new, others, &all.pools, nodes)
    });

    let l2 = read_kind(&known, Kind::L2Advertisement, &mut problems, |object, fields| match object {
        Object::L2Advertisement(advertisement) => l2::read(advertisement, &known, fields),
        _ => None,
    });
    all.l2 = admit(l2, &before.l2, &mut problems, |_, _, _| admit::Fit::Well);

    problems.sort_by(|a, b| (&a.object, &a.field, &a.message).cmp(&(&b.object, &b.field, &b.message)));
    (all, problems)
}

/// Reads all objects of a kind, each on its own.
fn read_kind<T>(
    known: &KnownObjects<'_>,
    kind: Kind,
    problems: &mut Vec<Problem>,
    read: impl Fn(&Object, &mut Fields<'_>) -> Option<T>,
) -> Vec<ParsedObject<T>> {
    let of_kind = known.objects.iter().filter(|(this, _)| this.kind == kind);
    let entry = |(this, object): (&ObjectRef, &Object)| {
        let mut fields = Fields::new(this, problems);
        let read = read(object, &mut fields).filter(|_| fields.is_good());
        ParsedObject { rank: Rank::of(object), read, is_whole: fields.is_whole() }
    };
    of_kind.map(entry).collect()
}
