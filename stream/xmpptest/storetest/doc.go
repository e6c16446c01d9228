// Package storetest tests implementations of the store interfaces: of what a server
// keeps for its accounts. There is one function for each kind of store, named after
// the package of the interface, and an implementation calls it from a test of its
// own:
//
//	func TestRoster(t *testing.T) {
//		storetest.Roster(t, func(t *testing.T) roster.Store { return openEmptyStore(t) })
//	}
//
// The stores in memory pass the same tests. What an implementation promises beyond
// the interface, its bounds and what survives a crash, it has to test itself.
package storetest
