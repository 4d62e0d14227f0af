//! How long stages take, by the spans that the control plane enters.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tracing::{Subscriber, span};
use tracing_subscriber::{Layer, layer::Context, prelude::*, registry::LookupSpan};

#[derive(Clone, Copy, Default, Debug)]
pub struct Cost {
    pub cpu: Duration,
    pub wall: Duration,
}

/// A moment, on both clocks. That of the CPUs runs for all threads: some stages have helpers.
#[derive(Clone, Copy)]
struct Moment {
    cpu: Duration,
    wall: Instant,
}

impl Moment {
    fn now() -> Self {
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Self { cpu: Duration::try_from(cpu).unwrap_or_default(), wall: Instant::now() }
    }

    fn elapsed(self) -> Cost {
        let now = Self::now();
        Cost { cpu: now.cpu.saturating_sub(self.cpu), wall: now.wall - self.wall }
    }
}

type Costs = BTreeMap<&'static str, Cost>;

/// The costs of stages since they were taken last.
#[derive(Clone, Default)]
pub struct Stages(Arc<Mutex<Costs>>);

impl Stages {
    pub fn install() -> Self {
        let stages = Self::default();
        tracing_subscriber::registry().with(stages.clone()).init();
        stages
    }

    fn take(&self) -> Costs {
        self.0.lock().map(|mut costs| std::mem::take(&mut *costs)).unwrap_or_default()
    }

    /// What `f` costs: its stages, all else as `other`, and the `total`.
    pub fn measure<E>(&self, f: impl FnOnce() -> Result<(), E>) -> Result<Vec<(&'static str, Cost)>, E> {
        self.take();
        let start = Moment::now();
        f()?;
        let total = start.elapsed();
        let stages = self.take();
        let mut other = total;
        for cost in stages.values() {
            other.cpu = other.cpu.saturating_sub(cost.cpu);
            other.wall = other.wall.saturating_sub(cost.wall);
        }
        Ok(stages.into_iter().chain([("other", other), ("total", total)]).collect())
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Stages {
    fn on_enter(&self, id: &span::Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            span.extensions_mut().replace(Moment::now());
        }
    }

    fn on_exit(&self, id: &span::Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let Some(entered) = span.extensions().get::<Moment>().copied() else { return };
        let cost = entered.elapsed();
        if let Ok(mut costs) = self.0.lock() {
            let all = costs.entry(span.name()).or_default();
            all.cpu += cost.cpu;
            all.wall += cost.wall;
        }
    }
}

/// The median of each stage.
pub fn medians(rounds: &[Vec<(&'static str, Cost)>]) -> Vec<(&'static str, Cost)> {
    let mut stages: BTreeMap<&'static str, Vec<Cost>> = BTreeMap::new();
    for (stage, cost) in rounds.iter().flatten() {
        stages.entry(stage).or_default().push(*cost);
    }
    let median = |mut all: Vec<Duration>| {
        all.sort_unstable();
        all[all.len() / 2]
    };
    let of_stage = |(stage, all): (&'static str, Vec<Cost>)| {
        let cpu = median(all.iter().map(|cost| cost.cpu).collect());
        let wall = median(all.iter().map(|cost| cost.wall).collect());
        (stage, Cost { cpu, wall })
    };
    stages.into_iter().map(of_stage).collect()
}
