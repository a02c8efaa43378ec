//! `kernel.*`: what `uname` says. It never parses it further.

use serde_json::Value;

use super::{clean, object};
use crate::host::Host;

/// The group.
pub(super) fn collect(host: &dyn Host) -> Value {
    let kernel = host.kernel();
    Value::Object(object([("release", clean(&kernel.release)), ("version", clean(&kernel.version))]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;
    use crate::host::Kernel;
    use serde_json::json;

    #[test]
    fn release_and_version() {
        let kernel =
            Kernel { release: "6.12.41\n".into(), version: "#1 SMP \u{7}".into(), ..Kernel::default() };
        let host = FakeHost::new().with_kernel(kernel);
        assert_eq!(collect(&host), json!({"release": "6.12.41", "version": "#1 SMP"}));
    }
}
