use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};

/// Something to say about one place of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// Counted from 1; `None`: the file as a whole.
    pub(crate) line: Option<usize>,
    /// What is wrong and how to mend it; never quotes a value, which could be a secret.
    pub(crate) message: String,
}

/// Collects what is wrong with a file, so that all of it can be said at once.
#[derive(Debug)]
pub(crate) struct Problems {
    file: PathBuf,
    /// Byte offsets of the file's line ends.
    line_ends: Vec<usize>,
    errors: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

/// A configuration that cannot be used, with every reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) struct ConfigError {
    /// The file as the operator named it.
    pub(crate) file: PathBuf,
    /// At least one, in the order of lines.
    pub(crate) problems: Vec<Problem>,
}

// === impl Problems ===

impl Problems {
    /// Nothing wrong yet with `file`, whose text is `text`.
    pub(crate) fn new(file: &Path, text: &str) -> Self {
        Self {
            file: file.to_owned(),
            line_ends: line_ends(text),
            errors: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    /// Where the file is: what it refers to is looked for there, unless an absolute path is given.
    pub(crate) fn directory(&self) -> &Path {
        self.file.parent().unwrap_or_else(|| Path::new(""))
    }

    /// Notes an error at byte `offset`.
    pub(crate) fn error(&self, offset: Option<usize>, message: impl Into<String>) {
        self.errors.borrow_mut().push(self.problem(offset, message));
    }

    /// Notes a warning at byte `offset`.
    pub(crate) fn warning(&self, offset: Option<usize>, message: impl Into<String>) {
        let problem = self.problem(offset, message);
        self.warnings.borrow_mut().push(problem);
    }

    /// The line of byte `at`, counted from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.line_ends.partition_point(|&end| end < at) + 1
    }

    /// The warnings, or the errors if there are any.
    pub(crate) fn finish(self) -> Result<Vec<String>, ConfigError> {
        let mut problems = self.errors.into_inner();
        if problems.is_empty() {
            let mut warnings = self.warnings.into_inner();
            warnings.sort();
            let say = |problem| located(&self.file, &problem);
            return Ok(warnings.into_iter().map(say).collect());
        }
        problems.sort();
        problems.dedup();
        Err(ConfigError {
            file: self.file,
            problems,
        })
    }

    fn problem(&self, offset: Option<usize>, message: impl Into<String>) -> Problem {
        let line = offset.map(|at| self.line(at));
        Problem {
            line,
            message: message.into(),
        }
    }
}

fn line_ends(text: &str) -> Vec<usize> {
    text.match_indices('\n').map(|(at, _)| at).collect()
}

/// `FILE:LINE: message`.
fn located(file: &Path, problem: &Problem) -> String {
    let file = file.display();
    match problem.line {
        Some(line) => format!("{file}:{line}: {}", problem.message),
        None => format!("{file}: {}", problem.message),
    }
}

// === impl ConfigError ===

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&located(&self.file, problem))?;
        }
        Ok(())
    }
}
