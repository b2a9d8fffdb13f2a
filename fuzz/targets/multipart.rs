#![no_main]

use harbor_toolbox::fuzzing::multipart;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| multipart(data));
