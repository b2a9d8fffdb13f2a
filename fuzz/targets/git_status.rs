#![no_main]

use harbor_toolbox::fuzzing::git_status;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| git_status(data));
