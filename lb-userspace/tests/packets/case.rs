//! A case: a packet in, a verdict, a packet out; and what it has to count.

use std::{collections::BTreeMap, fmt::Write};

use lb_common::{
    Verdict,
    maps::{NOT_TOLD, Traffic},
    verdict::Fate,
};

use crate::{
    machine::{Added, Hook, Machine, Setup},
    packet, services,
    world::Request,
};

/// One line of a table.
pub struct Case {
    pub name: String,
    pub setup: Setup,
    pub hook: Hook,
    pub input: Vec<u8>,
    pub verdict: Verdict,
    /// The frame after the program; none if the packet is dropped.
    output: Option<Vec<u8>>,
    service: Option<(u32, Traffic)>,
    backend: Option<(u32, Traffic)>,
    /// Whether all checksums of the output must be right.
    verify_checksums: bool,
}

/// The beginning of a [`Case`]: what comes in, and where.
pub struct Given(Case);

/// A frame that comes in by the uplink.
pub fn arrives(name: impl Into<String>, setup: Setup, frame: Vec<u8>) -> Given {
    given(name.into(), setup, Hook::Xdp, frame)
}

/// A frame that is about to leave by the uplink.
pub fn leaves(name: impl Into<String>, setup: Setup, frame: Vec<u8>) -> Given {
    given(name.into(), setup, Hook::Egress, frame)
}

/// The same of a frame whose socket has marked it.
pub fn leaves_marked(name: impl Into<String>, setup: Setup, mark: u32, frame: Vec<u8>) -> Given {
    given(name.into(), setup, Hook::Marked(mark), frame)
}

fn given(name: String, setup: Setup, hook: Hook, input: Vec<u8>) -> Given {
    let (verdict, output, service, backend) = (Verdict::Pass, None, None, None);
    Given(Case { name, setup, hook, input, verdict, output, service, backend, verify_checksums: false })
}

impl Given {
    /// It passes unchanged, byte for byte.
    pub fn untouched(self, verdict: Verdict) -> Case {
        let output = Some(self.0.input.clone());
        Case { verdict, output, ..self.0 }
    }

    pub fn dropped(self, verdict: Verdict) -> Case {
        Case { verdict, ..self.0 }
    }

    /// It becomes this frame, whose checksums are right.
    pub fn becomes(self, verdict: Verdict, output: Vec<u8>) -> Case {
        Case { verify_checksums: true, ..self.becomes_with_wrong_checksums(verdict, output) }
    }

    /// The same, but checksums are not verified: the input is damaged already.
    pub fn becomes_with_wrong_checksums(self, verdict: Verdict, output: Vec<u8>) -> Case {
        Case { verdict, output: Some(output), ..self.0 }
    }
}

/// On to the next program (-1).
pub const TC_ACT_UNSPEC: u32 = u32::MAX;
pub const TC_ACT_SHOT: u32 = 2;
pub const TC_ACT_REDIRECT: u32 = 7;

impl Case {
    /// It counts for the service that the request is for.
    pub fn for_service(self, request: &Request) -> Self {
        Self { service: Some((request.service(), traffic_of_one_packet(request.len()))), ..self }
    }

    /// It counts for the service, and for the backend that its ring names.
    pub fn for_its_backend(self, request: &Request) -> Self {
        self.for_backend(request, services::backend_of(request.port))
    }

    /// It counts for the service, and for this backend.
    pub fn for_backend(self, request: &Request, id: u32) -> Self {
        Self { backend: Some((id, traffic_of_one_packet(request.len()))), ..self.for_service(request) }
    }

    /// It counts for this backend, whether or not for a service.
    pub fn also_for_backend(self, id: u32) -> Self {
        Self { backend: Some((id, traffic_of_one_packet(self.input.len()))), ..self }
    }

    /// Expect the counted packet to have this length, in bytes.
    pub fn with_counted_len(mut self, len: usize) -> Self {
        for counted in [&mut self.service, &mut self.backend].into_iter().flatten() {
            counted.1 = traffic_of_one_packet(len);
        }
        self
    }

