// Package sm is stream management (XEP-0198 v1.6.3): acknowledgements of stanzas,
// and sessions that go on on another connection when theirs was lost.
//
// # What there is
//
// A [Client] manages the streams of one account, one after the other, and a
// [Server] those of all its clients. Both are features of the negotiation, in front
// of resource binding. What they manage is a [Link]: the counters of both
// directions and the stanzas that the peer has not acknowledged. It is attached to
// one [stream.Session] after the other; [Of] finds it. Whoever sends need not know:
// all of a session's stanzas pass the link, in the order in which they go over the
// wire.
//
//   - A session that was lost goes on taking stanzas. They are kept, and sent
//     behind those that the peer did not get, before anything new, when the
//     session has been resumed. The old session passes on what it is given
//     afterwards.
//   - A [stream.Receipt] reaches [stream.Acked], on whichever connection. When
//     the session cannot be resumed it is Failed for what was never written and
//     Unknown for the rest, and [Client.TakeLeft] or ServerOptions.Over has the
//     stanzas. Nothing is lost silently, and nothing is sent again that might
//     come twice.
//   - A stanza is acknowledged when its handler has returned, not before: with
//     stanza.Conn too, whose handlers run at the same time. What is behind an
//     unfinished one waits. A peer that asks meanwhile gets an answer at once, and
//     another one when there is more to say.
//   - A stream that was closed, by either side, is over. A connection that breaks, a
//     peer that falls silent ([stream.Liveness]) and stream errors that say that
//     one may come back (system-shutdown, reset, connection-timeout,
//     see-other-host) leave a session that can be resumed.
//   - [State] is all that another process needs to resume the session of a
//     client ([Client.State], ClientOptions.State). A server with a [Store] has its
//     sessions survive it ([Server.Load], [Server.Save]).
//
// # How to use it
//
// A client keeps one Client over all of its connections and puts its Feature into
// [stream.InitiateOptions] each time, in front of bind.Client. [Link.Resumed] tells
// whether a session goes on, in which case neither the roster nor presence has to be
// sent again (§5), or has begun. A server does the same with bind.Server. Whoever
// has handlers of [stream.Session.Serve] needs nothing else. One of them that queues
// stanzas and handles them later tells how many with [stream.Session.CountWith].
//
// [Policy] says when acknowledgements are asked for and given, and bounds what is
// kept. With its zero value a peer is asked about once per round trip, and senders
// wait for room. An idle link keeps a few hundred bytes and no timer.
//
// # What is promised
//
// Within a session that is resumed every stanza is handled once and in order, in
// both directions, wherever the connection breaks. A handler that runs when the
// connection is lost goes on, and its stanza is not handed out again; a new session
// waits for it for two seconds. When a session is not resumed, what was sent and not
// acknowledged may have been handled or not (§4): who sends it again may send it
// twice.
//
// # Covered and left out
//
// Sections: §2 to §6 (feature, enabling, acknowledgements, resumption, errors), §7
// (closing), §9 (SASL 2 and Bind 2), §10 (only who has authenticated as the owner of
// a session resumes it). An SM-ID has 192 random bits. Of timed-out sessions the
// last 512 are remembered for the h of <failed/>.
//
// Left out: streams between servers; choosing where to reconnect, for which there is
// [Client.Location]; sending again what a session has left, and the delay stamps that
// belong to it (XEP-0203), which is for the caller; and how many suspended
// sessions an account may have, which the server's resources bound.
package sm
