package stream

// Name is the expanded name of an element or attribute: a namespace name and
// a local part (Namespaces in XML 1.0 §2.1). An attribute without a prefix has
// an empty Space. Names are comparable; the zero Name matches nothing on the
// wire.
type Name struct {
	Space, Local string
}

// String returns "{space}local", or just the local part for a name in no
// namespace.
func (n Name) String() string {
	if n.Space == "" {
		return n.Local
	}
	return "{" + n.Space + "}" + n.Local
}

// Namespaces that the stream layer itself speaks (RFC 6120 §4.8, §4.9.2).
// Those of a feature live in the package of the feature.
const (
	NSStream       = "http://etherx.jabber.org/streams"
	NSClient       = "jabber:client"
	NSServer       = "jabber:server"
	NSStreamErrors = "urn:ietf:params:xml:ns:xmpp-streams"
	NSXML          = "http://www.w3.org/XML/1998/namespace"

	nsXMLNS = "http://www.w3.org/2000/xmlns/"
)
