//! `L2Advertisement`

use super::{
    Fields, Known,
    choice::{interface, pools},
    selector::selectors,
};
use crate::objects::{crds, model::L2Advertisement};

pub fn read(
    object: &crds::L2Advertisement,
    known: &Known<'_>,
    fields: &mut Fields<'_>,
) -> Option<L2Advertisement> {
    let spec = &object.spec;
    fields.no_duplicates("interfaces", &spec.interfaces);
    let interfaces = spec.interfaces.iter().enumerate();
    let interfaces = interfaces
        .filter_map(|(index, name)| fields.check(&format!("interfaces[{index}]"), interface(name)))
        .collect();
    Some(L2Advertisement {
        full_name: fields.this.full_name().into(),
        pools: pools(&spec.ip_address_pools, &spec.ip_address_pool_selectors, known, fields),
        nodes: selectors("nodeSelectors", &spec.node_selectors, fields),
        services: selectors("serviceSelectors", &spec.service_selectors, fields),
        interfaces,
    })
}
