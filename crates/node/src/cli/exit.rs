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
                eprintln!("switchyard: {error:#}");
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
