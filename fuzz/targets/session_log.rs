#![no_main]

use harbor_toolbox::fuzzing::session_log;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| session_log(data));
