package sm

import "time"

// Bound says what happens to a stanza when those that the peer has not
// acknowledged have reached Policy.QueueBytes.
type Bound uint8

const (
	// Wait keeps the sender waiting until the peer acknowledges something or its
	// context ends. Who must not wait gets [stream.ErrFull], and so does a handler
	// of [stream.Session.Serve] that waits while only it could read the
	// acknowledgement. This is the default.
	Wait Bound = iota
	// Refuse returns [ErrUnacked].
	Refuse
	// DropResumption sends the stanza and keeps no more of them: the session goes
	// on and cannot be resumed, and what is lost with it is reported as unknown.
	DropResumption
)

// Policy says when this side asks for acknowledgements, when it gives some
// unasked, and how much it keeps. The zero value is right for most.
type Policy struct {
	// Every is after how many stanzas the peer is asked to acknowledge them. It
	// is never asked twice at a time, and the request goes out with the stanzas.
	// Zero means 1: as soon as something is not acknowledged and no answer is
	// outstanding, so once per round trip at the most. With a larger number the
	// tail of a burst is asked for by whoever waits for a receipt, or by
	// Liveness.
	Every int

	// AckEvery is after how many stanzas this side acknowledges them without
	// being asked; up to twice as many if it was asked meanwhile, or handles them
	// late. Zero means only when asked.
	AckEvery int

	// QueueBytes bounds the stanzas that are kept, with 64 bytes for each. Zero
	// means 1 MiB. One stanza is kept whatever its size. A handler that runs on
	// the reader of the session, and could not wait for acknowledgements that only
	// the reader sees, has 16 times as much room for what the peer has asked for.
	QueueBytes int

	// Bound says what happens at that bound.
	Bound Bound
}

const (
	defaultQueueBytes = 1 << 20
	entryCost         = 64
	readerShare       = 16
	defaultMax        = 5 * time.Minute
)

func (p Policy) withDefaults() Policy {
	if p.Every <= 0 {
		p.Every = 1
	}
	if p.QueueBytes <= 0 {
		p.QueueBytes = defaultQueueBytes
	}
	return p
}

// promptEvery is what [stream.Session.PromptEvery] is told.
func (l *Link) promptEvery() uint32 { return uint32(min(max(l.policy.AckEvery, 0), 1<<30)) }
