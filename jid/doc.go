// Package jid implements XMPP addresses.
package jid
