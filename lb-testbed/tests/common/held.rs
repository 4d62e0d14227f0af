//! Many connections that stay open while something happens.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use lb_testbed::{TCP_ECHO_PORT, TcpHold, TcpHoldOptions, Triangle, VIP, report::TcpReport};

use super::{PATIENCE, client_addresses, socket_address};

/// How many are enough for most tests.
pub const CONNECTIONS: u64 = 500;
const INTERVAL: Duration = Duration::from_millis(200);

/// Connections, half of them IPv4, from all of the client's addresses.
pub struct HeldConnections {
    /// Of each family.
    holds: Vec<TcpHold>,
    count: u64,
}

impl HeldConnections {
    pub fn open(triangle: &Triangle) -> Result<Self> {
        Self::open_many(triangle, CONNECTIONS)
    }

    /// `count` is even.
    pub fn open_many(triangle: &Triangle, count: u64) -> Result<Self> {
        let mut holds = Vec::new();
        for vip in VIP.both() {
            holds.push(triangle.testbed.start_tcp_hold(&TcpHoldOptions {
                target: socket_address(vip, TCP_ECHO_PORT),
                connections: count as usize / 2,
                sources: client_addresses(triangle, vip),
                interval: INTERVAL,
            })?);
        }
        let mut held = Self { holds, count };
        held.check_all_answer("opened")?;
        Ok(held)
    }

    /// All are alive, and every one of them still gets answers.
    pub fn check_all_answer(&mut self, when: &str) -> Result<TcpReport> {
        let before = self.read_reports()?;
        let moved = |(before, after): (&TcpReport, &TcpReport)| after.echoes >= before.echoes + after.opened;
        let begin = Instant::now();
        let (after, all_moved) = loop {
            // Time for each of them to send a line, and to have it retransmitted.
            thread::sleep(INTERVAL * 2);
            let after = self.read_reports()?;
            let all_moved = before.iter().zip(&after).all(moved);
            if all_moved || begin.elapsed() > PATIENCE {
                break (after, all_moved);
            }
        };
        let now = sum_reports(after);
        println!(
            "{when}: {} of {} connections alive, {} broken, {} echoes, slowest {} ms",
            now.alive, now.opened, now.broken, now.echoes, now.max_echo_ms
        );
        let fine = now.opened == self.count && now.alive == self.count && now.broken == 0;
        ensure!(fine, "{when}: {now:?}");
        ensure!(all_moved, "{when}: some stand still: {before:?}, {now:?}");
        Ok(now)
    }

    /// Of each family.
    fn read_reports(&mut self) -> Result<Vec<TcpReport>> {
        self.holds.iter_mut().map(TcpHold::read_report).collect()
    }
}

fn sum_reports(reports: Vec<TcpReport>) -> TcpReport {
    reports.into_iter().fold(TcpReport::default(), TcpReport::merge)
}
