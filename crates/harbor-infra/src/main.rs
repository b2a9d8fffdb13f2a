//! The network keeper beside a sandbox: it owns the network namespace that the sandbox joins, and dials into it.
//!
//! Guarantees: every socket is nonblocking and served by one loop, so nothing the sandbox does makes harbor's dials on
//! the unix socket wait; connections, buffers and waits are bounded; an idle infra sleeps. It reads no file, name or
//! address that the sandbox can alter. What it cannot set up it says on standard error, and exits with 1.
//! Leaves out: network policies and the DNS forwarder; every policy but the open one is refused.

mod arguments;
mod dial;
mod door;
mod install;
mod keeper;
mod passing;
mod pipe;
mod poll_set;
mod privileges;
mod problem;
mod requests;
mod streaming;
mod visitor;

use std::io::{BufWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use arguments::Arguments;
use harbor_layer::{Cut, empty, pack, unpack};
use keeper::Keeper;
use passing::Passing;
use problem::{Context, Problem};
use signal_hook::consts::{SIGINT, SIGTERM};
use streaming::Streaming;

/// Bytes of an archive that are written at a time.
const COPIED_AT_A_TIME: usize = 64 * 1024;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            say(&problem.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Sets up, then serves until SIGTERM or SIGINT; or does the one thing that `--install`, `--pack`, `--unpack`, `--empty`
/// or `--keep` asks for. `SIGPIPE` is ignored by Rust's runtime.
fn run() -> Result<(), Problem> {
    let arguments = Arguments::parse(std::env::args_os().skip(1))?;
    if let Some(directory) = &arguments.install {
        return install::install(directory);
    }
    if let Some(layer) = &arguments.pack {
        let output = BufWriter::with_capacity(COPIED_AT_A_TIME, std::io::stdout().lock());
        return pack(layer, output, &Cut::default()).context(format!("cannot read {}", layer.display()));
    }
    if let Some(layer) = &arguments.unpack {
        return unpack(layer, std::io::stdin().lock()).context(format!("cannot write {}", layer.display()));
    }
    if let Some(directory) = &arguments.empty {
        return empty(directory, &Cut::default()).context(format!("cannot empty {}", directory.display()));
    }
    if arguments.keep {
        return stop_signal()?.read_exact(&mut [0]).context("cannot wait to be asked to end");
    }
    privileges::hide_memory()?;
    let stop = stop_signal()?;
    let descriptors = privileges::raise_descriptor_limit()?;
    enable_ipv6_loopback();
    let streaming = Streaming::open(&arguments.token_file, arguments.stream_port, descriptors)?;
    let own_port = streaming.as_ref().map(|_| arguments.stream_port);
    let passing = Passing::open(&arguments.directory, own_port)?;
    privileges::keep_only_net_admin()?;
    let form = own_port.map_or_else(|| "off".to_owned(), |port| format!("port {port}"));
    say(&format!("{} serves in {}, streaming {form}", env!("CARGO_PKG_VERSION"), arguments.directory.display()));
    Keeper::new(stop, passing, streaming).run()
}

/// A socket that becomes readable when infra is asked to end. As process 1 of its container it gets no default action.
fn stop_signal() -> Result<UnixStream, Problem> {
    let (stop, raised) = UnixStream::pair().context("cannot make the signal pipe")?;
    for signal in [SIGTERM, SIGINT] {
        let raised = raised.try_clone().context("cannot make the signal pipe")?;
        signal_hook::low_level::pipe::register(signal, raised).context("cannot handle signals")?;
    }
    Ok(stop)
}

/// Gives `lo` its `::1` where the engine left that off and lets us; servers on `::1` alone are out of reach otherwise.
fn enable_ipv6_loopback() {
    let switch = "/proc/sys/net/ipv6/conf/lo/disable_ipv6";
    if std::fs::read(switch).is_ok_and(|value| value.starts_with(b"1")) {
        let _read_only_in_most_containers = std::fs::write(switch, "0");
    }
}

/// One line to the container's log. Only for start and end, so that the sandbox cannot fill it.
fn say(line: &str) {
    let _nobody_listens = writeln!(std::io::stderr(), "harbor-infra: {line}");
}
