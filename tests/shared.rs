//! Where tests find the real tissue kept beside the checkout.
//!
//! A stranger's clone has no `../shared`: such tests then say so and pass. With `BRODMANN_REQUIRE_SHARED=1` (as
//! in continuous integration) a missing file fails the test instead.

use std::path::PathBuf;

/// The path of `../shared/<relative>` beside the checkout, or `None` (said on stderr) when it is absent.
pub fn shared(relative: &str) -> Option<PathBuf> {
    let root = std::env::var_os("BRODMANN_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let path = root.join(relative);
    if path.exists() {
        return Some(path);
    }
    let required = std::env::var_os("BRODMANN_REQUIRE_SHARED").is_some_and(|v| v == "1");
    assert!(!required, "{} is missing and BRODMANN_REQUIRE_SHARED=1", path.display());
    eprintln!("SKIPPED: {} is not beside this checkout", path.display());
    None
}
