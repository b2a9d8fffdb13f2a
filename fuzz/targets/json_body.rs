#![no_main]

use harbor_toolbox::fuzzing::json_body;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| json_body(data));
