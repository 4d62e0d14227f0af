//! A router that goes on sending, but reads nothing (RFC 9687: the send hold timer).

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use lb_testbed::Namespace;
use socket2::{Domain, Socket, Type};

use crate::{
    lab::{Lab, small_config},
    pair::SessionPair,
    scale,
};

const OBJECTS: &str = include_str!("objects.yaml");
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);
const PORT: u16 = 1179;
/// Time to fill the socket buffers on both sides, and for the send hold timer to expire.
const PATIENCE: Duration = Duration::from_secs(60);

const MARKER: [u8; 16] = [0xff; 16];
const OPEN: u8 = 1;
const KEEPALIVE: u8 = 4;

/// A message with its header (RFC 4271, 4.1).
fn encode_message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap_or(u16::MAX);
    [&MARKER[..], &length.to_be_bytes(), &[kind], body].concat()
}

/// An OPEN of AS 64513, with a hold time of 3 s and both address families.
fn open_message() -> Vec<u8> {
    let capabilities = [1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1];
    let parameters = [&[2, capabilities.len() as u8][..], &capabilities].concat();
    let mut body = vec![4];
    body.extend(64513_u16.to_be_bytes());
    body.extend(3_u16.to_be_bytes());
    body.extend([203, 0, 113, 1, parameters.len() as u8]);
    body.extend(parameters);
    encode_message(OPEN, &body)
}

/// Starts a router that reads nothing from its first connection, and everything from later ones;
/// it serves one connection at a time.
fn start_deaf_router(router: &Namespace) -> Result<()> {
    let listener: TcpListener = router.within(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        // A small buffer, so that it is soon full.
        socket.set_recv_buffer_size(2048)?;
        socket.bind(&SocketAddr::new(ADDRESS.into(), PORT).into())?;
        socket.listen(8)?;
        Ok(socket.into())
    })?;
    thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            if let (true, Ok(mut reader)) = (number > 0, stream.try_clone()) {
                thread::spawn(move || while reader.read(&mut [0; 4096]).is_ok_and(|len| len > 0) {});
            }
            send_keepalives(stream);
        }
    });
    Ok(())
}

/// Sends OPEN, and KEEPALIVEs until the other side closes the connection.
fn send_keepalives(mut stream: TcpStream) {
    let mut result = stream.write_all(&open_message());
    while result.is_ok() {
        result = stream.write_all(&encode_message(KEEPALIVE, &[]));
        thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn a_router_that_stops_reading_is_disconnected_and_gets_its_routes_again() -> Result<()> {
    // The deaf router takes BIRD's place on IPv4.
    let pair = SessionPair::new().replace("v4 from director {", "v4 from director {\n  disabled;");
    Lab::start_bird(small_config(), &pair.bird, OBJECTS)?.run_with_diagnostics(|lab| {
        start_deaf_router(lab.triangle.testbed.router())?;
        lab.triangle.write_objects(&scale::many_services())?;
        lab.wait_established("director1", "deaf")?;
        lab.wait_established("director1", "v6")?;
        let begin = Instant::now();
        for community in 2.. {
            ensure!(begin.elapsed() < PATIENCE, "{}", lab.peer_status("director1", "deaf")?);
            lab.write_objects(&OBJECTS.replace("64512:1", &format!("64512:{community}")))?;
            thread::sleep(Duration::from_millis(300));
            let told = lab.peer_status("director1", "deaf")?;
            if told["last_error"]["name"]
                .as_str()
                .is_some_and(|name| name.contains("Send Hold Timer Expired"))
            {
                println!("after {:?}: {}", begin.elapsed(), told["last_error"]);
                break;
            }
        }
        lab.wait_peer("director1", "deaf", "told again", |told| {
            told["state"] == "Established" && told["established"] == 2 && told["routes_pending"] == 0
        })?;
        let told = lab.peer_status("director1", "v6")?;
        ensure!(told["state"] == "Established" && told["established"] == 1, "{told}");
        Ok(())
    })
}
