// Package lint holds the rules of this repository that a program can check: which package may
// import which, and what must not occur in the code. It consists of tests and nothing imports it.
//
// Each rule is a function from a piece of the repository to the violations in it. The tests run it
// on the repository, and on made-up pieces that break it, so that a rule that has stopped working
// is noticed.
package lint
