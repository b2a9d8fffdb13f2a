//! The program; all of it is in the library, where fuzzing reaches its parsers.

use std::process::ExitCode;

fn main() -> ExitCode {
    harbor_toolbox::main()
}
