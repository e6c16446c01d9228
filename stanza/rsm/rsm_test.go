package rsm

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

func parse(t testing.TB, s string) *stream.Element {
	el, err := stream.ParseElement([]byte(s), nil)
	require.NoError(t, err)
	return el
}

func wrap(inner string) string {
	return "<set xmlns='http://jabber.org/protocol/rsm'>" + inner + "</set>"
}

// The requests among the examples of XEP-0059 §2.
func TestRequest(t *testing.T) {
	for _, tt := range []struct {
		name, wire string
		want       Request
	}{
		{"1: limit", "<max>10</max>", Forward(10, "")},
		{"5: second page", "<max>10</max><after>peterpan@neverland.lit</after>", Forward(10, "peterpan@neverland.lit")},
		{"8: previous page", "<max>10</max><before>peter@pixyland.org</before>", Backward(10, "peter@pixyland.org")},
		{"11: last page", "<max>10</max><before/>", Backward(10, "")},
		{"12: by index", "<max>10</max><index>371</index>", At(10, 371)},
		{"15: count", "<max>0</max>", Count()},
		{"nothing said", "", Request{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r Request
			require.NoError(t, r.DecodeElement(parse(t, wrap(tt.wire))))
			require.Equal(t, tt.want, r)
			b, err := r.AppendXML(nil)
			require.NoError(t, err)
			if tt.wire == "" {
				require.Equal(t, "<set xmlns='http://jabber.org/protocol/rsm'/>", string(b))
				return
			}
			require.Equal(t, wrap(tt.wire), string(b))
		})
	}
}

// The results among the examples of XEP-0059 §2.
func TestResult(t *testing.T) {
	for _, tt := range []struct {
		name, wire string
		want       Result
	}{
		{"4", "<first index='0'>stpeter@jabber.org</first><last>peterpan@neverland.lit</last><count>800</count>",
			Result{"stpeter@jabber.org", "peterpan@neverland.lit", new(0), new(800)}},
		{"7: empty page", "<count>790</count>", Result{Count: new(790)}},
		{"13: at an index", "<first index='371'>peter@pixyland.org</first><last>peter@rabbit.lit</last><count>800</count>",
			Result{"peter@pixyland.org", "peter@rabbit.lit", new(371), new(800)}},
		{"neither index nor count", "<first>a</first><last>a</last>", Result{First: "a", Last: "a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r Result
			require.NoError(t, r.DecodeElement(parse(t, wrap(tt.wire))))
			require.Equal(t, tt.want, r)
			b, err := r.AppendXML(nil)
			require.NoError(t, err)
			require.Equal(t, wrap(tt.wire), string(b))
		})
	}
}

// What XEP-0059 does not know is ignored; white space around numbers means nothing.
func TestDecodeLenient(t *testing.T) {
	var r Request
	require.NoError(t, r.DecodeElement(parse(t, wrap("\n <max> 10 </max><x/><max xmlns='urn:x'>no</max><after/><count>3</count>"))))
	require.Equal(t, Forward(10, ""), r)
	require.NoError(t, r.DecodeElement(parse(t, wrap("<max>2147483647</max>"))))
	require.Equal(t, maxInt, *r.Max)
}

