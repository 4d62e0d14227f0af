use super::*;
use crate::objects::model::Check;

/// The checks of the ports of a Service with a bare server, this annotation and ports of
/// these protocols: protocol and check of each.
fn checks(written: Option<&str>, protocols: &[&str]) -> Vec<(String, Option<Check>)> {
    let annotation =
        written.map(|check| format!("\n    trigon.dev/health-check: {check}")).unwrap_or_default();
    let ports = |padding: &str| {
        let port = |protocol: &&str| {
            format!("- name: {protocol}\n{padding}port: 80\n{padding}protocol: {protocol}\n")
        };
        let ports: Vec<_> = protocols.iter().map(port).collect();
        ports.join(&padding[2..])
    };
    let text = changed_base("delivery: auto", &format!("backends: bare{annotation}"))
        .replace("- name: http\n    port: 80\n", &ports("    "))
        .replace("- name: http\n  port: 8080\n", &ports("  "));
    let (cluster, problems) = cluster_with(&text, TranslateConfig::default());
    assert_eq!(problems, [""; 0], "{text}");
    let services = cluster.services.values();
    services.map(|service| (service.frontend.protocol.to_string(), service.check.clone())).collect()
}

#[test]
fn ports_of_bare_servers_are_checked_as_is_written_or_as_they_can_be() {
    let table = [
        (None, Some(Check::Tcp), Some(Check::Icmp)),
        (Some("tcp"), Some(Check::Tcp), Some(Check::Icmp)),
        (Some("http:/live?x=1"), Some(Check::Http("/live?x=1".into())), Some(Check::Icmp)),
        (Some("icmp"), Some(Check::Icmp), Some(Check::Icmp)),
        (Some("none"), None, None),
    ];
    for (written, tcp, udp) in table {
        let expected = [("tcp".to_owned(), tcp), ("udp".to_owned(), udp)];
        assert_eq!(checks(written, &["TCP", "UDP"]), expected, "{written:?}");
    }
    assert_eq!(checks(None, &["UDP"]), [("udp".to_owned(), Some(Check::Icmp))]);
}

#[test]
fn services_with_pods_have_no_health_check() {
    let (cluster, _) = cluster_with(BASE, TranslateConfig::default());
    assert!(cluster.services.values().all(|service| service.check.is_none()));
}

#[test]
fn a_udp_port_cannot_be_asked_for_a_connection() {
    for written in ["tcp", "http:/"] {
        let text = changed_base(
            "delivery: auto",
            &format!("backends: bare\n    trigon.dev/health-check: {written}"),
        )
        .replace("port: 80\n", "port: 80\n    protocol: UDP\n");
        let (_, problems) = cluster_with(&text, TranslateConfig::default());
        let expected = format!(
            "test.yaml:15: Service default/web: metadata.annotations[trigon.dev/health-check]: `{written}` asks none of its \
             ports: they are all UDP; write icmp, or none"
        );
        assert_eq!(problems, [expected]);
    }
}
