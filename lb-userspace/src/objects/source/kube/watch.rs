//! Watches of the API server, one of each kind.

use std::{fmt::Debug, future, process, time::Duration};

use backon::ExponentialBuilder;
use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use hyper::StatusCode;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        core::v1::{Node, Secret, Service},
        discovery::v1::EndpointSlice,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{
        WatchStreamExt,
        utils::{Backoff, ResetTimerBackoff},
        watcher::{self, ExponentialBackoff, InitialListStrategy},
    },
};
use serde::de::DeserializeOwned;
use tracing::debug;

use crate::{
    hash::{Random, fnv1a},
    objects::{
        model::Problem,
        source::{
            decode::decode_object,
            kind::Kind,
            object::{Object, ObjectRef},
        },
    },
};

/// How long to wait after a failure: the first time, and at most. Up to as much again is added at random, so that
/// agents do not all come at once.
const FIRST_DELAY: Duration = Duration::from_millis(200);
const LAST_DELAY: Duration = Duration::from_millis(750);
/// After how long without a failure the next delay is the first again.
const GOOD_FOR: Duration = Duration::from_secs(20);

/// What a watch tells.
#[derive(Debug)]
pub enum Event<O = Object> {
    /// All objects that there are follow, and then [`Event::Listed`].
    Listing,
    Listed,
    /// An object, and its `metadata.resourceVersion`. Versions of a kind grow (KEP-5504).
    Put(O, Option<u64>),
    /// There is such an object, but it cannot be read: what stands for it, and why.
    Unreadable(O, Vec<Problem>),
    Gone(ObjectRef),
    /// There is an object that is none of this kind, as far as we know it, and why.
    Undecodable(String),
}

/// Tells all objects of a kind, and then what changes, for as long as it is polled. They come by a streaming list, if
/// the server has those: no page of objects is kept on the way. `namespace`: where Secrets
/// are read; an agent has no business with those of others.
pub fn watch(kind: Kind, client: Client, namespace: &str) -> BoxStream<'static, Event> {
    let config = config_of(kind);
    match kind {
        Kind::Service => watch_all::<Service, _, _>(kind, client, Object::from),
        Kind::EndpointSlice => {
            // No Service with an address of its own is headless.
            let config = config.labels("!service.kubernetes.io/headless");
            follow(kind, Api::<EndpointSlice>::all(client), config, put).boxed()
        }
        Kind::Node => watch_all::<Node, _, _>(kind, client, Object::from),
        Kind::Secret => {
            let config = config.fields("type=kubernetes.io/basic-auth");
            follow(kind, Api::<Secret>::namespaced(client, namespace), config, put).boxed()
        }
        _ => {
            let resource =
                ApiResource::from_gvk(&GroupVersionKind::gvk(kind.group(), kind.version(), kind.name()));
            let read = move |object: DynamicObject| read_own(kind, &object);
            follow(kind, Api::all_with(client, &resource), config, read).boxed()
        }
    }
}

/// The same of all objects of a kind; `read`: what is kept of one.
pub fn watch_all<K, O, R>(kind: Kind, client: Client, read: R) -> BoxStream<'static, Event<O>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    O: 'static,
    R: Fn(K) -> O + Send + 'static,
{
    watch_those(kind, Api::all(client), read)
}

/// The same of those in the namespace that the client's own is.
pub fn watch_namespace<K, O, R>(kind: Kind, client: Client, read: R) -> BoxStream<'static, Event<O>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + 'static,
    O: 'static,
    R: Fn(K) -> O + Send + 'static,
{
    watch_those(kind, Api::default_namespaced(client), read)
}

fn watch_those<K, O, R>(kind: Kind, api: Api<K>, read: R) -> BoxStream<'static, Event<O>>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    O: 'static,
    R: Fn(K) -> O + Send + 'static,
{
    let read = move |object: K| {
        let version = version_of(object.meta());
        Event::Put(read(object), version)
    };
    follow(kind, api, config_of(kind), read).boxed()
}

fn config_of(kind: Kind) -> watcher::Config {
    watcher::Config::default().timeout(lifetime(kind))
}

fn put<K: Resource + Into<Object>>(object: K) -> Event {
    let version = version_of(object.meta());
    Event::Put(object.into(), version)
}

fn version_of(meta: &ObjectMeta) -> Option<u64> {
    meta.resource_version.as_ref()?.parse().ok()
}

/// An object of our own kinds, read as a file is: the API server may have another release's definition.
pub fn read_own(kind: Kind, object: &DynamicObject) -> Event {
    let this = ObjectRef::from_metadata(kind, &object.metadata);
    let refused = |problems| Event::Unreadable(Object::Unreadable(this.clone()), problems);
    match serde_json::to_value(object) {
        Ok(value) => match decode_object(kind, value) {
            Ok(read) => Event::Put(read, version_of(&object.metadata)),
            Err(refusal) => refused(refusal.problems),
        },
        Err(error) => refused(vec![this.problem("", error.to_string(), "delete it, and create it again")]),
    }
}

