use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};

/// The binary under test: `SWITCHYARD_BIN` if that is set, otherwise the one of this workspace,
/// built once per test program in the profile that the tests were built in.
///
/// # Errors
///
/// When it does not exist or does not compile.
pub fn switchyard() -> Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match BINARY.get_or_init(|| find_or_build().map_err(|error| format!("{error:#}"))) {
        Ok(path) => Ok(path),
        Err(error) => bail!("{error}"),
    }
}

fn find_or_build() -> Result<PathBuf> {
    if let Some(path) = env::var_os("SWITCHYARD_BIN").map(PathBuf::from) {
        ensure!(
            path.is_file(),
            "SWITCHYARD_BIN is no file: {}",
            path.display()
        );
        return Ok(path);
    }
    // TARGET/PROFILE/deps/TEST-HASH
    let own = env::current_exe().context("the test program does not know its own path")?;
    let profile_dir = own
        .ancestors()
        .nth(2)
        .context("the test program lies outside a target directory")?;
    let target_dir = profile_dir
        .parent()
        .context("the profile's directory has no parent")?;
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(name) => name,
        None => bail!("the profile's directory has no name"),
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    // All members and a test among the targets, so that features are unified as in
    // `cargo test --workspace` and no dependency is compiled twice.
    let status = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--workspace",
            "--bin",
            "switchyard",
            "--test",
            "routing",
            "--profile",
            profile,
        ])
        .arg("--target-dir")
        .arg(target_dir)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .context("cargo did not start")?;
    ensure!(status.success(), "the binary does not compile");
    Ok(profile_dir.join("switchyard"))
}
