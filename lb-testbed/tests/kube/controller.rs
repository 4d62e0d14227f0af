//! Controllers: addresses, who leads, and what becomes of both when controllers and API servers die.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lb_testbed::{
    Config, Process, Testbed,
    kubernetes::{ApiServer, Programs},
};
use serde_json::{Value, json};

use super::{PATIENCE, common::wait_at_most, turns};

/// Two machines for two controllers.
const BOTH: [&str; 2] = ["director1", "node1"];
/// Of the Lease, and of a candidate's next look at it.
const LEASE: Duration = Duration::from_secs(15);
const RETRY: Duration = Duration::from_millis(2500);
/// On top, where two cores do everything.
const SLACK: Duration = Duration::from_secs(10);

/// An API server, and controllers by the machine that they are on.
pub struct Rig {
    controllers: BTreeMap<&'static str, Process>,
    pub api_server: ApiServer,
    pub testbed: Testbed,
}

/// With controllers on these machines.
pub fn with_rig(machines: &[&'static str], test: impl FnOnce(&mut Rig) -> Result<()>) -> Result<()> {
    let _turn = turns::beside_others();
    run_with_rig(machines, test)
}

/// Without controllers, and without tests beside this one.
pub fn alone_with_rig(test: impl FnOnce(&mut Rig) -> Result<()>) -> Result<()> {
    let _turn = turns::alone();
    run_with_rig(&[], test)
}

fn run_with_rig(machines: &[&'static str], test: impl FnOnce(&mut Rig) -> Result<()>) -> Result<()> {
    let Some(programs) = Programs::find_or_skip()? else { return Ok(()) };
    let testbed = Testbed::new(Config { directors: 1, nodes: 1, pods_per_node: 0, ..Config::l3() })?;
    let api_server = ApiServer::start(&testbed, programs)?;
    let mut rig = Rig { controllers: BTreeMap::new(), api_server, testbed };
    machines.iter().try_for_each(|machine| rig.start_as(machine, machine))?;
    test(&mut rig).with_context(|| {
        let logs =
            rig.controllers.values().map(|process| format!("--- {}\n{}", process.label(), process.log()));
        logs.collect::<String>()
    })
}

impl Rig {
    /// Its log has this label.
    pub fn start_as(&mut self, machine: &'static str, label: &str) -> Result<()> {
        let kubeconfig = self.api_server.controllers_kubeconfig();
        let process = self.testbed.start_controller(self.testbed.machine(machine)?, label, &kubeconfig)?;
        self.controllers.insert(machine, process);
        Ok(())
    }

    pub fn controller(&mut self, machine: &str) -> Result<&mut Process> {
        self.controllers.get_mut(machine).with_context(|| format!("no controller on {machine}"))
    }

    /// SIGTERM; it must end well.
    pub fn stop(&mut self, machine: &str) -> Result<()> {
        let status = self.controller(machine)?.terminate(PATIENCE)?;
        ensure!(status.success(), "the controller on {machine} ended with {status}");
        Ok(())
    }

    pub fn log(&self, machine: &str) -> Result<String> {
        Ok(self.controllers.get(machine).context("no such controller")?.log())
    }

    pub fn apply(&self, object: &Value) -> Result<()> {
        self.api_server.kubectl(&["apply", "-f", "-"], &object.to_string()).map(drop)
    }

    pub fn get(&self, words: &[&str]) -> Result<Value> {
        let told = self.api_server.kubectl(&[&["get", "-o", "json"], words].concat(), "")?;
        serde_json::from_str(&told).context("an object")
    }

    pub fn get_service(&self, name: &str) -> Result<Value> {
        self.get(&["service", name, "--namespace=default", "--show-managed-fields"])
    }

    /// Waits until a Service is as wanted; how long that took.
    fn wait_service(&self, name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<Duration> {
        let took = wait_at_most(PATIENCE, &format!("{name}: {what}"), || {
            let service = self.get_service(name)?;
            ensure!(is_so(&service), "{service}");
            Ok(true)
        })?;
        println!("{name}: {what}: after {took:?}");
        Ok(took)
    }

    /// Who has the Lease; None: nobody.
    fn holder(&self) -> Result<Option<String>> {
        let lease = self.get(&["lease", "trigon-controller", "--namespace=trigon-system"])?;
        Ok(lease["spec"]["holderIdentity"].as_str().map(str::to_owned))
    }

    /// The one that leads, and the other.
    fn wait_leader(&self) -> Result<(&'static str, &'static str)> {
        wait_at_most(PATIENCE, "a leader", || Ok(self.holder()?.is_some()))?;
        let holder = self.holder()?;
        let leader = BOTH.into_iter().find(|machine| holder.as_deref() == Some(machine));
        let other = BOTH.into_iter().find(|machine| holder.as_deref() != Some(machine));
        leader.zip(other).with_context(|| format!("the holder is {holder:?}"))
    }

    /// Writes addresses as an operator does, or another controller.
    fn write_by_hand(&self, name: &str, status: &Value) -> Result<()> {
        let patch = json!({"status": status}).to_string();
        self.api_server
            .kubectl(
                &[
                    "patch",
                    "--namespace=default",
                    "service",
                    name,
                    "--subresource=status",
                    "--type=merge",
                    "-p",
                    &patch,
                ],
                "",
            )
            .map(drop)
    }

    /// The notes of Events about a Service, with how often they were told.
    fn events(&self, name: &str) -> Result<Vec<(String, String, u64)>> {
        let all = self.get(&["events.events.k8s.io", "--namespace=default"])?;
        let all = all["items"].as_array().cloned().unwrap_or_default();
        let own = all.into_iter().filter(|event| event["regarding"]["name"] == name);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let told = |event: Value| {
            let count = event["series"]["count"].as_u64().unwrap_or(1);
            (text(&event["reason"]), text(&event["note"]), count)
        };
        Ok(own.map(told).collect())
    }
}

/// Ours; it asks for these addresses.
pub fn service(name: &str, addresses: &str) -> Value {
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "type": "LoadBalancer", "loadBalancerClass": "trigon.dev/lb", "ipFamilyPolicy": "RequireDualStack",
            "ports": [{"port": 80}],
        },
    });
    if !addresses.is_empty() {
        service["metadata"]["annotations"] = json!({"trigon.dev/load-balancer-ips": addresses});
    }
    service
}

