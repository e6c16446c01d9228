package tls

import "errors"

// errDER is any deviation from the distinguished encoding rules.
var errDER = errors.New("xmpp/tls: malformed DER")

// der is the rest of an encoding (X.690 §10.1: definite lengths, as short as
// they can be).
type der []byte

// Tags as they stand in an encoding, class and constructed bit included.
const (
	tagOID       = 0x06
	tagUTF8      = 0x0c
	tagIA5       = 0x16
	tagSequence  = 0x30
	tagExplicit0 = 0xa0
	tagExplicit1 = 0xa1
)

// next takes the first element off d. Its contents share the memory of d. The
// tag that comes with an error is zero, which no element has that we know.
func (d *der) next() (tag byte, contents der, err error) {
	in := *d
	if len(in) < 2 || in[0]&0x1f == 0x1f { // no tag that we know needs two bytes
		return 0, nil, errDER
	}
	size, head := int(in[1]), 2
	if size >= 0x80 {
		n := size & 0x7f
		size = 0
		for _, b := range in[2:min(2+n, len(in))] {
			size = size<<8 | int(b)
		}
		if size < 0x80 || size>>(8*(n-1)) == 0 {
			return 0, nil, errDER // it could have been shorter, or is more than there can be
		}
		head += n
	}
	if size > len(in)-head {
		return 0, nil, errDER
	}
	*d = in[head+size:]
	return in[0], in[head : head+size : head+size], nil
}

// take is next for an element that must have a certain tag.
func (d *der) take(tag byte) (der, error) {
	got, contents, _ := d.next() // the tag is zero if there is none
	if got != tag {
		return nil, errDER
	}
	return contents, nil
}

// whole returns the contents of the one element that d must be.
func (d der) whole(tag byte) (der, error) {
	contents, err := d.take(tag)
	if err != nil || len(d) > 0 {
		return nil, errDER
	}
	return contents, nil
}
