#![no_main]

use harbor_toolbox::fuzzing::lsp_messages;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| lsp_messages(data));
