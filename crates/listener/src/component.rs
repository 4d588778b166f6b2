use switchyard_registry::Domain;

/// Who is at the other end of an authenticated stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// The domain it serves; its prefix under every served host if `is_subdomain`.
    pub domain: Domain,
    /// Asked for with `is_subdomain="true"` on the stream header (contract R4).
    pub is_subdomain: bool,
    /// Connected through a listener with `hidden_components` (contract H2).
    pub hidden: bool,
}
