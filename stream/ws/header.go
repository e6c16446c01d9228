package ws

import (
	"fmt"

	"stanzakit.dev/xmpp/stream"
)

const closingTag = "</stream:stream>"

// headerAttrs are the attributes that <open/> and a stream header have in common
// (RFC 7395 §3.3.1).
var headerAttrs = []struct {
	name stream.Name
	text string
}{
	{stream.Name{Local: "from"}, "from"},
	{stream.Name{Local: "to"}, "to"},
	{stream.Name{Local: "id"}, "id"},
	{stream.Name{Local: "version"}, "version"},
	{stream.Name{Space: stream.NSXML, Local: "lang"}, "xml:lang"},
}

// appendHeader appends the stream header that an <open/> stands for. The XML
// declaration makes it an error inside of a stream.
func appendHeader(dst []byte, open *stream.Element) []byte {
	dst = append(dst, "<?xml version='1.0'?><stream:stream xmlns='"+stream.NSClient+"' xmlns:stream='"+stream.NSStream+"'"...)
	return append(appendAttrs(dst, open), '>')
}

// appendOpen appends the <open/> that stands for a stream header, of which tag is
// the start tag.
func appendOpen(dst, tag []byte) ([]byte, error) {
	whole := append(append(make([]byte, 0, len(tag)+1), tag[:len(tag)-1]...), "/>"...)
	header, err := stream.ParseElement(whole, nil)
	if err != nil {
		return nil, fmt.Errorf("stream/ws: unusable stream header: %w", err)
	}
	dst = append(dst, `<open xmlns="`+NSFraming+`"`...)
	return append(appendAttrs(dst, header), "/>"...), nil
}

// appendAttrs appends the attributes of a header.
func appendAttrs(dst []byte, el *stream.Element) []byte {
	for _, a := range headerAttrs {
		value, ok := el.AttrNS(a.name)
		if !ok {
			continue
		}
		dst = append(append(append(dst, ' '), a.text...), `="`...)
		// The value has been read from XML, so XML can carry it.
		dst, _ = stream.AppendEscapedAttr(dst, string(value))
		dst = append(dst, '"')
	}
	return dst
}
