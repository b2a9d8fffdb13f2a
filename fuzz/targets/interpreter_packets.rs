#![no_main]

use harbor_toolbox::fuzzing::interpreter_packets;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| interpreter_packets(data));
