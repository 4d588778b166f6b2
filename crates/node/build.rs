//! Compiles the protocol between nodes, without `protoc`.

use std::error::Error;

const PROTO_ROOT: &str = "../../proto";
const LINK: &str = "switchyard/peer/v1/link.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTO_ROOT}/{LINK}");
    let descriptors = protox::compile([LINK], [PROTO_ROOT])?;
    tonic_prost_build::configure()
        // Stanzas are slices of the frame they arrived in.
        .bytes(".switchyard.peer.v1.Parcel.stanzas")
        .compile_fds(descriptors)?;
    Ok(())
}
