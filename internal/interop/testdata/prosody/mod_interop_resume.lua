-- When a session is resumed (XEP-0198 §5), Prosody 0.12 goes on feeding the XML parser of the connection that was lost. If that broke inside an
-- element, everything the client says from there on becomes part of that element, and nothing is ever heard of it. This module has the parser of the
-- new connection take over.

module:hook("smacks-hibernation-end", function (event)
	event.resumed.data = event.origin.data;
end);
