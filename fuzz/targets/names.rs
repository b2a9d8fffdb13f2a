#![no_main]

use harbor_toolbox::fuzzing::names;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| names(data));
