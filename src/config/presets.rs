//! Provider presets: server, TLS, identity rule, limits. Data with its source and date; no behaviour.

/// One provider.
#[derive(Debug)]
pub struct Preset {
    /// The name in `provider = "..."`.
    pub name: &'static str,
}
