package stream_test

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// numbered returns a trace each of whose hooks, whatever there are, appends the
// trace's number and its own name to calls.
func numbered(number string, calls *[]string) *stream.Trace {
	t := new(stream.Trace)
	v := reflect.ValueOf(t).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		v.Field(i).Set(reflect.MakeFunc(v.Field(i).Type(), func([]reflect.Value) []reflect.Value {
			*calls = append(*calls, number+" "+name)
			return nil
		}))
	}
	return t
}

// zeroes returns arguments to call a hook with.
func zeroes(f reflect.Type) []reflect.Value {
	var in []reflect.Value
	for i := range f.NumIn() {
		in = append(in, reflect.Zero(f.In(i)))
	}
	return in
}

// Every hook that a Trace has is joined, in order, and only where there is one.
func TestJoinTraces(t *testing.T) {
	var calls []string
	first, second := numbered("1", &calls), numbered("2", &calls)
	for name, tt := range map[string]struct {
		traces []*stream.Trace
		want   []string
	}{
		"two":               {[]*stream.Trace{first, second}, []string{"1", "2"}},
		"in the order":      {[]*stream.Trace{second, first}, []string{"2", "1"}},
		"nil between":       {[]*stream.Trace{first, nil, {}, second}, []string{"1", "2"}},
		"three":             {[]*stream.Trace{first, second, first}, []string{"1", "2", "1"}},
		"the first is nil":  {[]*stream.Trace{nil, second}, []string{"2"}},
		"the last is empty": {[]*stream.Trace{first, {}}, []string{"1"}},
	} {
		t.Run(name, func(t *testing.T) {
			v := reflect.ValueOf(stream.JoinTraces(tt.traces...)).Elem()
			for i := range v.NumField() {
				hook := v.Type().Field(i).Name
				require.False(t, v.Field(i).IsNil(), "%s is forgotten", hook)
				calls = nil
				v.Field(i).Call(zeroes(v.Field(i).Type()))
				var want []string
				for _, number := range tt.want {
					want = append(want, number+" "+hook)
				}
				require.Equal(t, want, calls)
			}
		})
	}
	for _, nothing := range [][]*stream.Trace{nil, {nil}, {{}, nil, {}}} {
		require.Equal(t, new(stream.Trace), stream.JoinTraces(nothing...), "what nobody wants to hear costs nothing")
	}
	// What is joined is not changed, and gets what was given.
	var got []string
	hears := func(n string) *stream.Trace {
		return &stream.Trace{XMLSent: func(b []byte) { got = append(got, n+string(b)) }}
	}
	one := hears("1 ")
	stream.JoinTraces(one, hears("2 ")).XMLSent([]byte("x"))
	one.XMLSent([]byte("y"))
	require.Equal(t, []string{"1 x", "2 x", "1 y"}, got)
}
