-- The modules for SASL 2 in Debian's prosody-modules ask for what came after Prosody 0.12: methods of connections and stanzas, the client's stream
-- header in the event, times with a fraction. This module makes up for it, and changes nothing that goes over the wire, except that it announces
-- the types of channel binding (XEP-0440) if the configuration says so, which later versions of Prosody do as well.

local datetime = require "util.datetime";
local whole_seconds = datetime.datetime;
function datetime.datetime(t)
	return whole_seconds(t and math.floor(t));
end

local stanza = require "util.stanza".stanza_mt;
function stanza:get_child_attr(name, xmlns, attr)
	local child = self:get_child(name, xmlns);
	return child and child.attr[attr];
end

local announce = module:get_option_boolean("interop_announce_channel_binding", false);

module:hook("stream-features", function (event)
	local session, features = event.origin, event.features;
	local conn = session.conn;
	function conn:ssl_info()
		local socket = self:socket();
		return socket.info and socket:info();
	end
	function conn:ssl_peerfinished()
		local socket = self:socket();
		return socket.getpeerfinished and socket:getpeerfinished();
	end

	event.stream = { from = session.interop_from };
	function session.stream_attrs(_, _, to)
		session.interop_from = to; -- of the next header
	end

	local info = session.secure and session.type == "c2s_unauthed" and conn:ssl_info();
	if announce and info and info.protocol ~= "TLSv1.3" then
		features:tag("sasl-channel-binding", { xmlns = "urn:xmpp:sasl-cb:0" })
			:tag("channel-binding", { type = "tls-unique" }):up():up();
	end
end, 100);
