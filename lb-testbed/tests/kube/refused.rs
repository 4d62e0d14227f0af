//! What is wrong with an object an API server says by itself, by the schemas of our kinds and by the policies of the
//! manifests, as far as it can. Whatever it refuses, `trigon check` refuses too, with the same words where they are ours.

mod objects;
mod wrong;
mod wrong_kinds;

use std::{fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use lb_testbed::{
    Config, Testbed,
    kubernetes::{ApiServer, Programs},
};
use lb_userspace::objects::{
    index::Index,
    source::{Change, file::read_dir},
    translate::TranslateConfig,
};
use objects::{GOOD, NODE, OBJECTS, SERVICE, changed};
use wrong::{NODES, REQUESTS, SERVICES};
use wrong_kinds::KINDS;

use super::{PATIENCE, common::wait_at_most, turns};

#[test]
fn what_is_wrong_is_refused_and_nothing_else() -> Result<()> {
    with_api_server(|api_server, dir| {
        write_objects(dir)?;
        check(dir)?;
        for wrong in SERVICES.iter().chain(KINDS).chain(NODES) {
            let text = wrong.changed.text()?;
            expect_refused(api_server, &text, &[wrong.field, wrong.told])?;
            expect_found(dir, &text, &[wrong.field, wrong.checked])?;
        }
        for (changed, told) in REQUESTS {
            expect_refused(api_server, &changed.text()?, &[told])?;
        }
        for good in GOOD {
            let text = good.text()?;
            let refused = |by: &str| format!("{by} refuses what is good:\n{text}");
            create(api_server, &text).with_context(|| refused("the API server"))?;
            with_object(dir, &text, check).with_context(|| refused("`trigon check`"))?;
        }
        let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/examples");
        let apply = ["apply", "--dry-run=server", "--warnings-as-errors", "-f", examples];
        api_server.kubectl(&apply, "").map(drop)
    })
}

#[test]
fn unknown_annotations_are_warned_of() -> Result<()> {
    with_api_server(|api_server, _| {
        let table = [
            (
                changed(SERVICE, "trigon.dev/delivery", "trigon.dev/delivry"),
                "metadata.annotations[trigon.dev/delivry]: unknown annotation; use one of trigon.dev/dsr, ",
            ),
            (
                changed(NODE, "trigon.dev/node-address", "trigon.dev/adress"),
                "metadata.annotations[trigon.dev/adress]: unknown annotation; use one of trigon.dev/node-address, or",
            ),
        ];
        for (changed, warned) in table {
            let text = changed.text()?;
            wait_at_most(PATIENCE, "a warning", || {
                let Err(error) = create(api_server, &text) else { return Ok(false) };
                ensure!(format!("{error:#}").contains(warned), "{error:#}");
                Ok(true)
            })?;
            api_server.kubectl(&["create", "--dry-run=server", "-f", "-"], &text)?;
        }
        Ok(())
    })
}

/// Somebody else's change of it, or a correction, must not be held up by what was there before.
#[test]
fn what_was_wrong_before_can_still_be_changed() -> Result<()> {
    with_api_server(|api_server, _| {
        let service = SERVICE.replace("delivery: auto", "delivery: gre");
        let node = NODE.replace("director: \"true\"", "director: maybe");
        api_server.remove_policies()?;
        for text in [&service, &node] {
            wait_at_most(PATIENCE, "a wrong object is taken", || {
                api_server.kubectl(&["create", "-f", "-"], text).map(|_| true)
            })?;
        }
        api_server.apply_manifests()?;
        wait_for_policies(api_server)?;
        for object in ["service/web", "node/node1"] {
            for words in [["annotate", object, "example.com/note=other"], ["label", object, "example=other"]]
            {
                api_server.kubectl(&words, "").with_context(|| words.join(" "))?;
            }
        }
        let again =
            api_server.kubectl(&["annotate", "--overwrite", "service/web", "trigon.dev/delivery=pigeon"], "");
        let told = again.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(told.contains("`pigeon` is not a value of it"), "{told}");
        api_server.kubectl(&["annotate", "--overwrite", "service/web", "trigon.dev/delivery=gue"], "")?;
        api_server.kubectl(&["label", "--overwrite", "node/node1", "trigon.dev/director=true"], "").map(drop)
    })
}

/// One in which the policies are in effect, and a directory.
fn with_api_server(test: impl FnOnce(&ApiServer, &Path) -> Result<()>) -> Result<()> {
    let _turn = turns::beside_others();
    let Some(programs) = Programs::find_or_skip()? else { return Ok(()) };
    let config = Config { directors: 1, nodes: 1, pods_per_node: 1, clients: 1, ..Config::l3() };
    let testbed = Testbed::new(config)?;
    let api_server = ApiServer::start(&testbed, programs)?;
    wait_for_policies(&api_server)?;
    let dir = testbed.dir().join("checked");
    fs::create_dir(&dir)?;
    test(&api_server, &dir)
}

/// An API server hears of its policies some time after they were written.
fn wait_for_policies(api_server: &ApiServer) -> Result<()> {
    let wrong = SERVICE.replace("name: web", "name: probe").replace("dsr: \"true\"", "dsr: \"yes\"");
    wait_at_most(
        PATIENCE,
        "the policy of Services is in effect",
        || Ok(create(api_server, &wrong).is_err()),
    )?;
    let probe = NODE.replace("name: node1", "name: probe");
    api_server.kubectl(&["create", "-f", "-"], &probe)?;
    let wrong = probe.replace("director: \"true\"", "director: maybe");
    wait_at_most(PATIENCE, "the policy of Nodes is in effect", || Ok(replace(api_server, &wrong).is_err()))?;
    api_server.kubectl(&["delete", "node", "probe"], "").map(drop)
}

fn create(api_server: &ApiServer, text: &str) -> Result<()> {
    let words = ["create", "--dry-run=server", "--warnings-as-errors", "-f", "-"];
    api_server.kubectl(&words, text).map(drop)
}

fn replace(api_server: &ApiServer, text: &str) -> Result<()> {
    api_server.kubectl(&["replace", "--dry-run=server", "-f", "-"], text).map(drop)
}

/// As a new object; a Node as a change of one that is there.
fn expect_refused(api_server: &ApiServer, text: &str, parts: &[&str]) -> Result<()> {
    let told = if text.contains("kind: Node") {
        api_server.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"], NODE)?;
        replace(api_server, text)
    } else {
        create(api_server, text)
    };
    let Err(error) = told else { bail!("the API server takes it:\n{text}") };
    let told = format!("{error:#}");
    println!("{}", told.lines().next().unwrap_or_default());
    ensure!(parts.iter().all(|part| told.contains(part)), "{parts:?} are not in what it says: {told}");
    Ok(())
}

/// `trigon check` finds it, too.
fn expect_found(dir: &Path, text: &str, parts: &[&str]) -> Result<()> {
    let Err(error) = with_object(dir, text, check) else { bail!("`trigon check` takes it:\n{text}") };
    let told = format!("{error:#}");
    let is_told = told.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    ensure!(is_told, "{parts:?} are in no line of `trigon check`: {told}");
    Ok(())
}

/// One file for each object.
fn write_objects(dir: &Path) -> Result<()> {
    OBJECTS.iter().try_for_each(|text| Ok(fs::write(dir.join(file_name(text)?), text)?))
}

/// With this one in place of the object of its kind.
fn with_object(dir: &Path, text: &str, act: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let path = dir.join(file_name(text)?);
    let before = fs::read_to_string(&path)?;
    fs::write(&path, text)?;
    let outcome = act(dir);
    fs::write(&path, before)?;
    outcome
}

fn file_name(text: &str) -> Result<String> {
    let kind = text.lines().find_map(|line| line.strip_prefix("kind: ")).context("an object has a kind")?;
    Ok(format!("{kind}.yaml"))
}

/// What `trigon check` reports as problems is an error.
fn check(dir: &Path) -> Result<()> {
    let problems = match read_dir(dir) {
        Err(problems) => problems,
        Ok(listing) => {
            let mut index = Index::new(TranslateConfig::default());
            index.apply_changes(listing.objects.into_iter().map(Change::from).collect());
            index.cluster();
            [listing.refused, index.refused(), index.faults()].concat()
        }
    };
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    ensure!(lines.is_empty(), "{}", lines.join("\n"));
    Ok(())
}
