//! Compiles the protocol between nodes, without `protoc`.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use prost::Message;

const PROTO_ROOT: &str = "../../proto";
const LINK: &str = "switchyard/peer/v1/link.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTO_ROOT}/{LINK}");
    let descriptors = protox::compile([LINK], [PROTO_ROOT])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("link_descriptor.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // Stanzas are slices of the frame they arrived in.
        .bytes(".switchyard.peer.v1.Parcel.stanzas")
        .compile_fds(descriptors)?;
    Ok(())
}
