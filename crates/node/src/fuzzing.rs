//! What the fuzz target `configuration` (docs/testing.md) needs from the inside of this crate. It is
//! no part of any interface: nothing else may use it, and it changes without notice.

use std::path::Path;

use crate::config;

/// What somebody who starts a node gets to see of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Everything wrong with it: the line, counted from 1, and the message. Empty if it is valid.
    pub problems: Vec<(Option<usize>, String)>,
    /// All of it as text, also as `Debug` gives it; warnings and the configuration itself if it is
    /// valid.
    pub shown: String,
}

/// Reads `text` as the configuration file `file`. Files that it names are read as well.
#[must_use]
pub fn check_configuration(file: &Path, text: &str) -> Verdict {
    match config::parse(file, text) {
        Ok(loaded) => Verdict {
            problems: Vec::new(),
            shown: format!("{}\n{loaded:?}", loaded.warnings.join("\n")),
        },
        Err(error) => Verdict {
            shown: format!("{error}\n{error:?}"),
            problems: error
                .problems
                .into_iter()
                .map(|problem| (problem.line, problem.message))
                .collect(),
        },
    }
}
