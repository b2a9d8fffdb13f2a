#![no_main]

use harbor_toolbox::fuzzing::sftp_packets;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sftp_packets(data));