/// The one that tells of addresses.
pub fn condition(service: &Value) -> Option<&Value> {
    let conditions = service["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == "trigon.dev/AddressAssigned")
}

fn has_reason(service: &Value, reason: &str) -> bool {
    condition(service).is_some_and(|condition| {
        condition["reason"] == reason && (condition["status"] == "True") == (reason == "Assigned")
    })
}

/// These addresses, all as VIPs.
fn has_addresses(service: &Value, addresses: &[&str]) -> bool {
    let wanted: Vec<_> = addresses.iter().map(|address| json!({"ip": address, "ipMode": "VIP"})).collect();
    let ingress = service["status"]["loadBalancer"]["ingress"].as_array().cloned().unwrap_or_default();
    ingress == wanted
}

fn is_assigned(addresses: &'static [&'static str]) -> impl Fn(&Value) -> bool {
    move |service| has_addresses(service, addresses) && has_reason(service, "Assigned")
}

/// Nothing of ours is there.
fn is_untouched(service: &Value) -> bool {
    let managed = service["metadata"]["managedFields"].as_array().map(Vec::as_slice).unwrap_or_default();
    condition(service).is_none() && managed.iter().all(|entry| entry["manager"] != "trigon-controller")
}

#[test]
fn controllers_give_what_is_asked_for_and_refuse_what_another_has() -> Result<()> {
    with_rig(&BOTH, |rig| {
        rig.apply(&service("by-hand", ""))?;
        let by_hand = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.20"}]}});
        rig.write_by_hand("by-hand", &by_hand)?;
        rig.apply(&service("web", "192.0.2.10,2001:db8::10"))?;
        rig.wait_service("web", "has both", is_assigned(&["192.0.2.10", "2001:db8::10"]))?;

        rig.apply(&service("dns", "192.0.2.10"))?;
        let others = json!({"conditions": [{
            "type": "example.com/Other", "status": "True", "reason": "Because", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]});
        rig.wait_service("dns", "is refused", |service| {
            has_reason(service, "AddressInUse") && has_addresses(service, &[])
        })?;
        let told = rig.get_service("dns")?;
        let message =
            condition(&told).and_then(|told| told["message"].as_str()).unwrap_or_default().to_owned();
        for part in ["192.0.2.10 belongs to Service default/web", "trigon.dev/load-balancer-ips", "ask for"] {
            ensure!(message.contains(part), "{message}");
        }
        wait_at_most(PATIENCE, "an Event", || Ok(!rig.events("dns")?.is_empty()))?;
        let event = ("AddressInUse".to_owned(), message, 1);
        ensure!(rig.events("dns")? == [event], "{:?}", rig.events("dns")?);

        rig.write_by_hand("dns", &{
            let mut all = others["conditions"].as_array().cloned().unwrap_or_default();
            all.extend(condition(&told).cloned());
            json!({"conditions": all})
        })?;
        rig.api_server.kubectl(&["delete", "--namespace=default", "service", "web"], "")?;
        rig.wait_service("dns", "takes over", is_assigned(&["192.0.2.10"]))?;
        let has_other = |service: &Value| {
            let conditions = service["status"]["conditions"].as_array();
            conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "example.com/Other"))
        };
        ensure!(has_other(&rig.get_service("dns")?), "the condition of another is gone");

        // What somebody has without asking, it has; and it is told when it asks.
        rig.apply(&service("third", "192.0.2.20"))?;
        rig.wait_service("third", "is refused", |service| has_reason(service, "AddressInUse"))?;
        ensure!(is_untouched(&rig.get_service("by-hand")?), "{}", rig.get_service("by-hand")?);
        rig.apply(&service("by-hand", "192.0.2.21"))?;
        rig.wait_service("by-hand", "has another", is_assigned(&["192.0.2.21"]))?;
        rig.wait_service("third", "has what was free", is_assigned(&["192.0.2.20"]))?;

        // What is not asked for any more, is taken back; also of one that is ours no more.
        rig.apply(&service("dns", ""))?;
        rig.wait_service("dns", "has nothing", |service| {
            has_addresses(service, &[]) && is_untouched(service) && has_other(service)
        })?;
        let mut inside = service("third", "192.0.2.20");
        inside["spec"]["type"] = "ClusterIP".into();
        inside["spec"]["loadBalancerClass"] = Value::Null;
        rig.apply(&inside)?;
        rig.wait_service("third", "is a ClusterIP", |service| {
            has_addresses(service, &[]) && is_untouched(service)
        })?;

        // The address of a Node, and one that is none.
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}});
        rig.apply(&node)?;
        let addresses = json!({"status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.99"}]}});
        let patch =
            ["patch", "node", "n1", "--subresource=status", "--type=merge", "-p", &addresses.to_string()];
        rig.api_server.kubectl(&patch, "")?;
        // Until it has heard of it.
        thread::sleep(Duration::from_secs(2));
        rig.apply(&service("dns", "192.0.2.99"))?;
        rig.wait_service("dns", "is refused", |service| has_reason(service, "AddressOfNode"))?;
        rig.apply(&service("dns", "127.0.0.1"))?;
        rig.wait_service("dns", "is refused", |service| has_reason(service, "AddressInvalid"))?;
        // Of quiet Services nothing is written.
        let version = |service: &Value| service["metadata"]["resourceVersion"].clone();
        let before = version(&rig.get_service("dns")?);
        thread::sleep(Duration::from_secs(3));
        ensure!(version(&rig.get_service("dns")?) == before, "something is written all the time");
        Ok(())
    })
}

