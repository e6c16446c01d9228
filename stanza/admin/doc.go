// Package admin is Service Administration (XEP-0133): commands with which
// administrators of a server manage its accounts and sessions, in any client that
// can fill in forms.
//
// [Module] offers the commands to those who are administrators; nobody is, unless
// a program says so. Everybody else is answered forbidden, at every step. Commands
// are about all accounts of the server, in all of its domains.
//
// Covered: XEP-0133 1.3.1: §4.1 to §4.5 (add, delete, disable, re-enable accounts,
// end sessions), §4.7 (change a password), §4.10 (statistics: the roster's size
// and the names of resources), §4.13 to §4.15 (numbers of registered, disabled and
// online accounts), §4.18 to §4.20 (lists of them), §4.23 (announcements), §5.
// Decisions where the document leaves room:
//
//   - A command that names several accounts looks at all of them before it does
//     anything.
//   - Administrators do not delete or disable their own account: not-allowed.
//   - A change of a password ends the sessions of the account. See
//     [Module.KeepSessions].
//   - Lists are in the order of addresses and have 1,000 items at most. To go on,
//     fill in the field x-after with the last address.
//   - An announcement is a headline from the server, to every available resource,
//     past all rules of delivery.
//
// Left out on purpose: §4.6, passwords, which the document has retracted and a
// server does not have; §4.8 and §4.10's addresses of the network, which are
// nobody's business; §4.30 and §4.31, restart and shutdown, which belong to
// whoever runs the process. Left out so far: §4.9, §4.11, §4.12, §4.16, §4.17,
// §4.21, §4.22 and §4.24 to §4.29 (last logins, lists of blocked domains, idle
// users, standing messages, the list of administrators).
package admin
