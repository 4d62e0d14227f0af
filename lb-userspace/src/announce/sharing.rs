//! Which Services may share a VIP: as with MetalLB, those with the same key in
//! their annotation, if a node that serves one of them serves the other, too.

use std::{net::IpAddr, sync::Arc};

use crate::objects::{
    model::{Announced, Carrier, Cluster, Problem, Wish},
    translate::{ALLOW_SHARED_IP, annotation},
};

type NamedWish<'a> = (&'a Arc<str>, &'a Wish);

/// The Services that a VIP is announced for.
pub fn admitted_wishes(announced: &Announced) -> Vec<&Wish> {
    admit_sharers(announced, |_, _, _| {}).into_iter().map(|(_, wish)| wish).collect()
}

/// A problem for each Service that a VIP is not announced for, since an older one
/// has it. None, if nothing is to be announced at all: then Trigon does not announce VIPs.
pub fn sharing_problems(cluster: &Cluster) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !cluster.announcing.is_unused() {
        for (vip, announced) in &cluster.announced {
            admit_sharers(announced, |this, other, conflict| {
                problems.push(conflict_problem(*vip, this, other, conflict))
            });
        }
    }
    problems
}

/// Why two Services cannot share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SharingConflict {
    /// They do not have the same sharing key.
    Keys,
    /// One has `externalTrafficPolicy: Local`, and they do not select the same Pods.
    Pods,
}

/// Admits Services from the oldest to the youngest. Calls `refuse` with the name of each
/// that cannot share with one admitted before, that one's name, and the reason.
fn admit_sharers<'a>(
    announced: &'a Announced,
    mut refuse: impl FnMut(&str, &str, SharingConflict),
) -> Vec<NamedWish<'a>> {
    let mut all: Vec<NamedWish<'a>> = announced.wishes.iter().map(|(name, wish)| (name, &**wish)).collect();
    all.sort_by_key(|(_, wish)| wish.sharing.born);
    let mut admitted: Vec<NamedWish<'a>> = Vec::with_capacity(all.len());
    for (name, wish) in all {
        let in_the_way =
            admitted.iter().find_map(|(other, earlier)| Some((*other, sharing_conflict(earlier, wish)?)));
        match in_the_way {
            Some((other, conflict)) => refuse(name, other, conflict),
            None => admitted.push((name, wish)),
        }
    }
    admitted
}

/// None: they can share a VIP.
pub fn sharing_conflict(one: &Wish, other: &Wish) -> Option<SharingConflict> {
    let (a, b) = (&one.sharing, &other.sharing);
    let same_pods = a.pods == b.pods && !a.pods.is_empty();
    if a.key != b.key || a.key.is_none() {
        Some(SharingConflict::Keys)
    } else if (is_local(one) || is_local(other)) && !same_pods {
        Some(SharingConflict::Pods)
    } else {
        None
    }
}

fn is_local(wish: &Wish) -> bool {
    matches!(wish.carrier, Carrier::KubeProxy { local: true, .. })
}

fn conflict_problem(vip: IpAddr, this: &str, other: &str, conflict: SharingConflict) -> Problem {
    let (field, reason, remedy) = match conflict {
        SharingConflict::Keys => (
            annotation(ALLOW_SHARED_IP),
            "they do not both say that they share it",
            "write the same word in this annotation of both, or give one of the two another address",
        ),
        SharingConflict::Pods => (
            "spec.externalTrafficPolicy".to_owned(),
            "one of the two is `Local`, so that routers would bring packets to nodes that drop them",
            "write Cluster in both, or the same selector, or give one of the two another address",
        ),
    };
    Problem {
        object: format!("Service {this}"),
        field,
        message: format!(
            "{vip} belongs to Service {other} already, and {reason}: it is announced without this one"
        ),
        remedy: remedy.to_owned(),
        ..Problem::default()
    }
}
