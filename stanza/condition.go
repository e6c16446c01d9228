package stanza

// Condition is a defined stanza error condition (RFC 6120 §8.3.3). It is an
// error itself: errors.Is(err, stanza.ItemNotFound) matches every [*Error] with
// that condition, and a handler may return a condition as it is.
type Condition string

// The conditions of RFC 6120 §8.3.3, in its order.
const (
	// BadRequest: the stanza does not conform to its schema.
	BadRequest Condition = "bad-request"
	// Conflict: something with that name or address exists already.
	Conflict Condition = "conflict"
	// FeatureNotImplemented: the recipient knows the namespace, yet not what is
	// asked for.
	FeatureNotImplemented Condition = "feature-not-implemented"
	// Forbidden: the requesting entity lacks the permission.
	Forbidden Condition = "forbidden"
	// Gone: the recipient is no longer at this address; Error.URI may say where
	// it is now.
	Gone Condition = "gone"
	// InternalServerError: something is wrong on the side of the recipient.
	InternalServerError Condition = "internal-server-error"
	// ItemNotFound: the address or item does not exist. Say ServiceUnavailable
	// instead to those who may not know (§8.3.3.7, §13.10.2).
	ItemNotFound Condition = "item-not-found"
	// JIDMalformed: an address breaks the rules of RFC 7622.
	JIDMalformed Condition = "jid-malformed"
	// NotAcceptable: the request does not meet the criteria of the recipient.
	NotAcceptable Condition = "not-acceptable"
	// NotAllowed: nobody may do this.
	NotAllowed Condition = "not-allowed"
	// NotAuthorized: credentials are missing or wrong.
	NotAuthorized Condition = "not-authorized"
	// PolicyViolation: a local policy forbids it.
	PolicyViolation Condition = "policy-violation"
	// RecipientUnavailable: the recipient is unavailable for now. Say
	// ServiceUnavailable instead to those who may not know (§8.3.3.13).
	RecipientUnavailable Condition = "recipient-unavailable"
	// Redirect: ask at Error.URI instead, for now. A human should approve.
	Redirect Condition = "redirect"
	// RegistrationRequired: one must register before.
	RegistrationRequired Condition = "registration-required"
	// RemoteServerNotFound: a server in one of the addresses cannot be found.
	RemoteServerNotFound Condition = "remote-server-not-found"
	// RemoteServerTimeout: such a server was found, but not reached in time.
	RemoteServerTimeout Condition = "remote-server-timeout"
	// ResourceConstraint: the recipient is too busy.
	ResourceConstraint Condition = "resource-constraint"
	// ServiceUnavailable: the recipient does not provide this service.
	ServiceUnavailable Condition = "service-unavailable"
	// SubscriptionRequired: one must be subscribed before.
	SubscriptionRequired Condition = "subscription-required"
	// UndefinedCondition: see the application-specific condition. An unknown
	// condition of a peer is treated as this one (§8.3.2).
	UndefinedCondition Condition = "undefined-condition"
	// UnexpectedRequest: the request is understood, but comes out of order.
	UnexpectedRequest Condition = "unexpected-request"
)

// ErrorType is the type attribute of an error (RFC 6120 §8.3.2): what its
// recipient may do about it.
type ErrorType string

// The types of an error.
const (
	AuthError     ErrorType = "auth"     // retry after providing credentials
	CancelError   ErrorType = "cancel"   // do not retry
	ContinueError ErrorType = "continue" // proceed: it was only a warning
	ModifyError   ErrorType = "modify"   // retry after changing the data sent
	WaitError     ErrorType = "wait"     // retry after waiting
)

// Known reports whether t is one of the types of RFC 6120 §8.3.2.
func (t ErrorType) Known() bool {
	switch t {
	case AuthError, CancelError, ContinueError, ModifyError, WaitError:
		return true
	}
	return false
}

// conditions holds the type that RFC 6120 §8.3.3 recommends for each condition.
// Where it names two this is the first; undefined-condition may have any.
var conditions = map[Condition]ErrorType{
	BadRequest:            ModifyError,
	Conflict:              CancelError,
	FeatureNotImplemented: CancelError,
	Forbidden:             AuthError,
	Gone:                  CancelError,
	InternalServerError:   CancelError,
	ItemNotFound:          CancelError,
	JIDMalformed:          ModifyError,
	NotAcceptable:         ModifyError,
	NotAllowed:            CancelError,
	NotAuthorized:         AuthError,
	PolicyViolation:       ModifyError,
	RecipientUnavailable:  WaitError,
	Redirect:              ModifyError,
	RegistrationRequired:  AuthError,
	RemoteServerNotFound:  CancelError,
	RemoteServerTimeout:   WaitError,
	ResourceConstraint:    WaitError,
	ServiceUnavailable:    CancelError,
	SubscriptionRequired:  AuthError,
	UndefinedCondition:    CancelError,
	UnexpectedRequest:     WaitError,
}

// Error returns the name of the condition.
func (c Condition) Error() string { return string(c) }

// Known reports whether c is one of the conditions of RFC 6120 §8.3.3.
func (c Condition) Known() bool { return conditions[c] != "" }

// Type returns the error type that RFC 6120 §8.3.3 recommends for c, and
// [CancelError] if c is unknown.
func (c Condition) Type() ErrorType {
	if t := conditions[c]; t != "" {
		return t
	}
	return CancelError
}
