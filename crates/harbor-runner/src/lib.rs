//! Makes, inspects, stops and dials a sandbox: the engine, infra and toolbox clients.
