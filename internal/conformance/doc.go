// Command conformance writes CONFORMANCE.md, which says for every MUST and
// SHOULD of RFC 6121 §§2, 3, 4, 5, 8 and RFC 6120 §§4, 8, 10 which tests prove
// it, and which clauses no test proves. Run it at the top of the repository:
//
//	go run ./internal/conformance
//
// The clauses are in clauses.txt beside this file, whose head explains the
// format. Counts of the keywords keep anybody from dropping one unnoticed.
//
// A test names the clauses that it proves by a directive:
//
//	//conformance:proves 6121-2.1.6-1 6121-2.1.6-2
//	func TestPush(t *testing.T) {
//
// It belongs to the comment right above the function, without a blank line
// between, or stands inside of the function: directly above a line that calls
// t.Run with a constant name it is about that subtest, and elsewhere about the
// subtest or the test around it. Several directives add up. A function that is
// a row of a table test, adversarialX30 for TestAdversarial/X30, may have one
// as well; what counts there is that the name begins with that of the test and
// ends with a string that the tests of the package contain. A test is to name a
// clause only if it would fail were the clause violated.
//
// The file exclusions.txt lists clauses that need no test, each with the reason:
// those that bind nobody here, and those that are not implemented here.
//
// The tests of this command fail when CONFORMANCE.md is stale, when a directive
// is about no test or no clause, when an excluded clause is proved, and when
// the counts do not add up.
package main
