package stream_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

func TestBucket(t *testing.T) {
	now := time.Unix(1000, 0)
	after := func(d time.Duration) time.Time { return now.Add(d) }

	t.Run("allow", func(t *testing.T) {
		b := stream.NewBucket(stream.Rate{PerSecond: 2, Burst: 3}, now)
		for range 3 {
			require.True(t, b.Allow(now, 1))
		}
		require.False(t, b.Allow(now, 1))
		require.False(t, b.Allow(after(499*time.Millisecond), 1))
		require.True(t, b.Allow(after(500*time.Millisecond), 1))
		require.False(t, b.Full(after(1999*time.Millisecond)))
		require.True(t, b.Full(after(time.Hour)))
		require.False(t, b.Allow(after(time.Hour), 3.5), "no more than the burst accrues")
		require.True(t, b.Allow(after(time.Hour), 3))
	})
	t.Run("take", func(t *testing.T) {
		b := stream.NewBucket(stream.Rate{PerSecond: 10, Burst: 100}, now)
		require.Zero(t, b.Take(now, 100))
		require.Equal(t, time.Second, b.Take(now, 10))
		require.Equal(t, 2*time.Second, b.Take(now, 10), "debts add up")
		require.Equal(t, time.Second, b.Take(after(time.Second), 0))
		require.Zero(t, b.Take(after(2*time.Second), 0))
		require.Equal(t, time.Hour, b.Take(after(2*time.Second), 1e9), "and a wait has an end")
	})
	t.Run("edges", func(t *testing.T) {
		b := stream.NewBucket(stream.Rate{Burst: 1}, now)
		require.Zero(t, b.Take(now, 1), "an empty bucket has no debt")
		require.Equal(t, time.Hour, b.Take(now, 1), "which nothing would pay")
		b = stream.NewBucket(stream.Rate{PerSecond: math.Inf(1), Burst: 1}, now)
		require.Equal(t, time.Hour, b.Take(now, math.Inf(1)), "infinitely much of infinitely much")
	})
	t.Run("clock", func(t *testing.T) {
		b := stream.NewBucket(stream.Rate{PerSecond: 1, Burst: 1}, now)
		require.True(t, b.Allow(now, 1))
		require.False(t, b.Allow(after(-time.Hour), 1))
		require.False(t, b.Allow(after(-time.Minute), 1), "an hour back and forth is no time")
		require.True(t, b.Allow(after(time.Second), 1))
	})
	t.Run("unlimited", func(t *testing.T) {
		b := stream.NewBucket(stream.Unlimited, now)
		for range 10 {
			require.True(t, b.Allow(now, math.MaxFloat64))
			require.Zero(t, b.Take(after(time.Hour), math.MaxFloat64))
		}
		require.True(t, b.Full(now))
	})
	t.Run("zero", func(t *testing.T) {
		var b stream.Bucket
		require.False(t, b.Allow(now, 1))
		require.Equal(t, time.Hour, b.Take(now, 1))
	})
	require.Equal(t, stream.Rate{PerSecond: 1, Burst: 2}, stream.Rate{}.OrDefault(stream.Rate{PerSecond: 1, Burst: 2}))
	require.Equal(t, stream.Unlimited, stream.Unlimited.OrDefault(stream.Rate{}))
}

// RFC 6120 §13.12: a peer that sends too fast is slowed down, and loses nothing.
func TestThrottle(t *testing.T) {
	for name, c := range map[string]struct {
		elements, bytes stream.Rate
		want            time.Duration
	}{
		"elements":  {stream.Rate{PerSecond: 10, Burst: 5}, stream.Unlimited, 1500 * time.Millisecond},
		"bytes":     {stream.Unlimited, stream.Rate{PerSecond: 100, Burst: 1000}, 10 * time.Second},
		"unlimited": {stream.Unlimited, stream.Unlimited, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const each = "<message><body>"
				message := raw(each + strings.Repeat("x", 100-len(each)-len("</body></message>")) + "</body></message>")
				client, server := sessions(t, nil, &stream.AcceptOptions{Admit: stream.Throttle(c.elements, c.bytes)})
				begin := time.Now()
				got := make(chan time.Duration, 20)
				go server.Serve(func(*stream.Element) error { // ends with the session
					got <- time.Since(begin)
					return nil
				})
				for range 20 {
					require.NoError(t, client.Send(t.Context(), message))
				}
				var last time.Duration
				for range 20 {
					last = <-got
				}
				require.InDelta(t, c.want.Seconds(), last.Seconds(), 0.01)
			})
		})
	}
}

