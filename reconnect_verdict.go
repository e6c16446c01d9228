package xmpp

import (
	"context"
	"errors"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
	"stanzakit.dev/xmpp/stream/dial"
	xtls "stanzakit.dev/xmpp/tls"
)

// verdict is what an error means for another attempt to connect.
type verdict uint8

const (
	// verdictNone: the error says nothing, its causes may.
	verdictNone verdict = iota
	// verdictRetry: try again.
	verdictRetry
	// verdictCrowd: try again, and many others probably will.
	verdictCrowd
	// verdictStop: another attempt would be no use, or do harm.
	verdictStop
	// verdictClosed: the program wanted it so.
	verdictClosed
)

// again reports whether there is to be another attempt.
func (v verdict) again() bool { return v == verdictRetry || v == verdictCrowd }

// cause is the Cause of the [Closed] that follows.
func (v verdict) cause(err error) error {
	if v == verdictClosed {
		return nil
	}
	return err
}

// verdict is retryable with the program's own opinion.
func (r *Reconnect) verdict(err error) verdict {
	v := retryable(err)
	if r.Retry == nil || v == verdictClosed {
		return v
	}
	switch again := r.Retry(err, v.again()); {
	case !again:
		return verdictStop
	case !v.again():
		// What should not be repeated is not repeated in a hurry.
		return verdictCrowd
	}
	return v
}

// retryable decides about the error of a session or of Connect: the first in its
// tree that means something. An error that nobody knows is one of the network,
// most of the time.
func retryable(err error) verdict {
	if err == nil {
		return verdictClosed
	}
	if v := judge(err); v != verdictNone {
		return v
	}
	return verdictRetry
}

// judge walks the tree of err, outermost first: what one error wraps is how it
// came about, and an error of another connection may be in there.
func judge(err error) verdict {
	if v := judgeOne(err); v != verdictNone {
		return v
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return judge(inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if inner == nil {
				continue
			}
			if v := judge(inner); v != verdictNone {
				return v
			}
		}
	}
	return verdictNone
}

// conflicting reports whether err is about a resource that somebody else has: a
// stream error, which only a program's Retry gets over, or a refusal to bind.
func conflicting(err error) bool {
	return errors.Is(err, stream.Conflict) || errors.Is(err, bind.Conflict)
}

func judgeOne(err error) verdict {
	switch e := err.(type) {
	case *dial.Error:
		return judgeDial(e)
	case *xtls.CertificateError:
		return judgeCertificate(e)
	case *sasl.Error:
		return judgeSASL(e)
	case *bind.Error:
		return judgeBind(e)
	case *stream.Error:
		return judgeStream(e)
	case *jid.Error:
		return verdictStop // of dial.Client, before anything was tried
	}
	switch err {
	case context.Canceled, stream.ErrLocalClosed:
		return verdictClosed
	case ErrClient, dial.ErrOptions, stream.ErrOptions, stream.ErrLimits, xtls.ErrConfig, xtls.ErrInsecureConfig,
		auth.ErrOptions, bind.ErrOptions:
		return verdictStop
	case auth.ErrTasks:
		return verdictStop // the program has to learn them first
	case dial.ErrNotAvailable:
		return verdictStop
	case stream.ErrPeerClosed:
		// A server that closes streams without a reason probably closes them all.
		return verdictCrowd
	case stream.ErrCertificateExpired, stream.ErrNoProgress, xtls.ErrNotOffered, xtls.ErrRefused, bind.ErrProtocol:
		// Until the administrator notices, or the client leaves this network.
		return verdictCrowd
	}
	return verdictNone
}

// judgeDial: the errors of single attempts are no reason to stop, whatever is in
// them.
func judgeDial(e *dial.Error) verdict {
	switch {
	case errors.Is(e.Cause, dial.ErrNotAvailable):
		// RFC 6120 §3.2.1 with RFC 2782: a target of "." says that the service is
		// decidedly not available at this domain.
		return verdictStop
	case errors.Is(e.Cause, context.Canceled):
		return verdictClosed
	}
	return verdictRetry
}

// judgeCertificate: each attempt checks the certificate again and says nothing
// but the domain to whoever shows a wrong one. It may be that of a captive portal
// or one that will be renewed. What the policy of the program has refused, though,
// a person may have refused.
func judgeCertificate(e *xtls.CertificateError) verdict {
	if e.Verdict.OK() || e.Verdict.Has(stream.Revoked) {
		return verdictStop
	}
	return verdictCrowd
}

// judgeSASL: RFC 6120 §6.5. Credentials that were refused once are refused again,
// and an account may be locked for having been asked too often.
func judgeSASL(e *sasl.Error) verdict {
	switch e.Condition {
	case sasl.TemporaryAuthFailure: // §6.5.11
		return verdictCrowd
	case sasl.Aborted: // §6.5.1: this side has broken it off, mostly
		for _, known := range []error{
			sasl.ErrNoMechanism, sasl.ErrDowngrade, sasl.ErrChannelBinding, sasl.ErrNonce, sasl.ErrIterations,
			sasl.ErrExtension, sasl.ErrServerSignature, sasl.ErrRejected, sasl.ErrPassword, sasl.ErrToken,
			sasl.ErrUsername, sasl.ErrConfig, auth.ErrProtocol, auth.ErrTasks,
		} {
			if errors.Is(e.Cause, known) {
				return verdictStop
			}
		}
		if e.Cause != nil {
			return retryable(e.Cause) // of the program's own functions and stores
		}
	}
	return verdictStop
}

// judgeBind: RFC 6120 §7.6.2, §7.7.2.
func judgeBind(e *bind.Error) verdict {
	switch e.Condition {
	case bind.NotAllowed, bind.BadRequest:
		return verdictStop
	}
	// A resource that is in use, and one too many, are often our own of before:
	// the server has not noticed yet that it is gone (§7.7.2.2, behaviour 2).
	return verdictCrowd
}

// judgeStream: RFC 6120 §4.9.3.
func judgeStream(e *stream.Error) verdict {
	if !e.Received {
		// What this side finds wrong with the server, which may be mended.
		return verdictCrowd
	}
	switch e.Condition {
	case stream.Conflict:
		// §4.9.3.3, §7.7.2.2: two clients that come back would disconnect each
		// other for ever.
		return verdictStop
	case stream.NotAuthorized, stream.HostUnknown, stream.HostGone, stream.PolicyViolation:
		// §4.9.3.5, §4.9.3.6, §4.9.3.12, §4.9.3.14.
		return verdictStop
	case stream.InvalidNamespace, stream.UnsupportedEncoding, stream.UnsupportedFeature, stream.UnsupportedVersion:
		// §4.9.3.10, §4.9.3.22, §4.9.3.23, §4.9.3.25: how this side opens a stream
		// does not change.
		return verdictStop
	case stream.ConnectionTimeout:
		// §4.9.3.4: this client alone was silent.
		return verdictRetry
	}
	// The server ends, restarts, is overloaded or sends everybody elsewhere
	// (§4.9.3.8, §4.9.3.15 to §4.9.3.17, §4.9.3.19, §4.9.3.20), or something that
	// was sent did not please it.
	return verdictCrowd
}