    /// Do a dry run, and return what differs from the expected fate.
    pub fn check_dry_run(&self, machine: &mut Machine) -> Result<(), String> {
        let (ran, story) = machine.dry_run(self.hook, &self.input);
        let verdict = Verdict::from_number(story.verdict);
        let service = (story.service != NOT_TOLD).then_some(story.service);
        let is_right = verdict == Some(self.verdict)
            && ran.action == self.expected_action()
            && self.output.as_ref().is_none_or(|output| *output == ran.output)
            && service == self.service.map(|(id, _)| id);
        if is_right { Ok(()) } else { Err(format!("{}: action {}, {story:?}", self.name, ran.action)) }
    }

    fn expected_counts(&self) -> Added {
        Added {
            verdicts: vec![(self.verdict, 1)],
            services: self.service.into_iter().collect(),
            backends: self.backend.into_iter().collect(),
        }
    }

    fn expected_action(&self) -> u32 {
        match (self.hook, self.verdict.fate()) {
            (Hook::Xdp, Fate::Drop) => 1,
            (Hook::Xdp, Fate::Pass) => 2,
            (Hook::Xdp, Fate::Transmit) => 3,
            (Hook::Xdp, Fate::Redirect) => 4,
            (Hook::Egress | Hook::Marked(_), Fate::Drop) => TC_ACT_SHOT,
            (Hook::Egress | Hook::Marked(_), Fate::Redirect) => TC_ACT_REDIRECT,
            (Hook::Egress | Hook::Marked(_), _) => TC_ACT_UNSPEC,
        }
    }

    /// Run the program, and return what differs from the expectation.
    pub fn check(&self, machine: &Machine) -> Result<(), String> {
        let before = machine.counts();
        let ran = machine.run(self.hook, &self.input);
        let added = machine.counts().since(&before);
        let mut complaints = String::new();
        if added != self.expected_counts() {
            let _ = writeln!(complaints, "  counted  {added:?}\n  expected {:?}", self.expected_counts());
        }
        if ran.action != self.expected_action() {
            let _ = writeln!(complaints, "  action {}, expected {}", ran.action, self.expected_action());
        }
        if let Some(expected) = self.output.as_ref().filter(|expected| **expected != ran.output) {
            complaints.push_str(&describe_difference(&ran.output, expected));
        }
        if self.verify_checksums
            && let Err(wrong) = packet::verify_frame_checksums(&ran.output)
        {
            let _ = writeln!(complaints, "  wrong {wrong}");
        }
        if complaints.is_empty() { Ok(()) } else { Err(format!("{}:\n{complaints}", self.name)) }
    }

    /// Run it as one step of a test with several packets; panics if it fails.
    pub fn assert_on(&self, machine: &Machine) {
        self.check(machine).unwrap_or_else(|complaints| panic!("\n{complaints}"));
    }
}

fn traffic_of_one_packet(len: usize) -> Traffic {
    Traffic { packets: 1, bytes: len as u64 }
}

fn describe_difference(found: &[u8], expected: &[u8]) -> String {
    let same = found.iter().zip(expected).take_while(|(a, b)| a == b).count();
    format!(
        "  output, {} bytes, is not the {} bytes expected from byte {same} on\n  found    {}\n  expected {}\n",
        found.len(),
        expected.len(),
        format_hex(found),
        format_hex(expected)
    )
}

fn format_hex(bytes: &[u8]) -> String {
    bytes.iter().enumerate().fold(String::new(), |text, (n, byte)| {
        let gap = if [14, 34, 54].contains(&n) { " " } else { "" };
        text + gap + &format!("{byte:02x}")
    })
}

/// Send all, each to a machine of its setup.
pub fn check_all(cases: &[Case]) {
    let mut machines = BTreeMap::new();
    let mut complaints = Vec::new();
    for case in cases {
        let machine = machines.entry(case.setup).or_insert_with(|| Machine::new(case.setup));
        if machine.is_supported_by_kernel() {
            complaints.extend(case.check(machine).err());
        } else {
            println!("left out, this kernel cannot test it: {}", case.name);
        }
    }
    assert!(
        complaints.is_empty(),
        "{} of {} cases:\n{}",
        complaints.len(),
        cases.len(),
        complaints.join("\n")
    );
}