fn follow<K, O, R>(
    kind: Kind,
    api: Api<K>,
    config: watcher::Config,
    read: R,
) -> impl Stream<Item = Event<O>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    R: Fn(K) -> Event<O> + Send + 'static,
{
    let watch = Watch::start(kind, api, config.streaming_lists(), read);
    stream::unfold(watch, async |mut watch| Some((watch.next().await, watch)))
}

/// A watcher, and what to start it again with.
struct Watch<K, R> {
    kind: Kind,
    api: Api<K>,
    config: watcher::Config,
    read: R,
    events: WatcherEvents<K>,
}

type WatcherEvents<K> = BoxStream<'static, watcher::Result<watcher::Event<K>>>;

impl<K, O, R> Watch<K, R>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    R: Fn(K) -> Event<O>,
{
    fn start(kind: Kind, api: Api<K>, config: watcher::Config, read: R) -> Self {
        let events = watch_events(&api, &config);
        Self { kind, api, config, read, events }
    }

    async fn next(&mut self) -> Event<O> {
        loop {
            match self.events.next().await {
                Some(Ok(event)) => return self.translate(event),
                Some(Err(error)) => {
                    // What it means is told by the answers, but for these.
                    debug!(kind = %self.kind, "watch: {error}");
                    if let watcher::Error::InitialListFailed(kube::Error::SerdeError(why))
                    | watcher::Error::WatchFailed(kube::Error::SerdeError(why)) = &error
                    {
                        return Event::Undecodable(why.to_string());
                    }
                    self.start_again_after(&error);
                }
                // A watcher has no end, and our backoff does not give up.
                None => future::pending().await,
            }
        }
    }

    /// What the watcher itself would try again in the same way for ever.
    fn start_again_after(&mut self, error: &watcher::Error) {
        let watcher::Error::WatchStartFailed(kube::Error::Api(status)) = error else { return };
        // Kubernetes before 1.32, or with its feature gate WatchList off.
        let has_no_streaming_lists = status.is_invalid();
        if has_no_streaming_lists {
            self.config.initial_list_strategy = InitialListStrategy::ListWatch;
        }
        if has_no_streaming_lists || status.code == StatusCode::GONE {
            self.events = watch_events(&self.api, &self.config);
        }
    }

    fn translate(&self, event: watcher::Event<K>) -> Event<O> {
        match event {
            watcher::Event::Init => Event::Listing,
            watcher::Event::InitDone => Event::Listed,
            watcher::Event::InitApply(object) | watcher::Event::Apply(object) => (self.read)(object),
            watcher::Event::Delete(object) => Event::Gone(ObjectRef::from_metadata(self.kind, object.meta())),
        }
    }
}

fn watch_events<K>(api: &Api<K>, config: &watcher::Config) -> WatcherEvents<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    watcher::watcher(api.clone(), config.clone()).backoff(ByTime::new()).boxed()
}

/// Delays that grow with each failure, and begin anew when nothing has failed for a while. The watcher would have
/// them begin anew before each of its lists.
struct ByTime(ResetTimerBackoff<ExponentialBackoff>);

impl ByTime {
    fn new() -> Self {
        let delays = ExponentialBuilder::default()
            .with_min_delay(FIRST_DELAY)
            .with_max_delay(LAST_DELAY)
            .with_jitter()
            .without_max_times();
        Self(ResetTimerBackoff::new(delays.into(), GOOD_FOR))
    }
}

impl Iterator for ByTime {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next()
    }
}

impl Backoff for ByTime {
    fn reset(&mut self) {}
}

/// When a watch ends in good order and begins again. At random, so that all watches of all agents do not do it at once.
fn lifetime(kind: Kind) -> u32 {
    const SHORTEST: u64 = 200;
    const LONGEST: u64 = 290;
    let seed = fnv1a(kind.name()) ^ u64::from(process::id()) ^ Timestamp::now().as_nanosecond() as u64;
    u32::try_from(SHORTEST + Random::new(seed).below(LONGEST - SHORTEST)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_although_a_list_has_begun() {
        let mut delays = ByTime::new();
        let first = delays.next().expect("a delay");
        for _ in 0..5 {
            delays.reset();
            delays.next();
        }
        let last = delays.next().expect("a delay");
        assert!(
            first < FIRST_DELAY * 2 && last >= LAST_DELAY && last <= LAST_DELAY * 2,
            "{first:?} {last:?}"
        );
    }

    #[test]
    fn delays_are_other_ones_each_time() {
        let first = || ByTime::new().next().expect("a delay");
        let delays: Vec<_> = (0..8).map(|_| first()).collect();
        assert!(delays.iter().all(|delay| (FIRST_DELAY..=FIRST_DELAY * 2).contains(delay)), "{delays:?}");
        assert!(delays.iter().any(|delay| *delay != delays[0]), "agents come all at once: {delays:?}");
    }
}
