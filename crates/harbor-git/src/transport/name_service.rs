//! Names of hosts and users without the image's libraries.
//!
//! A static program that follows the image's `nsswitch.conf` would load modules made for another C library.

/// Has names looked up in files and over DNS alone, both of which are part of this program.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the C library has this setting and no other way to it")]
pub(super) fn restrict() {
    unsafe extern "C" {
        fn __nss_configure_lookup(database: *const std::ffi::c_char, services: *const std::ffi::c_char) -> i32;
    }
    for (database, services) in [(c"hosts", c"files dns"), (c"passwd", c"files"), (c"group", c"files")] {
        // SAFETY: both are C strings that live for ever, and this is the only thread.
        let _ = unsafe { __nss_configure_lookup(database.as_ptr(), services.as_ptr()) };
    }
}

/// Other C libraries load nothing.
#[cfg(not(target_env = "gnu"))]
pub(super) fn restrict() {}
