//! What an API server was asked to write, by its own metrics.

use std::ops::Sub;

use anyhow::{Context, Result, ensure};

use super::api_server::ApiServer;

/// How many requests were carried out since the API server started, or in some time. One that comes too late, as what it was
/// decided by has changed, writes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Writes {
    /// Statuses of Services that were applied, as a controller does.
    pub statuses: u64,
    /// AgentReports that were applied, as agents do.
    pub reports: u64,
    /// Events, new ones and repeated ones.
    pub events: u64,
}

impl Sub for Writes {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            statuses: self.statuses - before.statuses,
            reports: self.reports - before.reports,
            events: self.events - before.events,
        }
    }
}

impl ApiServer {
    /// What was written since it started.
    pub fn writes(&self) -> Result<Writes> {
        count_writes(&self.kubectl(&["get", "--raw", "/metrics"], "")?)
    }
}

/// <https://kubernetes.io/docs/reference/instrumentation/metrics/>
fn count_writes(metrics: &str) -> Result<Writes> {
    let samples = metrics.lines().filter_map(|line| line.strip_prefix("apiserver_request_total{"));
    let (mut writes, mut is_there) = (Writes::default(), false);
    for sample in samples {
        is_there = true;
        let (labels, value) = sample.rsplit_once("} ").with_context(|| format!("no value: {sample}"))?;
        let is =
            |name: &str, value: &str| labels.split(',').any(|label| label == format!("{name}=\"{value}\""));
        if !labels.split(',').any(|label| label.starts_with("code=\"2")) {
            continue;
        }
        let counter = if is("verb", "APPLY") && is("resource", "services") && is("subresource", "status") {
            &mut writes.statuses
        } else if is("verb", "APPLY") && is("resource", "agentreports") {
            &mut writes.reports
        } else if is("resource", "events")
            && ["POST", "PUT", "PATCH", "APPLY"].iter().any(|verb| is("verb", verb))
        {
            &mut writes.events
        } else {
            continue;
        };
        let value: f64 = value.trim().parse().with_context(|| format!("no number: {sample}"))?;
        *counter += value as u64;
    }
    ensure!(is_there, "no apiserver_request_total among the metrics");
    Ok(writes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_counted_by_verb_and_resource() -> Result<()> {
        let sample = |verb, resource, subresource, code, value| {
            format!(
                "apiserver_request_total{{code=\"{code}\",component=\"apiserver\",dry_run=\"\",group=\"\",\
                 resource=\"{resource}\",scope=\"resource\",subresource=\"{subresource}\",verb=\"{verb}\",version=\"v1\"}} {value}\n"
            )
        };
        let metrics = [
            "# TYPE apiserver_request_total counter\n".to_owned(),
            sample("APPLY", "services", "status", 200, "1.0001e+04"),
            sample("APPLY", "services", "status", 409, "2"),
            sample("APPLY", "services", "", 200, "5"),
            sample("PATCH", "services", "status", 200, "7"),
            sample("APPLY", "agentreports", "", 201, "1000"),
            sample("POST", "events", "", 201, "3"),
            sample("GET", "events", "", 200, "9"),
        ];
        let writes = count_writes(&metrics.concat())?;
        assert_eq!(writes, Writes { statuses: 10_001, reports: 1_000, events: 3 });
        assert_eq!((writes - Writes { statuses: 1, ..Writes::default() }).statuses, 10_000);
        assert!(count_writes("up 1\n").is_err());
        Ok(())
    }
}
