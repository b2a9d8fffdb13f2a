//! The smallest client of both transports, with nothing but the standard library and rustix.

use std::io::{BufRead, BufReader, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use harbor_protocol::infra::{Hello, MAX_MESSAGE, Reply, Request, SOCKET};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, connect, recvmsg, send, socket_with,
};

/// How long the client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection of the passing form.
pub(crate) struct Client(OwnedFd);

impl Client {
    pub(crate) fn connect(directory: &Path) -> std::io::Result<Self> {
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        connect(&socket, &SocketAddrUnix::new(directory.join(SOCKET))?)?;
        Ok(Self(socket))
    }

    pub(crate) fn ask(&self, request: &Request) -> (Reply, Option<TcpStream>) {
        self.send(&serde_json::to_vec(request).unwrap());
        self.receive()
    }

    pub(crate) fn send(&self, packet: &[u8]) {
        assert_eq!(send(&self.0, packet, SendFlags::NOSIGNAL).unwrap(), packet.len());
    }

    pub(crate) fn receive(&self) -> (Reply, Option<TcpStream>) {
        let mut text = vec![0; MAX_MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received =
            recvmsg(&self.0, &mut [IoSliceMut::new(&mut text)], &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
        let mut passed = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                passed.extend(descriptors);
            }
        }
        assert!(passed.len() <= 1, "{} descriptors were passed", passed.len());
        (serde_json::from_slice(&text[..received.bytes]).unwrap(), passed.pop().map(TcpStream::from))
    }

    /// Dials and expects success; the stream blocks and has a deadline.
    #[track_caller]
    pub(crate) fn dial(&self, port: u16) -> TcpStream {
        let (reply, passed) = self.ask(&Request::Dial { port });
        assert_eq!(reply, Reply::Dialled);
        let stream = passed.expect("no socket was passed");
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

/// Says hello on the streaming form: the answer, and the connection.
pub(crate) fn hello(address: SocketAddr, token: &str, request: Request) -> (Reply, TcpStream) {
    let mut line = serde_json::to_vec(&Hello { token: token.to_owned(), request }).unwrap();
    line.push(b'\n');
    greet(address, &line)
}

/// Sends `line` as it is on the streaming form: the answer, and the connection.
pub(crate) fn greet(address: SocketAddr, line: &[u8]) -> (Reply, TcpStream) {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(line).unwrap();
    let mut answer = String::new();
    // One byte at a time, so that nothing of the stream is read along.
    BufReader::with_capacity(1, &stream).read_line(&mut answer).unwrap();
    (serde_json::from_str(&answer).unwrap(), stream)
}