#[test]
fn when_a_controller_ends_or_dies_the_other_takes_over() -> Result<()> {
    with_rig(&BOTH, |rig| {
        rig.apply(&service("web", "192.0.2.10"))?;
        rig.wait_service("web", "is assigned", is_assigned(&["192.0.2.10"]))?;
        let (leader, other) = rig.wait_leader()?;
        // Of somebody else, who has nothing to do with the election.
        let label =
            ["label", "lease", "trigon-controller", "--namespace=trigon-system", "example.com/own=yes"];
        rig.api_server.kubectl(&label, "")?;
        let ended = Instant::now();
        rig.stop(leader)?;
        println!("it took {:?} to end", ended.elapsed());
        rig.apply(&service("web", "192.0.2.11"))?;
        rig.wait_service("web", "is given another by the next leader", is_assigned(&["192.0.2.11"]))?;
        println!("after SIGTERM: {:?}", ended.elapsed());
        ensure!(ended.elapsed() < RETRY + SLACK, "after SIGTERM: {:?}", ended.elapsed());
        ensure!(rig.holder()?.as_deref() == Some(other), "{:?}", rig.holder()?);

        rig.start_as(leader, "again")?;
        wait_at_most(PATIENCE, "it waits", || Ok(rig.log(leader)?.contains("this one waits")))?;
        let died = Instant::now();
        rig.controller(other)?.kill()?;
        rig.apply(&service("web", "192.0.2.12"))?;
        rig.wait_service("web", "is given another by the next leader", is_assigned(&["192.0.2.12"]))?;
        println!("after SIGKILL: {:?}", died.elapsed());
        ensure!(died.elapsed() < LEASE + RETRY + SLACK, "after SIGKILL: {:?}", died.elapsed());
        let lease = rig.get(&["lease", "trigon-controller", "--namespace=trigon-system"])?;
        ensure!(lease["spec"]["leaseTransitions"] == 2, "{lease}");
        ensure!(lease["metadata"]["labels"]["example.com/own"] == "yes", "{lease}");
        // Who leads now finds nothing to write: all was decided by what is in the objects.
        ensure!(rig.log(leader)?.matches("Service default/").count() == 1, "{}", rig.log(leader)?);
        Ok(())
    })
}

#[test]
fn controllers_go_on_when_the_api_server_is_back() -> Result<()> {
    with_rig(&BOTH, |rig| {
        rig.apply(&service("web", "192.0.2.10"))?;
        rig.wait_service("web", "is assigned", is_assigned(&["192.0.2.10"]))?;
        let (leader, _) = rig.wait_leader()?;
        rig.api_server.kill()?;
        // Nobody may lead without it.
        let stopped = format!("{leader} does not lead any more");
        let took = wait_at_most(PATIENCE, &stopped, || Ok(rig.log(leader)?.contains(&stopped)))?;
        println!("it stopped leading after {took:?}");
        rig.api_server.restart()?;
        let back = Instant::now();
        rig.apply(&service("web", "192.0.2.11"))?;
        rig.wait_service("web", "is given another", is_assigned(&["192.0.2.11"]))?;
        println!("after the API server was back: {:?}", back.elapsed());
        ensure!(back.elapsed() < LEASE + RETRY + SLACK, "{:?}", back.elapsed());
        for machine in BOTH {
            wait_at_most(PATIENCE, "its log says that all is well", || {
                Ok(rig.log(machine)?.matches("no problem any more").count() >= 2)
            })?;
        }
        Ok(())
    })
}
