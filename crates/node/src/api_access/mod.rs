//! Who may ask what of the API (contract A2): readers look, administrators change the cluster.

mod gate;
mod guarded_body;
mod role;
mod rules;

pub(crate) use gate::{Gate, guard};
pub(crate) use role::Role;
pub(crate) use rules::{ApiAccess, BEARER, CertificateRoles};
