//! Keeps a driver's line off stderr.
//!
//! Mesa's implicit layer for choosing devices asks libwayland for a display whenever adapters are listed. Without `XDG_RUNTIME_DIR`, as in
//! containers and under cron, libwayland prints "error: XDG_RUNTIME_DIR is invalid or not set in the environment." for each try: a line
//! that looks like an error of the program's. Setting the variable is not for a library, and naming a shared folder invites others to put a
//! socket there.

/// Takes the words from libwayland where there can be no display: nobody who shows windows is affected.
#[cfg(target_os = "linux")]
pub(crate) fn silence() {
    use std::ffi::{c_char, c_void};
    use std::os::unix::ffi::OsStrExt;
    use std::sync::Once;

    type Handler = unsafe extern "C" fn(*const c_char, *mut c_void);
    unsafe extern "C" fn say_nothing(_format: *const c_char, _arguments: *mut c_void) {}

    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let is_path = |name: &str| {
            std::env::var_os(name).is_some_and(|value| value.as_bytes().starts_with(b"/"))
        };
        if is_path("XDG_RUNTIME_DIR")
            || is_path("WAYLAND_DISPLAY")
            || std::env::var_os("WAYLAND_SOCKET").is_some()
        {
            return;
        }
        // SAFETY: libwayland has no initialisers of its own, and the layer loads the same library a moment later.
        let Ok(library) = (unsafe { libloading::Library::new("libwayland-client.so.0") }) else {
            return;
        };
        // SAFETY: `void wl_log_set_handler_client(void (*)(const char *, va_list))` since its version 1.0. A va_list is handed over as a
        // pointer or in place of one; the handler looks at neither of its arguments.
        unsafe {
            if let Ok(set) =
                library.get::<unsafe extern "C" fn(Handler)>(b"wl_log_set_handler_client\0")
            {
                set(say_nothing);
            }
        }
        // The handler lives in the library's memory: unloaded, it would speak again.
        std::mem::forget(library);
    });
}

/// Nothing to do: there is no such layer.
#[cfg(not(target_os = "linux"))]
pub(crate) fn silence() {}
