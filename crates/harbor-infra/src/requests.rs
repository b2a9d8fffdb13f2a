//! What is answered to a request, whichever transport it came by.

use harbor_protocol::infra::{Failure, PROTOCOL, Policy, Reply, Request};

/// What to do about a request.
pub(crate) enum Answer {
    /// Reply this.
    Now(Reply),
    /// Dial this port, then reply.
    Dial(u16),
}

/// Decides; `own_port` is the streaming form's, which no dial may reach.
pub(crate) fn decide(request: Request, own_port: Option<u16>) -> Answer {
    match request {
        Request::Ready => {
            Answer::Now(Reply::Ready { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").to_owned() })
        }
        Request::Dial { port: 0 } => Answer::Now(unsupported("port 0 cannot be dialled")),
        Request::Dial { port } if Some(port) == own_port => {
            Answer::Now(failure(Failure::Refused, format!("port {port} is infra's own")))
        }
        Request::Dial { port } => Answer::Dial(port),
        Request::Policy(policy) if policy == Policy::default() => Answer::Now(Reply::Applied),
        Request::Policy(_) => Answer::Now(unsupported("network policies are not built yet")),
    }
}

/// The message was not understood, or asks for what is not there.
pub(crate) fn unsupported(message: &str) -> Reply {
    failure(Failure::Unsupported, message.to_owned())
}

/// A failure with its reason.
pub(crate) fn failure(reason: Failure, message: String) -> Reply {
    Reply::Failed { reason, message }
}
