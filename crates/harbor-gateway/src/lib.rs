//! Every road into a live sandbox: toolbox proxy, preview proxy, SSH.