// What Admit says ends the stream, or the wait does when the session ends.
func TestAdmit(t *testing.T) {
	t.Run("policy violation", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server := sessions(t, nil, &stream.AcceptOptions{Admit: func(el *stream.Element) (time.Duration, error) {
				return 0, &stream.Error{Condition: stream.PolicyViolation, Text: "too fast"}
			}})
			go server.Serve(func(*stream.Element) error {
				t.Error("it was not admitted")
				return nil
			})
			go client.Serve(func(*stream.Element) error { return nil })
			require.NoError(t, client.Send(t.Context(), raw("<message/>")))
			<-client.Done()
			require.ErrorIs(t, client.Err(), stream.PolicyViolation)
		})
	})
	t.Run("another error is not told", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			secret := errors.New("secret")
			client, server := sessions(t, nil, &stream.AcceptOptions{Admit: func(*stream.Element) (time.Duration, error) { return 0, secret }})
			go server.Serve(func(*stream.Element) error { return nil })
			go client.Serve(func(*stream.Element) error { return nil })
			require.NoError(t, client.Send(t.Context(), raw("<message/>")))
			<-client.Done()
			<-server.Done()
			require.ErrorIs(t, client.Err(), stream.InternalServerError)
			require.NotContains(t, client.Err().Error(), "secret")
			require.ErrorIs(t, server.Err(), secret)
		})
	})
	t.Run("session ends during the wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			asked := make(chan struct{})
			client, server := sessions(t, nil, &stream.AcceptOptions{Admit: func(*stream.Element) (time.Duration, error) {
				close(asked)
				return time.Hour, nil
			}})
			served := make(chan error)
			go func() {
				served <- server.Serve(func(*stream.Element) error {
					t.Error("it was still to wait")
					return nil
				})
			}()
			require.NoError(t, client.Send(t.Context(), raw("<message/>")))
			<-asked
			begin := time.Now()
			server.Abort(errors.New("over"))
			require.ErrorContains(t, <-served, "over")
			require.Zero(t, time.Since(begin))
		})
	})
}

