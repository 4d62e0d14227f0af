//! What the maps are called: in the object, where they are pinned, and to
//! `bpftool map dump name`.

/// Where maps are pinned, below the pin directory. The number is that of their layout: a change of
/// a key, of a value, or of what a map is for takes the next.
pub const MAPS_DIR: &str = "maps-2";

macro_rules! names {
    ($($name:ident)+) => { $(pub const $name: &str = stringify!($name);)+ };
}

names! {
    SERVICES VIPS RINGS BACKENDS BARE_FLOWS
    NODE_FLOWS NODE_REPLIES FORMER_REPLIES ENDPOINTS ENDPOINT_SLOTS AFFINITIES NEW_FLOWS
    RANGES PEERS UPLINKS FRAGMENTS HISTORY
    VERDICTS SERVICE_STATS BACKEND_STATS
    SEARCHES STRAYS TOLD STORY DROPPED
}
