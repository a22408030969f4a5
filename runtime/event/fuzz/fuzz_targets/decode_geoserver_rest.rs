#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_event::Dialect;

fuzz_target!(|payload: &[u8]| weir_event_fuzz::check(Dialect::GeoServerRest, payload));
