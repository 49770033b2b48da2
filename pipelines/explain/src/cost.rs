//! What a run would take, for `--dry-run`.

use std::fmt;

use explain::Passes;

/// Passes through the network.
pub(crate) struct Cost {
    pub(crate) explainer: &'static str,
    pub(crate) tap: String,
    /// Channels, height and width at the tap.
    pub(crate) activation: [usize; 3],
    pub(crate) maps: usize,
    pub(crate) batch_size: usize,
    /// Of one map.
    pub(crate) passes: Passes,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { explainer, tap, maps, batch_size, passes, .. } = self;
        let [channels, height, width] = self.activation;
        writeln!(f, "{explainer} at {tap}: {channels} channels of {height}x{width}")?;
        writeln!(f, "a map     {passes}")?;
        writeln!(f, "{maps} maps, {batch_size} at a time: {}", passes.times(*maps))
    }
}
