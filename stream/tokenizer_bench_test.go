package stream

import (
	"bytes"
	"encoding/xml"
	"io"
	"testing"
)

// BenchmarkTokenizer reads the corpus with everything checked, decoded and
// resolved, in reads of different sizes.
func BenchmarkTokenizer(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
	}{{"16KiB", 16 << 10}, {"1KiB", 1 << 10}} {
		b.Run(c.name, func(b *testing.B) {
			in := corpus()
			lim, err := (*Limits)(nil).withDefaults()
			if err != nil {
				b.Fatal(err)
			}
			var tok Tokenizer
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				tok.reset(lim, 1)
				rest := in
				for {
					_, err := tok.Next()
					if err == nil {
						continue
					}
					if err != ErrNeedMore {
						b.Fatal(err)
					}
					if len(rest) == 0 {
						break
					}
					n := copy(tok.Space(c.size)[:c.size], rest)
					tok.Filled(n)
					rest = rest[n:]
				}
				if err := tok.Finish(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkScanner cuts the corpus into stanzas, as a session does.
func BenchmarkScanner(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
	}{{"16KiB", 16 << 10}, {"1KiB", 1 << 10}} {
		b.Run(c.name, func(b *testing.B) {
			in := corpus()
			lim, err := (*Limits)(nil).withDefaults()
			if err != nil {
				b.Fatal(err)
			}
			var s scanner
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				s.init(lim, false)
				rest := in
				for {
					kind, _, err := s.next()
					if kind == itemEnd {
						break
					}
					if err == nil {
						continue
					}
					if err != errNeedMore || len(rest) == 0 {
						b.Fatal(err)
					}
					n := copy(s.space(c.size)[:c.size], rest)
					s.filled(n)
					rest = rest[n:]
				}
				s.release()
			}
		})
	}
}

// BenchmarkEncodingXML reads the corpus with the tokenizer of the standard
// library, at its fastest: no namespaces, and far fewer checks.
func BenchmarkEncodingXML(b *testing.B) {
	in := corpus()
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		d := xml.NewDecoder(bytes.NewReader(in))
		for {
			_, err := d.RawToken()
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
