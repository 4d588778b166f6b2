//! Compiles the protocol files without a `protoc` on the machine.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use prost::Message as _;

const PROTO_ROOT: &str = "../../proto";
const API: [&str; 2] = [
    "switchyard/registry/v1/registry.proto",
    "switchyard/cluster/v1/cluster.proto",
];
const PEER: [&str; 1] = ["switchyard/peer/v1/raft.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO_ROOT}");
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);

    let api = protox::compile(API, [PROTO_ROOT])?;
    fs::write(out_dir.join("api_descriptor.bin"), api.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(api)?;

    let peer = protox::compile(PEER, [PROTO_ROOT])?;
    tonic_prost_build::configure()
        .bytes(".switchyard.peer.v1.SnapshotChunk.data")
        .compile_fds(peer)?;
    Ok(())
}
