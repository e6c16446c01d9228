// Package delay says when a stanza was sent that arrives late, Delayed Delivery
// (XEP-0203), and reads and writes the dates and times of XMPP (XEP-0082).
//
// [Delay] is the payload that a server adds to a message from its offline store
// or a room to a message from its history; [Of] finds it in a stanza. [Parse],
// [Format] and [Append] handle the DateTime profile; [ParseDate] and [ParseTime]
// the other two.
//
// Covered: XEP-0203 2.0 §2 and the rule of §5 about stamps in one's own name
// ([Forged]); XEP-0082 1.1.1 §3. Left out: the formats of XEP-0090 and XEP-0091
// (XEP-0082 §4), years before 1 and after 9999 (XEP-0082 §5 permits that),
// discovery, for which XEP-0203 has no feature.
package delay
