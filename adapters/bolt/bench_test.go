package bolt

import (
	"fmt"
	"sync"
	"testing"

	"stanzakit.dev/xmpp/stanza/mam"
)

// Messages that come at the same time share transactions: the more there are, the
// less each of them costs.
func BenchmarkOfflineAdd(b *testing.B) {
	for _, writers := range []int{1, 8, 64, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			db := openNew(b, &Options{OfflineMessages: 1 << 30, OfflineBytes: 1 << 40})
			message := make([]byte, 300)
			jobs := make(chan int)
			var wg sync.WaitGroup
			for w := range writers {
				// Owner: this benchmark. Stops when jobs is closed. Joined through wg.
				wg.Go(func() {
					for range jobs {
						if err := db.Offline().Add(b.Context(), account(w), message); err != nil {
							b.Error(err)
						}
					}
				})
			}
			before := writes(db)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				jobs <- n
				n++
			}
			close(jobs)
			wg.Wait()
			b.ReportMetric(float64(writes(db)-before)/float64(n), "writes/op")
		})
	}
}

func BenchmarkArchiveQuery(b *testing.B) {
	db := openNew(b, nil)
	const n = 5000
	var wg sync.WaitGroup
	for w := range 8 {
		// Owner: this benchmark. Stops after its messages. Joined through wg.
		wg.Go(func() {
			for i := w; i < n; i += 8 {
				e := sampleEntry(i)
				e.Time = sampleTime
				if err := db.Archive().Append(b.Context(), juliet, e, mam.Keep{}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for name, s := range map[string]mam.Selection{
		"last page":       {Max: 50, Backward: true},
		"with":            {Max: 50, Filter: mam.Filter{With: romeo.Bare()}, After: "id-2500"},
		"of one resource": {Max: 50, Filter: mam.Filter{With: romeo}, Backward: true},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := db.Archive().Query(b.Context(), juliet, &s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
