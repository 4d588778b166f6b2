use std::path::{Path, PathBuf};

use crate::config::load::parse;

#[test]
fn every_sample_and_every_documented_file_is_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let scratch = tempfile::tempdir().unwrap();
    make_files(scratch.path());
    let mut checked = 0;
    let mut check = |name: &Path, text: &str| {
        // What it refers to is looked for where the file is.
        let file = scratch.path().join(name.file_name().unwrap());
        parse(&file, text).unwrap_or_else(|error| panic!("{}: {error}", name.display()));
        checked += 1;
    };
    for sample in toml_files(&root.join("deploy")) {
        check(&sample, &std::fs::read_to_string(&sample).unwrap());
    }
    for page in ["README.md", "docs/configuration.md", "docs/operations.md"] {
        let page = root.join(page);
        for block in toml_blocks(&std::fs::read_to_string(&page).unwrap_or_default()) {
            check(&page, &block);
        }
    }
    assert!(checked >= 5, "only {checked} were found");
}

/// The files that samples name.
fn make_files(directory: &Path) {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../listener/testdata/tls");
    std::fs::create_dir(directory.join("tls")).unwrap();
    for (name, key) in [
        ("cert.pem", "gateway.pem"),
        ("key.pem", "gateway-pkcs8.key"),
        ("components-ca.pem", "gateway.pem"),
    ] {
        std::fs::copy(keys.join(key), directory.join("tls").join(name)).unwrap();
    }
}

fn toml_files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let files = paths.flat_map(|path| match path.is_dir() {
        true => toml_files(&path),
        false => vec![path],
    });
    let is_toml = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    };
    files.filter(is_toml).collect()
}

/// The TOML in a page of documentation; an excerpt that is no file on its own gets a name.
fn toml_blocks(page: &str) -> Vec<String> {
    let blocks = page.split("```toml\n").skip(1);
    let text = blocks.filter_map(|block| block.split("```").next());
    text.map(
        |text| match text.contains("[node]") || text.contains("[[listen.") {
            true => text.to_owned(),
            false => format!("{text}\n[node]\nname = \"node1\"\n"),
        },
    )
    .collect()
}
