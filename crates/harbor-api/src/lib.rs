//! REST and event stream: parse, call, render.