func TestDecodeBad(t *testing.T) {
	for _, wire := range []string{
		"<x/>", "<set xmlns='urn:x'/>",
		wrap("<max/>"), wrap("<max>-1</max>"), wrap("<max>+1</max>"), wrap("<max>1e3</max>"), wrap("<max>1 0</max>"),
		wrap("<max>2147483648</max>"), wrap("<max>99999999999999999999999</max>"), wrap("<max>٣</max>"),
		wrap("<max>1</max><max>1</max>"), wrap("<after>a</after><after>a</after>"), wrap("<before/><before/>"),
		wrap("<index>-1</index>"), wrap("<count>x</count>"),
		wrap("<first index='-1'>a</first><last>a</last>"), wrap("<first index=''>a</first><last>a</last>"),
		wrap("<after>" + strings.Repeat("x", maxUID+1) + "</after>"),
		wrap("<before>" + strings.Repeat("x", 7*maxUID) + "</before>"),
	} {
		r, s := Request{After: "old"}, Result{First: "old"}
		require.ErrorIs(t, firstError(r.DecodeElement(parse(t, wire)), s.DecodeElement(parse(t, wire))), stanza.BadRequest, wire)
	}
	// Only wrong in a request.
	for _, inner := range []string{
		"<after>a</after><before>b</before>", "<after>a</after><before/>", "<before/><index>1</index>", "<after>a</after><index>1</index>",
	} {
		r := Request{After: "old"}
		require.ErrorIs(t, r.DecodeElement(parse(t, wrap(inner))), stanza.BadRequest, inner)
		require.Zero(t, r)
	}
	// Only wrong in a result (§2.2).
	for _, inner := range []string{
		"<first>a</first>", "<last>a</last>", "<first/><last>a</last>", "<first index='0'/><last/>",
	} {
		r := Result{First: "old"}
		require.ErrorIs(t, r.DecodeElement(parse(t, wrap(inner))), stanza.BadRequest, inner)
		require.Zero(t, r)
	}
}

// firstError returns one of the errors of both decoders; the elements they have in
// common are read in the same way.
func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func TestAppendBad(t *testing.T) {
	long := strings.Repeat("x", maxUID+1)
	for _, p := range []stanza.Payload{
		Forward(-1, ""), At(1, -1), Forward(1, long), Backward(1, long), Request{After: "a", Index: new(1)},
		Result{First: "a"}, Result{Last: "a"}, Result{Index: new(1)}, Result{Count: new(-1)}, Result{First: long, Last: long},
		Result{First: "\x01", Last: "a"},
	} {
		b, err := p.AppendXML([]byte("x"))
		require.Error(t, err)
		require.Equal(t, "x", string(b))
	}
}

func TestPage(t *testing.T) {
	items := strings.Fields("a b c d e f g")
	id := func(s string) string { return "id-" + s }
	for _, tt := range []struct {
		name  string
		r     Request
		limit int
		want  string // the page
		index int    // of its first item
	}{
		{"§2.1 limit", Forward(3, ""), 0, "a b c", 0},
		{"§2.2 next", Forward(3, "id-c"), 0, "d e f", 3},
		{"§2.2 the last page is short", Forward(3, "id-f"), 0, "g", 6},
		{"§2.2 after the last", Forward(3, "id-g"), 0, "", 0},
		{"§2.3 previous", Backward(3, "id-d"), 0, "a b c", 0},
		{"§2.3 the items immediately before", Backward(2, "id-e"), 0, "c d", 2},
		{"§2.3 fewer than that", Backward(5, "id-c"), 0, "a b", 0},
		{"§2.3 before the first", Backward(5, "id-a"), 0, "", 0},
		{"§2.5 last", Backward(3, ""), 0, "e f g", 4},
		{"§2.6 at an index", At(2, 3), 0, "d e", 3},
		{"§2.6 at zero", At(2, 0), 0, "a b", 0},
		{"§2.6 at the end", At(2, 7), 0, "", 0},
		{"§2.6 beyond it", At(2, maxInt), 0, "", 0},
		{"§2.7 count", Count(), 0, "", 0},
		{"nothing asked", Request{}, 0, "a b c d e f g", 0},
		{"the limit of this side", Request{}, 2, "a b", 0},
		{"it is stronger", Forward(5, "id-a"), 2, "b c", 1},
		{"backwards too", Backward(5, ""), 2, "f g", 5},
		{"the largest number", Forward(maxInt, "id-e"), maxInt, "f g", 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			page, res, err := Page(items, id, tt.r, tt.limit)
			require.NoError(t, err)
			require.Equal(t, tt.want, strings.Join(page, " "))
			require.Equal(t, 7, *res.Count)
			if len(page) == 0 { // §2.2: MUST NOT be included
				require.Equal(t, Result{Count: new(7)}, res)
				return
			}
			require.Equal(t, Result{id(page[0]), id(page[len(page)-1]), new(tt.index), new(7)}, res)
			require.Equal(t, len(page), cap(page))
		})
	}
	// §2.4.
	for _, r := range []Request{Forward(3, "gone"), Backward(3, "gone")} {
		_, res, err := Page(items, id, r, 0)
		require.ErrorIs(t, err, stanza.ItemNotFound)
		require.Zero(t, res)
	}
	for _, r := range []Request{At(-1, 0), At(1, -1), {After: "a", Before: new("")}} {
		_, _, err := Page(items, id, r, 0)
		require.ErrorIs(t, err, stanza.BadRequest)
	}
	// §2.2: no items whatsoever.
	for _, r := range []Request{{}, Forward(3, "gone"), Backward(3, "gone"), Backward(3, ""), At(3, 3)} {
		page, res, err := Page(nil, id, r, 0)
		require.NoError(t, err)
		require.Empty(t, page)
		require.Equal(t, Result{Count: new(0)}, res)
	}
	page, _, err := Page(make([]string, 1000), id, Request{}, -1)
	require.NoError(t, err)
	require.Len(t, page, DefaultMax)
}

