use std::process::ExitCode;

use crate::config::LoadError;

/// Exit code for a configuration that cannot be used (`EX_USAGE` of sysexits.h).
const CONFIGURATION: u8 = 64;

/// Why a command failed; decides the exit code (contract A3).
#[derive(Debug)]
pub(crate) enum Failure {
    /// The configuration is wrong: 64.
    Configuration(LoadError),
    /// Anything else: 1.
    Other(anyhow::Error),
}

impl Failure {
    /// Tells the operator, on standard error, and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Configuration(error) => {
                eprintln!("{error}");
                ExitCode::from(CONFIGURATION)
            }
            Self::Other(error) => {
                eprintln!("switchyard: {}", one_line(&error));
                ExitCode::FAILURE
            }
        }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::Configuration(error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

/// An error and its causes, without those that it has quoted already.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot listen: {0}")]
    struct Quoting(#[source] io::Error);

    #[test]
    fn a_cause_is_said_once() {
        let quoting = Quoting(io::Error::other("port in use"));
        let error = anyhow::Error::new(quoting).context("cannot start");
        let expected = "cannot start: cannot listen: port in use";
        assert_eq!(one_line(&error), expected);
    }
}
