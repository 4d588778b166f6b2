//! Certificates for small clusters and for tests: an authority and what it issues, as files
//! (`switchyard cluster certs`). A company has an authority of its own, and better ones.

mod authority;
mod directory;

pub(crate) use directory::{CertificateDirectory, Outcome};