// A hook is as good as a handler: its panic ends its session and nothing else,
// whoever reads, and it may close the session.
func TestAdmitIsLikeAHandler(t *testing.T) {
	panics := &stream.AcceptOptions{Admit: func(*stream.Element) (time.Duration, error) { panic("a mistake") }}
	t.Run("panic", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server := sessions(t, nil, panics)
			go server.Serve(func(*stream.Element) error { return nil })
			go client.Serve(func(*stream.Element) error { return nil })
			require.NoError(t, client.Send(t.Context(), raw("<message/>")))
			<-client.Done()
			<-server.Done()
			var p *stream.PanicError
			require.ErrorAs(t, server.Err(), &p)
			require.Equal(t, "a mistake", p.Value)
			require.ErrorIs(t, client.Err(), stream.InternalServerError)
		})
	})
	t.Run("panic beneath Close", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server := sessions(t, nil, panics)
			require.NoError(t, client.Send(t.Context(), raw("<message/>")))
			err := server.Close(t.Context())
			var p *stream.PanicError
			require.ErrorAs(t, err, &p)
		})
	})
	for name, ask := range map[string]time.Duration{"close": 0, "close and wait": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				var server *stream.Session
				var closed error
				var took time.Duration
				o := &stream.AcceptOptions{Admit: func(*stream.Element) (time.Duration, error) {
					closed = server.CloseError(context.Background(), &stream.Error{Condition: stream.PolicyViolation})
					took = time.Since(begin)
					return ask, nil
				}}
				var client *stream.Session
				client, server = sessions(t, nil, o)
				go client.Serve(func(*stream.Element) error { return nil })
				require.NoError(t, client.Send(t.Context(), raw("<message/>")))
				_ = server.Serve(func(*stream.Element) error { return nil })
				<-client.Done()
				require.ErrorIs(t, client.Err(), stream.PolicyViolation)
				require.NoError(t, closed)
				require.Less(t, took, time.Second)
				require.LessOrEqual(t, time.Since(begin), 6*time.Second, "CloseTimeout, at the latest")
			})
		})
	}
	t.Run("error and wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			client, server := sessions(t, nil, &stream.AcceptOptions{Admit: func(*stream.Element) (time.Duration, error) {
				return time.Hour, &stream.Error{Condition: stream.PolicyViolation}
			}})
			go server.Serve(func(*stream.Element) error { return nil })
			go client.Serve(func(*stream.Element) error { return nil })
			require.NoError(t, client.Send(t.Context(), raw("<message/>")))
			<-server.Done()
			require.Less(t, time.Since(begin), time.Second)
			require.ErrorIs(t, server.Err(), stream.PolicyViolation)
		})
	})
}

// White space between elements is no element, and no way around a bound.
func TestThrottleOfWhiteSpace(t *testing.T) {
	const size = 256 << 10
	for name, c := range map[string]struct {
		admit stream.Admit
		slow  bool
	}{
		"throttled":     {stream.Throttle(stream.Unlimited, stream.Unlimited), true},
		"not throttled": {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := sessions(t, &stream.InitiateOptions{WriteTimeout: time.Hour}, &stream.AcceptOptions{Admit: c.admit})
				begin := time.Now()
				got := make(chan time.Duration, 2)
				go server.Serve(func(*stream.Element) error {
					got <- time.Since(begin)
					return nil
				})
				go client.Serve(func(*stream.Element) error { return nil })
				// As much as keeps connections alive for days is nothing.
				require.NoError(t, client.Send(t.Context(), raw(strings.Repeat(" ", 10_000)+"<message/>")))
				require.Zero(t, <-got)
				require.NoError(t, client.Send(t.Context(), raw(strings.Repeat(" \n", size/2)+"<message/>")))
				took := <-got
				if c.slow {
					require.InDelta(t, (size+10_000-(64<<10))/1024, took.Seconds(), 5)
				} else {
					require.Zero(t, took)
				}
			})
		})
	}
	t.Run("the session ends meanwhile", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server := sessions(t, nil, &stream.AcceptOptions{Admit: stream.Throttle(stream.Unlimited, stream.Unlimited)})
			served := make(chan error)
			go func() { served <- server.Serve(func(*stream.Element) error { return nil }) }()
			require.NoError(t, client.Send(t.Context(), raw(strings.Repeat(" ", size))))
			synctest.Wait()
			begin := time.Now()
			server.Abort(errors.New("over"))
			require.ErrorContains(t, <-served, "over")
			require.Zero(t, time.Since(begin))
		})
	})
}

func TestTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := sessions(t, nil, nil)
		a, b := client.Traffic(), server.Traffic()
		require.Equal(t, a.BytesOut, b.BytesIn)
		require.Equal(t, b.BytesOut, a.BytesIn)
		require.Greater(t, a.BytesOut, uint64(100), "the header")
		go server.Serve(func(*stream.Element) error { return nil })
		message := fmt.Sprintf("<message><body>%s</body></message>", strings.Repeat("x", 50_000))
		require.NoError(t, client.Send(t.Context(), raw(message)))
		synctest.Wait()
		require.Equal(t, a.BytesOut+uint64(len(message)), client.Traffic().BytesOut)
		require.Equal(t, a.BytesOut+uint64(len(message)), server.Traffic().BytesIn)
	})
}
