use std::time;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn parse_duration(text: &str) -> Option<time::Duration> {
    Duration::try_from(text.to_owned()).ok().map(|duration| duration.0)
}

#[test]
fn durations_are_read_as_kubernetes_writes_them() {
    let millis = |number| Some(time::Duration::from_millis(number));
    let table = [
        ("90s", millis(90_000)),
        ("1m30s", millis(90_000)),
        ("1.5h", millis(5_400_000)),
        ("300ms", millis(300)),
        ("0", millis(0)),
        ("0s", millis(0)),
        ("0s1s", millis(1000)),
        ("", None),
        ("s", None),
        ("90", None),
        ("-1s", None),
        ("1s-1s", None),
        ("1e300s", None),
        ("99999999999999999999999s", None),
        ("1 s", None),
        ("1d", None),
        (".s", None),
        ("nans", None),
    ];
    for (text, expected) in table {
        assert_eq!(parse_duration(text), expected, "{text}");
    }
    assert_eq!(parse_duration(&format!("{}s", "0".repeat(63))), millis(0));
    assert_eq!(parse_duration(&format!("{}s", "0".repeat(64))), None, "longer than the schema allows");
}

proptest! {
    #[test]
    fn no_text_makes_a_duration_panic(text in "[0-9.smhuen\u{b5} +-]{0,30}|(?s).{0,10}") {
        let _ = parse_duration(&text);
    }

    #[test]
    fn what_is_written_is_read_again(millis in 0_u64..100_000_000) {
        let written = String::from(Duration(time::Duration::from_millis(millis)));
        prop_assert_eq!(parse_duration(&written), Some(time::Duration::from_millis(millis)));
    }
}

#[test]
fn passwords_are_not_shown() {
    let spec: BgpPeerSpec = serde_json::from_value(json!({"myASN": 1, "password": "hunter2"})).unwrap();
    let shown = format!("{:?}", BgpPeer::new("a", spec.clone()));
    assert!(shown.contains("password: Some((secret))"), "{shown}");
    assert_eq!(spec.password.unwrap().reveal(), "hunter2");
}

#[test]
fn crds_have_the_field_names_of_metallb() {
    let crds = definitions();
    for crd in &crds {
        assert_eq!((&*crd.spec.group, &*crd.spec.versions[0].name), (GROUP, VERSION));
        assert_eq!(crd.spec.scope, "Namespaced");
    }
    let fields = |crd: &CustomResourceDefinition| -> Vec<String> {
        let schema = crd.spec.versions[0].schema.clone().unwrap().open_api_v3_schema.unwrap();
        let spec = schema.properties.unwrap()["spec"].clone();
        spec.properties.unwrap().into_keys().collect()
    };
    let expected = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        fields(&crds[0]),
        expected(&["addresses", "autoAssign", "avoidBuggyIPs", "serviceAllocation"])
    );
    assert_eq!(
        fields(&crds[1]),
        expected(&[
            "bfdMultiHop",
            "bfdProfile",
            "connectTime",
            "disableMP",
            "dualStackAddressFamily",
            "dynamicASN",
            "ebgpMultiHop",
            "enableGracefulRestart",
            "gracefulRestartTime",
            "holdTime",
            "interface",
            "keepaliveTime",
            "myASN",
            "nextHopV4",
            "nextHopV6",
            "nodeSelectors",
            "passive",
            "password",
            "passwordSecret",
            "peerASN",
            "peerAddress",
            "peerPort",
            "routerID",
            "sourceAddress",
            "ttlSecurity",
        ])
    );
    assert_eq!(fields(&crds[6]), expected(&["exceptions", "omitted", "roles", "services", "version"]));
    assert_eq!(
        fields(&crds[4]),
        expected(&[
            "detectMultiplier",
            "echoInterval",
            "echoMode",
            "minimumTtl",
            "passiveMode",
            "receiveInterval",
            "transmitInterval",
        ])
    );
}

/// Else an API server refuses the definition.
#[test]
fn rules_are_told_of_fields_that_there_are() {
    let mut told = 0;
    for crd in definitions() {
        let schema = crd.spec.versions[0].schema.clone().unwrap().open_api_v3_schema.unwrap();
        let spec = schema.properties.unwrap()["spec"].clone();
        let fields = spec.properties.unwrap();
        for rule in spec.x_kubernetes_validations.unwrap_or_default() {
            let field = rule.field_path.unwrap();
            let is_there = field.strip_prefix('.').is_some_and(|name| fields.contains_key(name));
            assert!(is_there, "{}: {field}", crd.spec.names.kind);
            assert!(rule.message.is_some_and(|message| message.contains("; ")), "{field}: no remedy");
            told += 1;
        }
    }
    assert!(told > 10, "{told} rules");
}

#[test]
fn rules_of_items_are_in_the_schema_of_the_items() {
    let schema = serde_json::to_value(&definitions()[0]).unwrap();
    let spec =
        &schema["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    let addresses = &spec["addresses"];
    assert_eq!((&addresses["minItems"], &addresses["maxItems"]), (&json!(1), &json!(MAX_ADDRESSES)));
    assert_eq!(addresses["x-kubernetes-validations"], json!(null));
    let rule = &addresses["items"]["x-kubernetes-validations"][0];
    assert!(
        rule["message"].as_str().unwrap().starts_with("is neither a prefix nor a range; write"),
        "{rule}"
    );
}

#[test]
fn a_report_names_the_worst_and_counts_the_others() {
    use exception_reasons::{MTU, NOT_PROGRAMMED};
    let exception =
        |number: usize, reason| AgentException::new(&format!("default/web{number:03}"), reason, "it is so");
    let warnings = (0..10).map(|number| exception(number, MTU));
    let mut report = AgentReportSpec::default();
    report.set_exceptions(warnings.clone().chain((5..80).map(|number| exception(number, NOT_PROGRAMMED))));
    assert_eq!((report.exceptions.len(), report.omitted), (85, 0));
    assert_eq!(report.exceptions[0], exception(5, NOT_PROGRAMMED));
    assert!(report.exceptions[75..].iter().all(AgentException::is_warning));

    report.set_exceptions(warnings.chain((0..130).map(|number| exception(number, NOT_PROGRAMMED))));
    assert_eq!((report.exceptions.len(), report.omitted), (MAX_EXCEPTIONS, 30), "warnings are not counted");
    assert!(!report.exceptions.iter().any(AgentException::is_warning));
}

#[test]
fn messages_fit_into_the_schema() {
    let long = AgentException::new("default/web", exception_reasons::INVALID, &"\u{e4}".repeat(10_000));
    let schema = serde_json::to_value(&definitions()[6]).unwrap();
    let spec =
        &schema["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    let exceptions = &spec["exceptions"];
    assert_eq!(exceptions["maxItems"], json!(MAX_EXCEPTIONS));
    let longest = &exceptions["items"]["properties"]["message"]["maxLength"];
    assert_eq!(longest, &json!(long.message.chars().count()));
    assert_eq!(spec["roles"]["items"]["enum"], json!(["director", "node"]));
}
