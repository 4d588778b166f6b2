//! `switchyard`: a cluster of routers for XMPP components (XEP-0114).

use std::process::ExitCode;

fn main() -> ExitCode {
    switchyard::main()
}
