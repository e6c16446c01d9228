package jid
import ("testing";"os";"strings";"strconv";"math/rand";"unicode/utf8";"golang.org/x/text/unicode/norm")
func TestZZ(t *testing.T){
 d, err := os.ReadFile("/tmp/jid/apt/icu/source/data/unidata/confusables.txt"); if err != nil { t.Fatal(err) }
 n := 0
 for l := range strings.Lines(string(d)) { l,_,_ = strings.Cut(strings.TrimPrefix(l,"\ufeff"),"#"); f := strings.Split(l,";"); if len(f)<3 {continue}
  r,_ := strconv.ParseInt(strings.TrimSpace(f[0]),16,32); w := ""; for h := range strings.FieldsSeq(f[1]) { x,_ := strconv.ParseInt(h,16,32); w += string(rune(x)) }
  g, ok := prototype(rune(r)); if !ok || g != w { t.Errorf("%x", r) }; n++ }
 t.Log("confusables checked", n)
 bad := 0
 check := func(f func(string)(string,error), s string) { o, err := f(s); if err != nil { return }; p, err2 := f(o); if err2 != nil || o != p || !norm.NFC.IsNormalString(o) { bad++; if bad < 30 { t.Logf("%+q %+q %+q %v", s, o, p, err2) } } }
 // how often does enforcement need more than one application
 var pool []rune
 for r := rune(1); r <= 0x10ffff; r++ { if !utf8.ValidRune(r) { continue }
  s := string(r)
  for _, f := range []func(string)(string,error){enforceLocal,enforceResource,enforceDomain} { check(f, "a"+s); check(f, s) }
  if o, err := usernameCaseMapped.String(s); err == nil && o != s || norm.NFC.PropertiesString(s).CCC() != 0 { pool = append(pool, r) }
 }
 t.Log("pool", len(pool), "bad", bad)
 rr := rand.New(rand.NewSource(2))
 for range 1000000 { var sb strings.Builder; for range 1+rr.Intn(5) { sb.WriteRune(pool[rr.Intn(len(pool))]) }
  f := []func(string)(string,error){enforceLocal,enforceResource,enforceDomain}[rr.Intn(3)]; check(f, sb.String()) ; check(f, "a"+sb.String())}
 t.Log("bad", bad)
}
