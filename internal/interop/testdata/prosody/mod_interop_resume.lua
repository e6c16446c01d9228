-- When a session is resumed (XEP-0198 §5), Prosody 0.12 goes on feeding the XML parser of the connection that was lost. If that broke inside an
-- element, everything the client says from there on becomes part of that element, and nothing is ever heard of it. This module has the parser of the
-- new connection take over.

module:hook("smacks-hibernation-end", function (event)
	event.resumed.data = event.origin.data;
end);

-- mod_sasl2_sm in Debian's prosody-modules asks mod_smacks for two functions that came after Prosody 0.12: they do what their counterparts for
-- elements of their own do, and return the answer instead of sending it.

local jid = require "util.jid";
local st = require "util.stanza";
local smacks = module:depends("smacks");
local sessions = module:shared("/*/smacks/resumption-tokens");

local function refused(answer)
	return nil, { type = "cancel", condition = answer.tags[1].name, context = { h = tonumber(answer.attr.h) } };
end

if not st.stanza_mt.add_error then
	function st.stanza_mt:add_error(err)
		return self:tag(err.condition, { xmlns = "urn:ietf:params:xml:ns:xmpp-stanzas" }):up();
	end
end

if not smacks.do_enable then
	function smacks.do_enable(session, request)
		local send, answer = session.send, nil;
		function session.send(stanza)
			answer = stanza;
		end
		smacks.handle_enable(session, request, request.attr.xmlns);
		session.send = send;
		if answer.name ~= "enabled" then
			return refused(answer);
		end
		return { id = answer.attr.id, resume_max = answer.attr.max, finish = function () end };
	end

	function smacks.do_resume(session, request)
		local original = sessions[jid.join(session.username, session.host, request.attr.previd)];
		local send, held = session.send, {};
		session.send = setmetatable({}, { __call = function (_, stanza)
			table.insert(held, stanza);
			return true;
		end });
		smacks.handle_resume(session, request, request.attr.xmlns);
		local answer = table.remove(held, 1);
		if answer.name ~= "resumed" then
			session.send = send;
			return refused(answer);
		end
		-- What was not acknowledged follows <success/>. It is in the queue, and is not to be queued again.
		original.send = send;
		original.sasl_handler = session.sasl_handler; -- until mod_sasl2 is done with it
		send.session, send.filter = original, original.filter; -- upvalues, see util.startup
		return { session = original, id = request.attr.previd, finish = function ()
			original.resending_unacked, session.resending_unacked = true, true;
			for _, stanza in ipairs(held) do
				original.send(stanza);
			end
			original.resending_unacked, session.resending_unacked = nil, nil;
		end };
	end
end
