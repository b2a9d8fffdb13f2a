//! Servers as a sandbox runs them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, listen, socket};

/// A server that sends back what it gets, ends included, on an address that is free; its port.
pub(crate) fn echo(address: &str) -> u16 {
    serve(address, |mut stream| {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    })
}

/// A server that does `each` with every connection.
pub(crate) fn serve(address: &str, each: impl Fn(TcpStream) + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let each = each.clone();
            thread::spawn(move || each(stream.unwrap()));
        }
    });
    port
}

/// A port whose listener never accepts and whose queue is full, so that connections hang; and what keeps it so.
pub(crate) fn hanging() -> (u16, Vec<OwnedFd>) {
    let port = crate::process::free_port();
    let listener = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    let address: SocketAddr = ([127, 0, 0, 1], port).into();
    bind(&listener, &address).unwrap();
    listen(&listener, 0).unwrap();
    let mut kept = vec![listener];
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        kept.push(stream.into());
    }
    (port, kept)
}