// Going through a list page by page, in both directions, yields every item once.
func TestPageAll(t *testing.T) {
	for n := range 12 {
		var items []string
		for i := range n {
			items = append(items, fmt.Sprint(i))
		}
		id := func(s string) string { return s }
		for size := 1; size < 5; size++ {
			var got []string
			for r := Forward(size, ""); ; {
				page, res, err := Page(items, id, r, 0)
				require.NoError(t, err)
				if len(page) == 0 {
					break
				}
				got = append(got, page...)
				r.After = res.Last
			}
			require.Equal(t, items, got)
			got = nil
			for r := Backward(size, ""); ; {
				page, res, err := Page(items, id, r, 0)
				require.NoError(t, err)
				if len(page) == 0 {
					break
				}
				got = append(append([]string(nil), page...), got...)
				r.Before = &res.First
			}
			require.Equal(t, items, got)
		}
	}
}

// FuzzDecode: no set panics; what is read is written so that it is read again, and can
// be answered.
func FuzzDecode(f *testing.F) {
	for _, inner := range []string{
		"<max>10</max><after>peterpan@neverland.lit</after>", "<max>10</max><before/>", "<max>10</max><index>371</index>", "<max>0</max>",
		"<first index='0'>a</first><last>g</last><count>800</count>", "<max>1</max><before>c</before>",
	} {
		f.Add([]byte(wrap(inner)))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		el, err := stream.ParseElement(wire, nil)
		if err != nil {
			return
		}
		var r, r2 Request
		if err := r.DecodeElement(el); err != nil {
			require.ErrorIs(t, err, stanza.BadRequest)
			require.Zero(t, r)
		} else {
			b, err := r.AppendXML(nil)
			require.NoError(t, err)
			require.NoError(t, r2.DecodeElement(parse(t, string(b))))
			require.Equal(t, r, r2)
			page, res, err := Page(strings.Fields("a b c d"), func(s string) string { return s }, r, 3)
			if err != nil {
				var e *stanza.Error
				require.True(t, errors.As(err, &e))
			}
			require.LessOrEqual(t, len(page), 3)
			_, err = res.AppendXML(nil)
			require.NoError(t, err)
		}
		var s, s2 Result
		if err := s.DecodeElement(el); err != nil {
			require.ErrorIs(t, err, stanza.BadRequest)
			require.Zero(t, s)
			return
		}
		b, err := s.AppendXML(nil)
		require.NoError(t, err)
		require.NoError(t, s2.DecodeElement(parse(t, string(b))))
		require.Equal(t, s, s2)
	})
}
