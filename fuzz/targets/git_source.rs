#![no_main]

use harbor_toolbox::fuzzing::git_source;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| git_source(data));
