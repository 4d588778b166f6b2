/// The conditions of a stanza error (RFC 6120 §8.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StanzaCondition {
    /// `bad-request`
    BadRequest,
    /// `conflict`
    Conflict,
    /// `feature-not-implemented`
    FeatureNotImplemented,
    /// `forbidden`
    Forbidden,
    /// `gone`
    Gone,
    /// `internal-server-error`
    InternalServerError,
    /// `item-not-found`
    ItemNotFound,
    /// `jid-malformed`
    JidMalformed,
    /// `not-acceptable`
    NotAcceptable,
    /// `not-allowed`
    NotAllowed,
    /// `not-authorized`
    NotAuthorized,
    /// `policy-violation`
    PolicyViolation,
    /// `recipient-unavailable`
    RecipientUnavailable,
    /// `redirect`
    Redirect,
    /// `registration-required`
    RegistrationRequired,
    /// `remote-server-not-found`
    RemoteServerNotFound,
    /// `remote-server-timeout`
    RemoteServerTimeout,
    /// `resource-constraint`
    ResourceConstraint,
    /// `service-unavailable`
    ServiceUnavailable,
    /// `subscription-required`
    SubscriptionRequired,
    /// `undefined-condition`
    UndefinedCondition,
    /// `unexpected-request`
    UnexpectedRequest,
}

impl StanzaCondition {
    /// The name of its element.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.properties().0
    }

    /// The error type that belongs to it (RFC 6120 §8.3.3).
    #[must_use]
    pub const fn error_type(self) -> &'static str {
        self.properties().1
    }

    /// The code that was sent before there were conditions (XEP-0086).
    #[must_use]
    pub const fn code(self) -> u16 {
        self.properties().2
    }

    const fn properties(self) -> (&'static str, &'static str, u16) {
        match self {
            Self::BadRequest => ("bad-request", "modify", 400),
            Self::Conflict => ("conflict", "cancel", 409),
            Self::FeatureNotImplemented => ("feature-not-implemented", "cancel", 501),
            Self::Forbidden => ("forbidden", "auth", 403),
            Self::Gone => ("gone", "cancel", 302),
            Self::InternalServerError => ("internal-server-error", "cancel", 500),
            Self::ItemNotFound => ("item-not-found", "cancel", 404),
            Self::JidMalformed => ("jid-malformed", "modify", 400),
            Self::NotAcceptable => ("not-acceptable", "modify", 406),
            Self::NotAllowed => ("not-allowed", "cancel", 405),
            Self::NotAuthorized => ("not-authorized", "auth", 401),
            Self::PolicyViolation => ("policy-violation", "modify", 405),
            Self::RecipientUnavailable => ("recipient-unavailable", "wait", 404),
            Self::Redirect => ("redirect", "modify", 302),
            Self::RegistrationRequired => ("registration-required", "auth", 407),
            Self::RemoteServerNotFound => ("remote-server-not-found", "cancel", 404),
            Self::RemoteServerTimeout => ("remote-server-timeout", "wait", 504),
            Self::ResourceConstraint => ("resource-constraint", "wait", 500),
            Self::ServiceUnavailable => ("service-unavailable", "cancel", 503),
            Self::SubscriptionRequired => ("subscription-required", "auth", 407),
            Self::UndefinedCondition => ("undefined-condition", "cancel", 500),
            Self::UnexpectedRequest => ("unexpected-request", "wait", 400),
        }
    }
}
