//! What the documents say about the program, held against its sources.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Where lines take their words from something else: the file, and what stands before those words
/// wherever it or anybody else says them.
const SAID_ELSEWHERE: [(&str, &str); 3] = [
    ("listener/src/peer_log/mod.rs", "=> \""),
    ("registry/src/progress.rs", "Progress::new(\""),
    ("registry/src/progress.rs", "Progress::of_refusal(\""),
];
/// Whose lines are what is wrong with a configuration file: FILE:LINE and the key.
const OF_CONFIGURATION: [&str; 2] = ["node/src/cli/serve.rs", "node/src/serve/reload.rs"];

#[test]
fn every_warning_and_every_error_in_the_log_is_explained() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/operations.md"))?;
    let mut messages = 0;
    for file in sources(&root.join("crates"))? {
        let source = fs::read_to_string(&file)?;
        for message in messages_in(&file, &source).with_context(|| file.display().to_string())? {
            messages += 1;
            for words in fixed_words(&message) {
                let file = file.display();
                ensure!(
                    page.contains(words),
                    "{file}: docs/operations.md, \"What the log says\", lacks \"{words}\": what it \
                     means and what to do"
                );
            }
        }
    }
    ensure!(messages > 30, "only {messages} messages were found");
    Ok(())
}

#[test]
fn messages_are_found_however_they_are_written() -> Result<()> {
    let source = r#"
        warn!(%a, "One ({a}) \"two\"");
        tracing::error!(
            field = format!("a ) b"),
            "Three \
             four"
        );
        no_warn!("Five");
    "#;
    let found = messages_in(Path::new("x.rs"), source)?;
    assert_eq!(found, [r#"One ({a}) "two""#, "Three four"]);
    assert_eq!(fixed_words(&found[0]), ["One", "two"]);
    Ok(())
}

/// The sources of all crates.
fn sources(crates: &Path) -> Result<Vec<PathBuf>> {
    let mut sources = Vec::new();
    let mut directories = Vec::new();
    for each in fs::read_dir(crates)? {
        directories.push(each?.path().join("src"));
    }
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(path);
            }
        }
    }
    Ok(sources)
}

/// What the lines at `warning` and `error` in `source` say, and what it has others say.
fn messages_in(file: &Path, source: &str) -> Result<Vec<String>> {
    let mut messages = Vec::new();
    for start in ["warn!(", "error!("] {
        for (at, _) in source.match_indices(start) {
            if source[..at].ends_with(|before: char| before == '_' || before.is_alphanumeric()) {
                continue;
            }
            let message = last_literal(&source[at + start.len()..]);
            let message = message.context("a line of the log without words")?;
            ensure!(
                !fixed_words(&message).is_empty() || has_words_from_elsewhere(file),
                "\"{message}\" has its words from elsewhere: say in this test from where"
            );
            messages.push(message);
        }
    }
    for (name, before) in SAID_ELSEWHERE {
        // Words that are handed over may come from any file, those of a match from its own.
        if before.starts_with("=>") && !file.ends_with(name) {
            continue;
        }
        let said = source.match_indices(before);
        messages.extend(said.filter_map(|(at, _)| {
            let literal = &source[at + before.len() - 1..];
            last_literal(&literal[..=literal[1..].find('"')? + 1])
        }));
    }
    Ok(messages)
}

fn has_words_from_elsewhere(file: &Path) -> bool {
    let known = SAID_ELSEWHERE.iter().map(|(name, _)| name);
    known
        .chain(&OF_CONFIGURATION)
        .any(|name| file.ends_with(name))
}

/// The last string literal of a macro's arguments, which end with the parenthesis that closes them.
fn last_literal(arguments: &str) -> Option<String> {
    let mut open = 1;
    let mut last = None;
    let mut rest = arguments.chars();
    while let Some(next) = rest.next() {
        match next {
            '(' => open += 1,
            ')' => open -= 1,
            '"' => last = Some(literal(&mut rest)),
            _ => {}
        }
        if open == 0 {
            break;
        }
    }
    last
}

/// The rest of a string literal whose first quotation mark has been read.
fn literal(rest: &mut std::str::Chars<'_>) -> String {
    let mut text = String::new();
    while let Some(next) = rest.next() {
        match next {
            '"' => break,
            '\\' => match rest.next() {
                Some('\n') => *rest = rest.as_str().trim_start().chars(),
                Some(escaped) => text.push(escaped),
                None => break,
            },
            _ => text.push(next),
        }
    }
    text
}

/// What of `message` is the same each time.
fn fixed_words(message: &str) -> Vec<&str> {
    let pieces = message.split('{').map(|piece| match piece.split_once('}') {
        Some((_, words)) => words,
        None => piece,
    });
    pieces
        .map(|words| words.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|words| !words.is_empty())
        .collect()
}
