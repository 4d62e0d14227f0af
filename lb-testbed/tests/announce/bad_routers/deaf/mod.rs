//! A router that goes on talking, but reads nothing any more (RFC 9687).

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
    lab::{Lab, small},
    pair::Pair,
    scale,
};

const OBJECTS: &str = include_str!("objects.yaml");
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);
const PORT: u16 = 1179;
/// Time to fill the buffers of both kernels, and to find the deaf router out.
const PATIENCE: Duration = Duration::from_secs(60);

const MARKER: [u8; 16] = [0xff; 16];
const OPEN: u8 = 1;
const KEEPALIVE: u8 = 4;

/// RFC 4271, 4.1
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap_or(u16::MAX);
    [&MARKER[..], &length.to_be_bytes(), &[kind], body].concat()
}

/// AS 64513 with a hold time of 3 s, which speaks both families.
fn open() -> Vec<u8> {
    let capabilities = [1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1];
    let parameters = [&[2, capabilities.len() as u8][..], &capabilities].concat();
    let mut body = vec![4];
    body.extend(64513_u16.to_be_bytes());
    body.extend(3_u16.to_be_bytes());
    body.extend([203, 0, 113, 1, parameters.len() as u8]);
    body.extend(parameters);
    message(OPEN, &body)
}

/// Hears nothing on its first connection, and everything on later ones; one at a time.
fn start(router: &Namespace) -> Result<()> {
    let listener: TcpListener = router.within(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        // Full soon.
        socket.set_recv_buffer_size(2048)?;
        socket.bind(&SocketAddr::new(ADDRESS.into(), PORT).into())?;
        socket.listen(8)?;
        Ok(socket.into())
    })?;
    thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            if let (true, Ok(mut heard)) = (number > 0, stream.try_clone()) {
                thread::spawn(move || while heard.read(&mut [0; 4096]).is_ok_and(|len| len > 0) {});
            }
            talk(stream);
        }
    });
    Ok(())
}

/// Until the other side has had enough.
fn talk(mut stream: TcpStream) {
    let mut said = stream.write_all(&open());
    while said.is_ok() {
        said = stream.write_all(&message(KEEPALIVE, &[]));
        thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn a_router_that_stops_reading_is_given_up_and_told_again() -> Result<()> {
    // By IPv4 there is the deaf one.
    let pair = Pair::new().replace("v4 from director {", "v4 from director {\n  disabled;");
    Lab::bird(small(), &pair.bird, OBJECTS)?.told(|lab| {
        start(lab.triangle.testbed.router())?;
        lab.triangle.write(&scale::services())?;
        lab.wait_established("director1", "deaf")?;
        lab.wait_established("director1", "v6")?;
        let begin = Instant::now();
        for community in 2.. {
            ensure!(begin.elapsed() < PATIENCE, "{}", lab.peer("director1", "deaf")?);
            lab.write(&OBJECTS.replace("64512:1", &format!("64512:{community}")))?;
            thread::sleep(Duration::from_millis(300));
            let told = lab.peer("director1", "deaf")?;
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
        let told = lab.peer("director1", "v6")?;
        ensure!(told["state"] == "Established" && told["established"] == 1, "{told}");
        Ok(())
    })
}
