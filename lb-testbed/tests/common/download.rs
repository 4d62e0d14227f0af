//! A download that a client takes its time for, while something happens.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{IpAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use lb_testbed::Triangle;

use super::socket_address;

/// What is read at once, and the time between: 3 MB a second, so that it takes 20 s.
const PIECE: u64 = 64 << 10;
const PAUSE: Duration = Duration::from_millis(20);
/// The longest time without a byte.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many connections to try until one is the Pod's.
const TRIES: u32 = 100;

pub struct SlowDownload {
    reading: JoinHandle<Result<Vec<u8>>>,
    hurry: Arc<AtomicBool>,
}

impl SlowDownload {
    /// Begins to get a VIP's `/download`, of this Pod.
    pub fn start(triangle: &Triangle, vip: IpAddr, pod: &str) -> Result<Self> {
        triangle.testbed.download_file()?;
        for _ in 0..TRIES {
            let (from, stream) = triangle.testbed.client().within(|| request_download(vip))?;
            if from == pod {
                let hurry = Arc::new(AtomicBool::new(false));
                let told = Arc::clone(&hurry);
                return Ok(Self { reading: thread::spawn(move || read_slowly(stream, &told)), hurry });
            }
        }
        bail!("{TRIES} connections, and none was {pod}'s")
    }

    /// Gets the rest as fast as it comes; all must be as it was sent.
    pub fn finish(self, triangle: &Triangle) -> Result<()> {
        let was_over = self.reading.is_finished();
        self.hurry.store(true, Ordering::Relaxed);
        let got = self.reading.join().map_err(|_| anyhow!("the reader panicked"))??;
        let sent = fs::read(triangle.testbed.download_file()?).context("what was sent")?;
        ensure!(
            got == sent,
            "the download differs from what was sent: {} of {} bytes",
            got.len(),
            sent.len()
        );
        ensure!(!was_over, "the download was over before it was to be");
        Ok(())
    }
}

/// The Pod that answers, and its answer from the body on.
fn request_download(vip: IpAddr) -> Result<(String, BufReader<TcpStream>)> {
    let mut stream = TcpStream::connect(socket_address(vip, 80)).context("connecting")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /download HTTP/1.0\r\n\r\n").context("requesting")?;
    let mut reader = BufReader::new(stream);
    let mut pod = String::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).context("reading the header")?;
        match line.trim_end().split_once(": ") {
            Some(("X-Pod", name)) => pod = name.to_owned(),
            None if line.trim_end().is_empty() => return Ok((pod, reader)),
            _ => {}
        }
    }
}

fn read_slowly(mut stream: impl Read, hurry: &AtomicBool) -> Result<Vec<u8>> {
    let mut got = Vec::new();
    while stream.by_ref().take(PIECE).read_to_end(&mut got).context("reading the download")? > 0 {
        if !hurry.load(Ordering::Relaxed) {
            thread::sleep(PAUSE);
        }
    }
    Ok(got)
}
