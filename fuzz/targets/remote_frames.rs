#![no_main]

use harbor_toolbox::fuzzing::remote_frames;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| remote_frames(data));
