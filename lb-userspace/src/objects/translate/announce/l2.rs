//! `L2Advertisement`

use super::{
    Fields, KnownObjects,
    choice::{parse_interface, read_pool_choice},
    selector::read_selectors,
};
use crate::objects::{crds, model::L2Advertisement};

pub fn read(
    object: &crds::L2Advertisement,
    known: &KnownObjects<'_>,
    fields: &mut Fields<'_>,
) -> Option<L2Advertisement> {
    let spec = &object.spec;
    fields.report_excess("interfaces", &spec.interfaces, crds::MAX_INTERFACES);
    fields.report_duplicates("interfaces", &spec.interfaces);
    let interfaces = spec.interfaces.iter().enumerate();
    let interfaces = interfaces
        .filter_map(|(index, name)| {
            fields.ok_or_report(&format!("interfaces[{index}]"), parse_interface(name))
        })
        .collect();
    Some(L2Advertisement {
        full_name: fields.this.full_name().into(),
        pools: read_pool_choice(&spec.ip_address_pools, &spec.ip_address_pool_selectors, known, fields),
        nodes: read_selectors("nodeSelectors", &spec.node_selectors, fields),
        services: read_selectors("serviceSelectors", &spec.service_selectors, fields),
        interfaces,
    })
}
