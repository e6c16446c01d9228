package streamtest

// random is SplitMix64: a small generator that gives the same numbers with
// every version of Go. Nothing here is about security.
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number from 0 to n-1, and 0 if n is not positive.
func (r *random) below(n int64) int64 {
	if n <= 0 {
		return 0
	}
	return int64(r.next() % uint64(n))
}

// chance reports true with probability p.
func (r *random) chance(p float64) bool {
	return p > 0 && float64(r.next()>>11)/(1<<53) < p
}

// derive returns a generator of its own for each purpose and connection, so
// that what one of them takes does not change what another one gets.
func derive(seed uint64, purpose string, id ConnID) random {
	r := random(seed)
	add := func(v uint64) {
		r ^= random(v)
		r = random(r.next())
	}
	for _, s := range [...]string{purpose, id.From, id.To} {
		for i := range len(s) {
			add(uint64(s[i]))
		}
		add(0x100) // the end of a string counts
	}
	add(uint64(id.N))
	return r
}
