//! N.
fn main() {}
