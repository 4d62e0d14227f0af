//! Which Services may share a VIP: as with MetalLB, those that say so, and of
//! which a node that serves one serves the other.

use std::{net::IpAddr, sync::Arc};

use crate::objects::{
    model::{Announced, Carrier, Cluster, Problem, Wish},
    translate::{ALLOW_SHARED_IP, annotation},
};

type Named<'a> = (&'a Arc<str>, &'a Wish);

/// The Services that a VIP is announced for.
pub fn sharers(announced: &Announced) -> Vec<&Wish> {
    admit(announced, |_, _, _| {}).into_iter().map(|(_, wish)| wish).collect()
}

/// Services that a VIP is not announced for, since others came first. None, if
/// nothing is to be announced at all: then VIPs are somebody else's business.
pub fn unshared(cluster: &Cluster) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !cluster.announcing.is_unused() {
        for (vip, announced) in &cluster.announced {
            admit(announced, |this, other, why| problems.push(problem(*vip, this, other, why)));
        }
    }
    problems
}

/// Why two Services cannot share.
#[derive(Clone, Copy)]
enum Why {
    Keys,
    Pods,
}

/// One by one, in the order in which they came.
fn admit<'a>(announced: &'a Announced, mut refuse: impl FnMut(&str, &str, Why)) -> Vec<Named<'a>> {
    let mut all: Vec<Named<'a>> = announced.wishes.iter().map(|(name, wish)| (name, &**wish)).collect();
    all.sort_by_key(|(_, wish)| wish.sharing.born);
    let mut admitted: Vec<Named<'a>> = Vec::with_capacity(all.len());
    for (name, wish) in all {
        let in_the_way = admitted.iter().find_map(|(other, earlier)| Some((*other, differ(earlier, wish)?)));
        match in_the_way {
            Some((other, why)) => refuse(name, other, why),
            None => admitted.push((name, wish)),
        }
    }
    admitted
}

fn differ(one: &Wish, other: &Wish) -> Option<Why> {
    let (a, b) = (&one.sharing, &other.sharing);
    let same_pods = a.pods == b.pods && !a.pods.is_empty();
    if a.key != b.key || a.key.is_none() {
        Some(Why::Keys)
    } else if (is_local(one) || is_local(other)) && !same_pods {
        Some(Why::Pods)
    } else {
        None
    }
}

fn is_local(wish: &Wish) -> bool {
    matches!(wish.carrier, Carrier::KubeProxy { local: true, .. })
}

fn problem(vip: IpAddr, this: &str, other: &str, why: Why) -> Problem {
    let (field, reason, remedy) = match why {
        Why::Keys => (
            annotation(ALLOW_SHARED_IP),
            "they do not both say that they share it",
            "write the same word in this annotation of both, or give one of the two another address",
        ),
        Why::Pods => (
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
        location: None,
    }
}
