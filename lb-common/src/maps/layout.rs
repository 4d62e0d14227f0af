//! That no key and no value has padding: their sizes are the sums of their fields.

use super::*;

const _: () = {
    assert!(size_of::<ServiceKey>() == 20);
    assert!(size_of::<Service>() == 44);
    assert!(size_of::<Vip>() == 4);
    assert!(size_of::<Backend>() == 64);
    assert!(size_of::<FlowKey>() == 24);
    assert!(size_of::<Holder>() == 4);
    assert!(size_of::<EndpointKey>() == 8);
    assert!(size_of::<NodeFlow>() == 12);
    assert!(size_of::<Endpoint>() == 20);
    assert!(size_of::<EndpointSlot>() == 32);
    assert!(size_of::<ReplyKey>() == 40);
    assert!(size_of::<Reply>() == 28);
    assert!(size_of::<FragmentKey>() == 40);
    assert!(size_of::<Ports>() == 12);
    assert!(size_of::<Peer>() == 8);
    assert!(size_of::<Affinity>() == 12);
    assert!(size_of::<RangeKey>() == 20);
    assert!(size_of::<Spent>() == 8);
    assert!(size_of::<Traffic>() == 16);
    assert!(size_of::<Dropped>() == 40);
    assert!(size_of::<Story>() == 56);
};

#[cfg(feature = "user")]
mod user {
    use super::*;
    use crate::ring::{Owners, RingChunk};

    macro_rules! pod {
        ($($name:ty),* $(,)?) => { $(
            // SAFETY: `repr(C)`, no padding (the sizes above are the sums of
            // the fields), every bit pattern valid.
            unsafe impl aya::Pod for $name {}
        )* };
    }
    pod!(
        ServiceKey,
        Service,
        Vip,
        Backend,
        FlowKey,
        Holder,
        NodeFlow,
        EndpointKey,
        Endpoint,
        EndpointSlot,
        ReplyKey,
        Reply,
        FragmentKey,
        Ports,
        Peer,
        Affinity,
        RangeKey,
        Traffic,
        Story,
        RingChunk,
        Owners,
        Addr,
    );
}
