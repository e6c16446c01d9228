package sasl_test

import (
	"encoding/hex"
	"fmt"
	"log"

	"stanzakit.dev/xmpp/sasl"
)

// Taking over the accounts of a Prosody server (mod_auth_internal_hashed): no password is needed,
// and none has to be changed. These are the fields of accounts/juliet.dat.
func ExampleKeys_prosody() {
	const (
		iterationCount = 10000
		salt           = "9f7b8f13-2516-4639-b3f0-edafa11e63b7"
		storedKey      = "a9a9e3804e456b60445623494153d8e0b0023b8d"
		serverKey      = "75da06eddbc8d47e6a266c7096ac166cb136ad65"
	)
	stored, err := hex.DecodeString(storedKey)
	if err != nil {
		log.Fatal(err)
	}
	server, err := hex.DecodeString(serverKey)
	if err != nil {
		log.Fatal(err)
	}
	keys := sasl.Keys{
		Hash:       sasl.SHA1,    // unless the option password_hash says otherwise
		Salt:       []byte(salt), // the text is the salt
		Iterations: iterationCount,
		StoredKey:  stored,
		ServerKey:  server,
	}
	// Keys for one hash only: Derive keeps others from being offered.
	store := sasl.MemoryStore{Derive: []sasl.Hash{sasl.SHA1}}
	if err := store.SetKeys("juliet", keys); err != nil {
		log.Fatal(err)
	}
	for _, m := range sasl.ForStore(sasl.Default(), &store) {
		fmt.Println(m)
	}
	// And back.
	fmt.Printf("%d %s\n%x\n%x\n", keys.Iterations, keys.Salt, keys.StoredKey, keys.ServerKey)
	// Output:
	// SCRAM-SHA-1-PLUS
	// SCRAM-SHA-1
	// 10000 9f7b8f13-2516-4639-b3f0-edafa11e63b7
	// a9a9e3804e456b60445623494153d8e0b0023b8d
	// 75da06eddbc8d47e6a266c7096ac166cb136ad65
}
