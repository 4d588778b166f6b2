use subtle::{Choice, ConstantTimeEq};
use switchyard_listener::Secret;
use switchyard_registry::{Caller, carries};
use tonic::Status;

use super::Role;

/// Who may ask what. The default: everybody everything, as on a port that only this machine
/// reaches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ApiAccess {
    /// `[[api.tokens]]`
    pub(crate) tokens: Vec<(Secret, Role)>,
    /// What client certificates are good for; `None`: nobody is asked for one.
    pub(crate) certificates: Option<CertificateRoles>,
}

/// What the holders of verified certificates may do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct CertificateRoles {
    /// `api.tls.client_role`: any of them.
    pub(crate) all: Role,
    /// `api.tls.admins`: DNS names in certificates whose holders are administrators.
    pub(crate) admins: Vec<String>,
}

/// Why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denial {
    #[error(
        "the API of this node is not for everybody: show a token, or a client certificate \
         (--token-file, or --cert and --key)"
    )]
    NoCredentials,
    #[error("the token is not one of this node's")]
    WrongToken,
    #[error("this needs the role \"admin\", and the caller has \"read\"")]
    NeedsAdmin,
}

impl ApiAccess {
    /// Whether everybody may do everything.
    pub(crate) fn is_open(&self) -> bool {
        self.tokens.is_empty() && self.certificates.is_none()
    }

    /// Whether `caller`, who shows `authorization` (RFC 6750 §2.1) perhaps, may call `path`.
    ///
    /// # Errors
    ///
    /// Why not.
    pub(crate) fn check(
        &self,
        authorization: Option<&[u8]>,
        caller: &Caller,
        path: &str,
    ) -> Result<(), Denial> {
        if self.is_open() {
            return Ok(());
        }
        let by_token = match authorization {
            Some(shown) => Some(self.role_of_token(shown).ok_or(Denial::WrongToken)?),
            None => None,
        };
        let role = by_token.max(self.role_of_certificate(caller));
        match role.ok_or(Denial::NoCredentials)? >= Role::for_call(path) {
            true => Ok(()),
            false => Err(Denial::NeedsAdmin),
        }
    }

    /// Takes as long for any token of a length, right or wrong.
    fn role_of_token(&self, authorization: &[u8]) -> Option<Role> {
        let (scheme, shown) = authorization.split_at_checked(BEARER.len())?;
        if !scheme.eq_ignore_ascii_case(BEARER.as_bytes()) {
            return None;
        }
        let mut role = None;
        for (token, of) in &self.tokens {
            let is_it: Choice = token.expose().as_bytes().ct_eq(shown);
            if bool::from(is_it) {
                role = role.max(Some(*of));
            }
        }
        role
    }

    fn role_of_certificate(&self, caller: &Caller) -> Option<Role> {
        let CertificateRoles { all, admins } = self.certificates.as_ref()?;
        let names = caller.names.as_ref()?;
        let is_admin = admins.iter().any(|admin| carries(names, admin));
        Some(if is_admin { Role::Admin } else { *all })
    }
}

/// What comes before a token in the `authorization` of a request.
pub(crate) const BEARER: &str = "Bearer ";

impl Denial {
    /// The label of metrics.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::NoCredentials | Self::WrongToken => "unauthenticated",
            Self::NeedsAdmin => "permission_denied",
        }
    }
}

impl From<Denial> for Status {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::NoCredentials | Denial::WrongToken => Self::unauthenticated(denial.to_string()),
            Denial::NeedsAdmin => Self::permission_denied(denial.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "/switchyard.registry.v1.Registry/List";
    const DRAIN: &str = "/switchyard.cluster.v1.Cluster/Drain";

    fn holder(name: &str) -> Caller {
        Caller {
            address: None,
            names: Some([name.to_owned()].into()),
        }
    }

    #[test]
    fn contract_a2_readers_look_and_administrators_change() {
        let access = ApiAccess {
            tokens: vec![
                (Secret::new("the token of readers"), Role::Read),
                (Secret::new("the token of admins"), Role::Admin),
            ],
            certificates: Some(CertificateRoles {
                all: Role::Read,
                admins: vec!["operator".to_owned()],
            }),
        };
        let nobody = Caller::default();
        let node = holder("node1");
        let operator = holder("Operator");
        let (ok, needs_admin) = (Ok(()), Err(Denial::NeedsAdmin));
        for (token, caller, list, drain) in [
            (
                None,
                &nobody,
                Err(Denial::NoCredentials),
                Err(Denial::NoCredentials),
            ),
            (
                Some("Bearer the token of readers"),
                &nobody,
                ok,
                needs_admin,
            ),
            (Some("bearer the token of admins"), &nobody, ok, ok),
            (None, &node, ok, needs_admin),
            (None, &operator, ok, ok),
            (Some("Bearer the token of admins"), &node, ok, ok),
            (
                Some("Bearer the token of nobody"),
                &operator,
                Err(Denial::WrongToken),
                Err(Denial::WrongToken),
            ),
            (
                Some("Bearer "),
                &nobody,
                Err(Denial::WrongToken),
                Err(Denial::WrongToken),
            ),
            (
                Some("the token of admins"),
                &nobody,
                Err(Denial::WrongToken),
                Err(Denial::WrongToken),
            ),
        ] {
            let check = |path| access.check(token.map(str::as_bytes), caller, path);
            assert_eq!(
                (check(LIST), check(DRAIN)),
                (list, drain),
                "{token:?} {caller:?}"
            );
        }
        // Without rules, whoever reaches the port may do everything.
        ApiAccess::default().check(None, &nobody, DRAIN).unwrap();
    }

    #[test]
    fn contract_a2_what_is_not_known_to_be_harmless_is_for_administrators() {
        for (path, role) in [
            ("/switchyard.registry.v1.Registry/Watch", Role::Read),
            ("/switchyard.cluster.v1.Cluster/Status", Role::Read),
            ("/grpc.health.v1.Health/Check", Role::Read),
            (
                "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                Role::Read,
            ),
            ("/switchyard.cluster.v1.Cluster/StatusX", Role::Admin),
            ("/switchyard.cluster.v1.Cluster/Add", Role::Admin),
            ("/switchyard.cluster.v1.Cluster/Remove", Role::Admin),
            ("/switchyard.cluster.v1.Cluster/Promote", Role::Admin),
            ("/switchyard.new.v1.New/Anything", Role::Admin),
            ("", Role::Admin),
        ] {
            assert_eq!(Role::for_call(path), role, "{path}");
        }
    }
}
