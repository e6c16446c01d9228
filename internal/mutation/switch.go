package main

// switchPackage is the source of the package that instrumented code calls. It
// exists in the copy only.
const switchPackage = `package mutant

import (
	"os"
	"strconv"
	"sync"
	"sync/atomic"
)

var (
	active, _ = strconv.Atoi(os.Getenv("STANZAKIT_MUTANT"))
	hitsFile  = os.Getenv("STANZAKIT_MUTANT_HITS")
	hits      [1 << 16]atomic.Bool
	mu        sync.Mutex
)

// On reports whether mutant n is the one to try, and notes that it was reached.
func On(n int) bool {
	if hitsFile != "" && !hits[n].Swap(true) {
		note(n)
	}
	return n == active
}

func note(n int) {
	mu.Lock()
	defer mu.Unlock()
	f, err := os.OpenFile(hitsFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	f.WriteString(strconv.Itoa(n) + "\n")
}

// Not turns a condition round.
func Not[B ~bool](n int, b B) B { return b != B(On(n)) }

// Force replaces an operand.
func Force[B ~bool](n int, b, forced B) B {
	if On(n) {
		return forced
	}
	return b
}

// Pick returns the second of two values.
func Pick[T any](n int, a, b T) T {
	if On(n) {
		return b
	}
	return a
}

// Zero replaces a result.
func Zero[T any](n int, v T) T {
	if On(n) {
		var zero T
		return zero
	}
	return v
}

// Nil replaces an error.
func Nil(n int, err error) error {
	if On(n) {
		return nil
	}
	return err
}
`
